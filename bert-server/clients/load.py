#!/usr/bin/env python3
"""Loads a running server by many connections at once: short and long texts mixed, one a request.

    bert serve --port 8080 --log off &
    python bert-server/clients/load.py http://127.0.0.1:8080 --connections 200 --seconds 300 --pid $!

Prints what was answered, how long answers took, and, given a process, how its memory went. Exit status 1 if a request
had no answer. A status of 429 counts as refused, and is asked again after a moment, as the server says.
"""

import argparse
import asyncio
import json
import random
import time
import urllib.parse

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("url", nargs="?", default="http://127.0.0.1:8080")
parser.add_argument("--path", default="/embed")
parser.add_argument("--connections", type=int, default=200)
parser.add_argument("--seconds", type=float, default=300)
parser.add_argument("--pid", type=int, help="the process of the server")
arguments = parser.parse_args()

place = urllib.parse.urlsplit(arguments.url)
WORDS = "the bank of the river is a good place to sit and to look at money in the water".split()
took, tokens, refused, failed = [], 0, 0, []


def request(source):
    # Most texts are short, some are long.
    words = source.choice([4, 8, 8, 16, 16, 32, 64, 200])
    body = json.dumps({"inputs": " ".join(source.choice(WORDS) for _ in range(words))}).encode()
    head = f"POST {arguments.path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body, words


async def ask(reader, writer, message):
    writer.write(message)
    head = await reader.readuntil(b"\r\n\r\n")
    status = int(head[9:12])
    length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    await reader.readexactly(int(length.split(b":")[1]))
    return status


async def client(number, end):
    global tokens, refused
    source = random.Random(number)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    while time.monotonic() < end:
        message, words = request(source)
        started = time.monotonic()
        try:
            status = await asyncio.wait_for(ask(reader, writer, message), 120)
        except Exception as error:
            failed.append(repr(error))
            return
        if status == 429:
            refused += 1
            await asyncio.sleep(1)
        elif status == 200:
            took.append(time.monotonic() - started)
            tokens += words + 2
        else:
            failed.append(status)
    writer.close()


def memory():
    """Resident MiB."""
    with open(f"/proc/{arguments.pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024


async def watch(end):
    seen = []
    while arguments.pid and time.monotonic() < end:
        seen.append(memory())
        await asyncio.sleep(1)
    return seen


async def main():
    end = time.monotonic() + arguments.seconds
    started = time.monotonic()
    *_, seen = await asyncio.gather(*(client(number, end) for number in range(arguments.connections)), watch(end))
    spent = time.monotonic() - started
    took.sort()
    at = lambda share: 1000 * took[min(len(took) - 1, int(share * len(took)))] if took else float("nan")
    print(f"answered {len(took)} in {spent:.1f} s: {len(took) / spent:.1f} texts/s, {tokens / spent:.0f} tokens/s")
    print(f"refused {refused}, failed {len(failed)} {failed[:3]}")
    print(f"milliseconds: p50 {at(0.5):.1f}, p99 {at(0.99):.1f}, most {at(1):.1f}")
    if len(seen) > 4:
        half = seen[len(seen) // 4 :]
        print(f"memory: {seen[0]:.0f} MiB at the start; after a quarter of the time {half[0]:.0f}, at most {max(half):.0f}, at the end {half[-1]:.0f}")
    raise SystemExit(bool(failed))


asyncio.run(main())
