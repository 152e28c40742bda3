#!/usr/bin/env python3
"""Loads a running server by many connections at once: short and long texts mixed, one a request.

    bert serve --port 8080 --log off &
    python bert-server/clients/load.py http://127.0.0.1:8080 --connections 200 --seconds 300 --pid $!

Prints what was answered, how long answers took, and, given a process, how its memory went. Exit status 1 if a request
had no answer. A status of 429 counts as refused, and is asked again after a moment, as the server says. `bench.py`
compares what this measures with other programs.
"""

import argparse
import asyncio
import itertools
import json
import random
import time
import urllib.parse

WORDS = "the bank of the river is a good place to sit and to look at money in the water".split()
# Most texts are short, some are long.
LENGTHS = [4, 8, 8, 16, 16, 32, 64, 200]


def texts(count, seed=0):
    """The texts that are sent, the same ones each time."""
    source = random.Random(seed)
    return [" ".join(source.choices(WORDS, k=source.choice(LENGTHS))) for _ in range(count)]


def memory(pid):
    """The resident MiB of a process and its children."""
    with open(f"/proc/{pid}/status") as status:
        own = next((int(line.split()[1]) for line in status if line.startswith("VmRSS")), 0) / 1024
    with open(f"/proc/{pid}/task/{pid}/children") as children:
        return own + sum(memory(int(child)) for child in children.read().split())


class Client(asyncio.Protocol):
    """A connection that sends one request after another. It reads no more of an answer than it has to: the client
    computes on the processor of the server."""

    def __init__(self, run):
        self.run, self.buffer, self.length, self.timer, self.ended = run, bytearray(), None, None, asyncio.Event()

    def connection_made(self, transport):
        self.transport = transport
        self.ask()

    def ask(self):
        if time.monotonic() >= self.run.end:
            return self.close()
        self.started = time.monotonic()
        self.transport.write(next(self.run.requests))
        self.timer = asyncio.get_running_loop().call_later(120, self.fail, "no answer within 120 s")

    def data_received(self, data):
        self.buffer += data
        if self.length is None:
            head = self.buffer.find(b"\r\n\r\n")
            if head < 0:
                return
            lines = bytes(self.buffer[:head]).lower().split(b"\r\n")
            self.status = int(lines[0].split()[1])
            length = next(line for line in lines if line.startswith(b"content-length:"))
            self.length = head + 4 + int(length.split(b":")[1])
        if len(self.buffer) < self.length:
            return
        self.timer.cancel()
        self.buffer.clear()
        self.length = None
        if self.status == 429:
            self.run.refused += 1
            asyncio.get_running_loop().call_later(1, self.ask)
            return
        if self.status == 200:
            self.run.took.append(time.monotonic() - self.started)
        else:
            self.run.failed.append(self.status)
        self.ask()

    def connection_lost(self, error):
        if not self.ended.is_set():
            self.fail(repr(error) if error else "the server closed the connection")

    def fail(self, why):
        self.run.failed.append(why)
        self.close()

    def close(self):
        self.ended.set()
        if self.timer:
            self.timer.cancel()
        self.transport.close()


class Run:
    """What was seen of a server under load."""

    def __init__(self, url, path="/embed", connections=200, seconds=300.0, pid=None, pool=None):
        self.place, self.connections, self.seconds, self.pid = urllib.parse.urlsplit(url), connections, seconds, pid
        self.took, self.refused, self.failed, self.memory = [], 0, [], []
        bodies = [json.dumps({"inputs": text}).encode() for text in pool or texts(20_000)]
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: "
        self.requests = itertools.cycle([head.encode() + b"%d\r\n\r\n" % len(body) + body for body in bodies])

    async def connect(self):
        loop = asyncio.get_running_loop()
        try:
            _, client = await loop.create_connection(lambda: Client(self), self.place.hostname, self.place.port)
        except OSError as error:
            self.failed.append(repr(error))
            return
        await client.ended.wait()

    async def watch(self, ended):
        while self.pid and not ended.is_set():
            self.memory.append(memory(self.pid))
            try:
                await asyncio.wait_for(ended.wait(), 1)
            except asyncio.TimeoutError:
                pass

    async def load(self):
        started = time.monotonic()
        self.end = started + self.seconds
        ended = asyncio.Event()
        watch = asyncio.create_task(self.watch(ended))
        await asyncio.gather(*(self.connect() for _ in range(self.connections)))
        self.spent = time.monotonic() - started
        ended.set()
        await watch
        self.took.sort()
        return self

    def rate(self):
        return len(self.took) / self.spent

    def milliseconds(self, share):
        return 1000 * self.took[min(len(self.took) - 1, int(share * len(self.took)))] if self.took else float("nan")

    def settled(self):
        """The memory after a quarter of the time, when every thread and buffer is there, and at the end; the most
        between."""
        rest = self.memory[len(self.memory) // 4 :] or [float("nan")]
        return rest[0], rest[-1], max(rest)


def run(url, **options):
    return asyncio.run(Run(url, **options).load())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", nargs="?", default="http://127.0.0.1:8080")
    parser.add_argument("--path", default="/embed")
    parser.add_argument("--connections", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--pid", type=int, help="the process of the server")
    arguments = vars(parser.parse_args())
    seen = run(arguments.pop("url"), **arguments)
    print(f"answered {len(seen.took)} in {seen.spent:.1f} s: {seen.rate():.1f} texts/s")
    print(f"refused {seen.refused}, failed {len(seen.failed)} {seen.failed[:3]}")
    print(f"milliseconds: p50 {seen.milliseconds(0.5):.1f}, p99 {seen.milliseconds(0.99):.1f}, most {seen.milliseconds(1):.1f}")
    if seen.memory:
        settled, end, most = seen.settled()
        print(f"memory: {seen.memory[0]:.0f} MiB at the start; after a quarter of the time {settled:.0f}, at most {most:.0f}, at the end {end:.0f}")
    raise SystemExit(bool(seen.failed) or not seen.took)


if __name__ == "__main__":
    main()
