#!/usr/bin/env python3
"""Measures `bert serve` under load, beside `bert embed` and a server in Python, all on the same texts and the same model
on this machine, one after the other.

    cargo build --release -p bert-cli
    pip install fastapi uvicorn torch transformers
    python bert-server/clients/bench.py --model path/to/all-MiniLM-L6-v2 --output docs/results/serve.md

Without --output the table is printed. --peer names another Python for the server in Python, --no-peer leaves it out.
Linux alone: memory is read from /proc. Exit status 1 if a request had no answer.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import load

HERE = Path(__file__).resolve().parent

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--bert", default=str(HERE.parent.parent / "target/release/bert"), help="the command")
parser.add_argument("--model", required=True, help="the folder of a model for embeddings")
parser.add_argument("--seconds", type=float, default=300, help="how long bert serve is loaded")
parser.add_argument("--peer-seconds", type=float, default=60, help="how long each server in Python is loaded")
parser.add_argument("--connections", type=int, default=200)
parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
parser.add_argument("--texts", type=int, default=20_000, help="how many different texts there are")
parser.add_argument("--peer", default=sys.executable, help="a Python with fastapi, uvicorn, torch and transformers")
parser.add_argument("--no-peer", action="store_true")
parser.add_argument("--output", type=Path)
arguments = parser.parse_args()
pool = load.texts(arguments.texts)


def ask(url, text):
    body = json.dumps({"inputs": text}).encode()
    request = urllib.request.Request(f"{url}/embed", body, {"Content-Type": "application/json"})
    return json.load(urllib.request.urlopen(request, timeout=120))[0]


def measure(process, url, seconds):
    """Loads a server, and ends it. Gives what was seen, and the vectors of some texts."""
    try:
        vectors = [ask(url, text) for text in pool[:8]]
        return load.run(url, connections=arguments.connections, seconds=seconds, pid=process.pid, pool=pool), vectors
    finally:
        process.terminate()
        process.wait(60)


def serve():
    command = [arguments.bert, "serve", "--port", "0", "--log", "off", "--model", f"model={arguments.model}"]
    command += ["--tasks", "embed", "--threads", str(arguments.threads), "--device", "cpu"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if "listening on " in line:
            return measure(process, line.split("listening on ")[1].strip(), arguments.seconds)
    raise SystemExit(f"bert serve ended with status {process.wait()}")


def embed():
    """Texts a second of the command, its start included."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "texts.txt")
        file.write_text("\n".join(pool))
        command = [arguments.bert, "embed", "--model", arguments.model, "--input", file, "--jsonl", "--normalize"]
        command += ["--threads", str(arguments.threads), "--device", "cpu", "--output", Path(folder, "vectors.jsonl")]
        started = time.monotonic()
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        return len(pool) / (time.monotonic() - started)


def peer(batch, port):
    command = [arguments.peer, HERE / "peer.py", arguments.model, "--port", str(port), "--batch", str(batch)]
    process = subprocess.Popen([*command, "--threads", str(arguments.threads)])
    url = f"http://127.0.0.1:{port}"
    for _ in range(600):
        try:
            urllib.request.urlopen(f"{url}/health", timeout=5)
            return measure(process, url, arguments.peer_seconds)
        except OSError:
            if process.poll() is not None:
                raise SystemExit("the server in Python ended; see above, or leave it out by --no-peer") from None
            time.sleep(0.2)
    process.kill()
    raise SystemExit("the server in Python does not answer")


def cosine(a, b):
    dot = lambda a, b: sum(x * y for x, y in zip(a, b))
    return dot(a, b) / (dot(a, a) * dot(b, b)) ** 0.5


def processor():
    names = [line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")]
    return names[0] if names else platform.machine()


def row(name, seen):
    begin, end = (seen.memory[0], seen.memory[-1]) if seen.memory else (float("nan"),) * 2
    settled, _, most = seen.settled()
    return (
        f"| {name} | {seen.rate():.1f} | {seen.milliseconds(0.5):.0f} | {seen.milliseconds(0.99):.0f} "
        f"| {len(seen.failed)} | {seen.refused} | {begin:.0f} | {settled:.0f} | {most:.0f} | {end:.0f} |"
    )


own, vectors = serve()
print("bert serve:", f"{own.rate():.1f} texts/s", file=sys.stderr)
rate = embed()
print("bert embed:", f"{rate:.1f} texts/s", file=sys.stderr)
peers, apart = [], []
if not arguments.no_peer:
    for batch, port in [(1, 18081), (32, 18082)]:
        seen, others = peer(batch, port)
        print(f"FastAPI, batches of {batch}:", f"{seen.rate():.1f} texts/s", file=sys.stderr)
        peers.append((batch, seen))
        apart += [1 - cosine(a, b) for a, b in zip(vectors, others)]

version = subprocess.run([arguments.bert, "--version"], capture_output=True, text=True, check=True).stdout.strip()
lines = [
    "# `bert serve` under load",
    "",
    "Written by [`bench.py`](../../bert-server/clients/bench.py), which says how to run it again.",
    "",
    f"- {version}, {processor()}, {arguments.threads} threads, f32; the client computes on the same processor",
    f"- model: `{Path(arguments.model).name}`; {arguments.connections} connections, each with one text a request",
    f"- texts: {len(pool):,}, of {min(load.LENGTHS)} to {max(load.LENGTHS)} words; `bert serve` was loaded for "
    f"{arguments.seconds:.0f} s, the servers in Python for {arguments.peer_seconds:.0f} s each",
    "",
    "| | texts/s | p50 ms | p99 ms | errors | refused | MiB at the start | after a quarter | at most | at the end |",
    "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    row("`bert serve`", own),
    *(row(f"FastAPI and PyTorch, batches of at most {batch}", seen) for batch, seen in peers),
    f"| `bert embed` on the same texts | {rate:.1f} | | | | | | | | |",
    "",
    f"- `bert serve` answers {100 * own.rate() / rate:.0f} % of the texts that `bert embed` does in the same time",
]
for batch, seen in peers:
    lines.append(f"- it answers {own.rate() / seen.rate():.2f} times as many as the server in Python with batches of at most {batch}")
if apart:
    lines.append(f"- vectors of both: cosines of at least {1 - max(apart):.6f}")
text = "\n".join(lines) + "\n"
if arguments.output:
    arguments.output.write_text(text)
print(text)
failed = own.failed + [why for _, seen in peers for why in seen.failed]
if failed:
    print("requests without an answer:", failed[:5], file=sys.stderr)
sys.exit(bool(failed))
