"""How fast the service answers, and whether it bears many at once.

    OMP_NUM_THREADS=1 python tools/bench_service.py

Starts `reid-hash serve --no-page` on random codes in a folder, and asks it from another process,
some requests at a time: searches by stored code, by code, listings, thumbnails' misses, and writes.
Prints errors, p50 and p99 of each kind, how many searches by stored code it does in a second, and
how long its processors work for one: that is what counts on a machine that does other things too.
"""

import argparse
import asyncio
import base64
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import psutil

from reid_hash.codes import Codes
from reid_hash.gallery.sighting import Sighting
from reid_hash.gallery.sqlite.gallery import Gallery

BITS = 128


def fill(folder: Path, count: int) -> None:
    random = np.random.default_rng(0)
    codes = Codes.from_outputs(random.normal(size=(count, BITS)), random.random(BITS) + 0.1, "net")
    with Gallery.create(folder, BITS, codes.weights, "net") as gallery:
        gallery.add(codes, [Sighting(f"camera{i % 8}", 1e9 + i) for i in range(count)])


@contextlib.contextmanager
def service(folder: Path):
    command = [sys.executable, "-m", "reid_hash", "serve", "--gallery", str(folder)]
    command += ["--no-page", "--port", "0", "--rate", "1e6"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().split()[4], psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait()


def searches(count: int, sightings: int):
    random = np.random.default_rng(1)
    for number in random.integers(1, sightings + 1, count):
        body = {"queries": [{"sighting": int(number)}], "k": 10}
        yield "search by stored code", "POST", "/search", body


def mixed(count: int, sightings: int):
    random = np.random.default_rng(2)
    kinds = list(searches(count, sightings))
    for i in range(count):
        code = base64.b64encode(random.bytes(BITS // 8)).decode()
        number = int(random.integers(1, sightings + 1))
        match i % 10:
            case 0 | 1 | 2 | 3 | 4:
                yield kinds[i]
            case 5 | 6:
                body = {"queries": [{"code": code}], "k": 10, "bits": 64}
                yield "search by code", "POST", "/search", body
            case 7:
                yield "sighting", "GET", f"/sightings/{number}", None
            case 8:
                yield "list", "GET", "/sightings?camera=camera3&order=newest&limit=20", None
            case _:
                yield "add", "POST", "/sightings", {"sightings": [{"code": code, "camera": "x"}]}


class Connection:
    """A connection to the service; a whole HTTP client takes longer than the service itself."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str):
        self._reader, self._writer, self._host = reader, writer, host

    async def request(self, method: str, path: str, body: object) -> int:
        """Ask, and read the whole answer; gives its status."""
        content = b"" if body is None else json.dumps(body).encode()
        head = f"{method} {path} HTTP/1.1\r\nHost: {self._host}\r\n"
        if content:
            head += f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n"
        self._writer.write(f"{head}\r\n".encode() + content)
        status, *headers = (await self._reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")
        told = dict(line.split(b": ", 1) for line in headers if line)
        await self._reader.readexactly(int(told[b"content-length"]))
        return int(status.split()[1])

    def close(self) -> None:
        """End it."""
        self._writer.close()


async def ask(url: str, requests, at_once: int) -> tuple[dict[str, list[float]], list[int], float]:
    seconds: dict[str, list[float]] = {}
    errors: list[int] = []
    waiting = iter(requests)
    parts = urlsplit(url)

    async def worker() -> None:
        streams = await asyncio.open_connection(parts.hostname, parts.port)
        connection = Connection(*streams, parts.netloc)
        for kind, method, path, body in waiting:
            began = time.perf_counter()
            status = await connection.request(method, parts.path + path, body)
            seconds.setdefault(kind, []).append(time.perf_counter() - began)
            if status >= 400:
                errors.append(status)
        connection.close()

    began = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(at_once)))
    return seconds, errors, time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sightings", type=int, default=100_000)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--at-once", type=int, default=50)
    given = parser.parse_args()
    if hasattr(os, "getloadavg"):
        print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f} before")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "gallery"
        fill(place, given.sightings)
        with service(place) as (url, process):
            asyncio.run(ask(url, searches(50, given.sightings), given.at_once))  # reads the index
            for name, requests in (("mixed", mixed), ("searches", searches)):
                asked = requests(given.requests, given.sightings)
                before = sum(process.cpu_times()[:2])
                seconds, errors, took = asyncio.run(ask(url, asked, given.at_once))
                busy = (sum(process.cpu_times()[:2]) - before) / given.requests
                rate = given.requests / took
                print(
                    f"{name}: {given.requests:,} requests, {given.at_once} at a time, on "
                    f"{given.sightings:,} sightings: {len(errors)} errors, {rate:.0f} a second, "
                    f"{1000 * busy:.1f} ms of the server's processors each"
                )
                for kind, each in seconds.items():
                    p50, p99 = (1000 * np.percentile(each, q) for q in (50, 99))
                    print(f"  {kind}: {len(each):,}, p50 {p50:.0f} ms, p99 {p99:.0f} ms")


if __name__ == "__main__":
    main()
