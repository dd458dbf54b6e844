"""Time a gallery: adding with durability, opening, searching, erasing.

    python tools/bench_gallery.py --sightings 1000000 --threads 1

Each figure is wall-clock time with the processor time beside it, which a busy machine changes less.
The gallery is made in a temporary folder on the disk that holds --folder, and removed.
"""

import argparse
import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

BATCH = 100_000


@contextlib.contextmanager
def timed(what: str) -> Iterator[None]:
    began, used = time.perf_counter(), time.process_time()
    yield
    wall, cpu = time.perf_counter() - began, time.process_time() - used
    print(f"{what:58}{wall * 1000:12,.1f} ms {cpu * 1000:12,.1f} ms", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sightings", type=int, default=1_000_000)
    parser.add_argument("--bits", type=int, default=128)
    parser.add_argument("--threads", type=int, help="all when left out")
    parser.add_argument("--folder", type=Path, default=Path("."))
    parser.add_argument("--verify", action="store_true", help="also time verify")
    arguments = parser.parse_args()
    if arguments.threads:
        os.environ["OMP_NUM_THREADS"] = str(arguments.threads)
        if hasattr(os, "sched_setaffinity"):
            allowed = sorted(os.sched_getaffinity(0))[: arguments.threads]
            os.sched_setaffinity(0, allowed)
    folder = Path(tempfile.mkdtemp(prefix="bench-gallery-", dir=arguments.folder)) / "gallery"
    try:
        bench(folder, arguments.sightings, arguments.bits, arguments.verify)
    finally:
        shutil.rmtree(folder.parent)


def bench(folder: Path, n: int, bits: int, verify: bool) -> None:
    from reid_hash.codes import Codes
    from reid_hash.gallery.sighting import Sighting
    from reid_hash.gallery.sqlite.gallery import Gallery

    random = np.random.default_rng(0)
    weights = random.random(bits) + 0.1
    made: list[Sighting] = []

    def batch(start: int, count: int) -> tuple[Codes, list[Sighting]]:
        packed = np.packbits(random.random((count, bits)) < 0.5, axis=1, bitorder="little")
        made[:] = [
            Sighting(
                camera=f"camera {i % 16}",
                time=1.7e9 + i / 25,
                source=f"videos/{i // 100_000:04d}.mp4",
                track=i // 30,
                frame=i % 100_000,
                box=(i % 1800, 40.5, 64.0, 128.0),
            )
            for i in range(start, start + count)
        ]
        return Codes(packed, bits, weights, "bench"), made

    print(f"{'':58}{'wall':>12}    {'processor':>12}")
    with Gallery.create(folder, bits, weights, "bench") as gallery:
        codes, sightings = batch(0, min(BATCH, n))
        with timed(f"add {len(codes):,} in one transaction"):
            gallery.add(codes, sightings)
        for start in range(len(codes), n, BATCH):
            gallery.add(*batch(start, min(BATCH, n - start)))
        with timed("write the index file, which holds nothing yet"):
            gallery.write_cache()
    size = sum(path.stat().st_size for path in folder.iterdir())
    print(f"{n:,} sightings take {size:,} bytes, {size / n:.0f} each")
    query = codes[:1]
    for again in ("", ", once more"):
        with timed("open" + again):
            gallery = Gallery.open(folder, read_only=True)
        with timed("first search, which reads the index file" + again):
            gallery.search_many(query, 10)
        gallery.close()
    with Gallery.open(folder, read_only=True) as gallery:
        gallery.search_many(query, 10)
        for what, where in (
            ("search", {}),
            ("search, 64 bits", {"bits": 64}),
            ("search, 64 bits, unweighted", {"bits": 64, "weighted": False}),
            ("search, one camera of 16", {"cameras": ["camera 3"]}),
            ("search, the last hundredth of the time", {"since": 1.7e9 + 0.99 * n / 25}),
            ("search, one source", {"sources": ["videos/0000.mp4"]}),
        ):
            with timed(what):
                gallery.search_many(query, 10, **where)  # type: ignore[arg-type]
    with Gallery.open(folder) as gallery:
        with timed("add 1"):
            gallery.add(*batch(n, 1))
        with timed("search after it"):
            gallery.search_many(query, 10)
        with timed("add 1 once more, and search"):
            gallery.add(*batch(n + 1, 1))
            gallery.search_many(query, 10)
        with timed("forget one track"):
            gallery.forget(tracks=[7])
        with timed("search after it"):
            gallery.search_many(query, 10)
        if verify:
            with timed("verify"):
                assert gallery.verify() == []
    for path in folder.glob("*.index"):
        path.unlink()
    with Gallery.open(folder, read_only=True) as gallery, timed("first search without index file"):
        gallery.search_many(query, 10)


if __name__ == "__main__":
    main()
