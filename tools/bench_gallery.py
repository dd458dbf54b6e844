"""Time a gallery: adding with durability, opening, searching, erasing.

    python tools/bench_gallery.py --sightings 1000000 --threads 1
    python tools/bench_gallery.py --sightings 10000000 --engine chdb

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
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from reid_hash.codes import Codes
    from reid_hash.gallery.clickhouse.gallery import ClickHouseGallery
    from reid_hash.gallery.sighting import Sighting

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
    parser.add_argument(
        "--engine",
        choices=["folder", "chdb"],
        default="folder",
        help="chdb: a gallery in ClickHouse, with the index of a folder beside it",
    )
    parser.add_argument("--verify", action="store_true", help="also time verify")
    arguments = parser.parse_args()
    if arguments.threads:
        os.environ["OMP_NUM_THREADS"] = str(arguments.threads)
        if hasattr(os, "sched_setaffinity"):
            allowed = sorted(os.sched_getaffinity(0))[: arguments.threads]
            os.sched_setaffinity(0, allowed)
    folder = Path(tempfile.mkdtemp(prefix="bench-gallery-", dir=arguments.folder)) / "gallery"
    try:
        if arguments.engine == "chdb":
            bench_chdb(folder, arguments.sightings, arguments.bits)
        else:
            bench(folder, arguments.sightings, arguments.bits, arguments.verify)
    finally:
        shutil.rmtree(folder.parent)


def some_sightings(start: int, count: int) -> "list[Sighting]":
    from reid_hash.gallery.sighting import Sighting

    return [
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


def bench(folder: Path, n: int, bits: int, verify: bool) -> None:
    from reid_hash.codes import Codes
    from reid_hash.gallery.sqlite.gallery import Gallery

    random = np.random.default_rng(0)
    weights = random.random(bits) + 0.1

    def batch(start: int, count: int) -> "tuple[Codes, list[Sighting]]":
        packed = np.packbits(random.random((count, bits)) < 0.5, axis=1, bitorder="little")
        return Codes(packed, bits, weights, "bench"), some_sightings(start, count)

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


ADDED = 500_000  # sightings that are added as a program adds them; the others go in as columns
TOP, QUERIES, AGAIN = 100, 50, 7


def bench_chdb(folder: Path, n: int, bits: int) -> None:
    from reid_hash.codes import Codes
    from reid_hash.gallery.clickhouse import rows
    from reid_hash.gallery.clickhouse.address import parse_address
    from reid_hash.gallery.clickhouse.gallery import ClickHouseGallery
    from reid_hash.index import WeightedIndex

    random = np.random.default_rng(0)
    weights = random.random(bits) + 0.1
    packed = random.integers(0, 256, (n, bits // 8), np.uint8)
    codes = Codes(packed, bits, weights, "bench")
    index = WeightedIndex(weights, model="bench", scan_bits=bits)
    index.add(codes, np.arange(1, n + 1))
    asked = Codes(random.integers(0, 256, (QUERIES, bits // 8), np.uint8), bits, weights, "bench")
    values = np.tanh(random.normal(size=(QUERIES, bits)))

    with ClickHouseGallery.create(parse_address(f"chdb:{folder}"), codes[:0]) as gallery:
        added = min(ADDED, n)
        for start in range(0, added, BATCH):
            part = slice(start, min(start + BATCH, added))
            sightings = some_sightings(start, part.stop - start)
            began, used = time.perf_counter(), time.process_time()
            gallery.add(codes[part], sightings)
            wall, cpu = time.perf_counter() - began, time.process_time() - used
            rate = len(sightings) / wall
            print(f"add {len(sightings):,}: {rate:,.0f} a second, {cpu:.2f} s of processor time")
        fill(gallery, rows.pack_words(packed, bits), added)
        table = gallery._names("sighting_rows")
        gallery._link.run(f"OPTIMIZE TABLE {table} FINAL")
        size = gallery.info()["bytes"]
        source = gallery._link.value(
            "SELECT sum(column_data_compressed_bytes) FROM system.parts_columns WHERE active "
            "AND database = 'reid_hash' AND table = 'sighting_rows' AND column = 'source'"
        )
        beyond = (int(size) - int(source)) / n - bits / 8
        print(f"{n:,} sightings take {int(size):,} bytes; {beyond:.1f} each beyond code and source")

        def ask(what: str, query: object, of: int = QUERIES, **where: object) -> float:
            """Milliseconds a query, the median; the engine's caches of conditions are off."""
            took, used = [], []
            for again in range(AGAIN):
                part = slice(again % QUERIES, again % QUERIES + 1) if of == 1 else slice(None)
                began, cpu = time.perf_counter(), time.process_time()
                gallery.find(query[part], TOP, **where)  # type: ignore[arg-type, index]
                took.append((time.perf_counter() - began) / of * 1000)
                used.append((time.process_time() - cpu) / of * 1000)
            middle = float(np.median(took))
            print(
                f"{what:46}{min(took):9.1f} {middle:9.1f} ms{np.median(used):9.1f} ms", flush=True
            )
            return float(np.median(used))

        print(f"{'top 100, a query':46}{'best':>9} {'median':>9}   {'processor':>9}")
        gallery.find(asked[0], TOP)
        plain = ask("plain, one", asked, 1, weighted=False)
        one = ask("weighted, one", asked, 1)
        ask("asymmetric, one", values, 1)
        ask("weighted, 64 bits, one", asked, 1, bits=64)
        camera = ask("weighted, one camera of 16, one", asked, 1, cameras=["camera 3"])
        shared_plain = ask("plain, 50 at a time", asked, weighted=False)
        shared = ask("weighted, 50 at a time", asked)
        ask("asymmetric, 50 at a time", values)
        for what, query in (("weighted", asked), ("asymmetric", values)):
            for of in (1, QUERIES):
                took = []
                for again in range(AGAIN):
                    part = slice(again, again + 1) if of == 1 else slice(None)
                    began = time.perf_counter()
                    index.search(query[part], TOP)
                    took.append((time.perf_counter() - began) / of * 1000)
                label = f"a folder's index: {what}, {of} at a time"
                print(f"{label:46}{min(took):9.1f} {np.median(took):9.1f} ms", flush=True)
        print(
            f"by processor time: weighted / plain {one / plain:.2f}; 50 at a time / one: weighted "
            f"{shared / one:.2f}, plain {shared_plain / plain:.2f}; one camera / all "
            f"{camera / one:.2f}"
        )
        for what, query, more in (
            ("weighted", asked, {}),
            ("asymmetric", values, {}),
            ("weighted, 64 bits", asked, {"bits": 64}),
        ):
            found = gallery.find(query, TOP, **more)  # type: ignore[arg-type]
            view = index.prefix(more.get("bits", bits))
            wanted = view.search(
                query.prefix(view.bits) if isinstance(query, Codes) else query, TOP
            )
            same = [
                [(m.sighting.id, m.distance) for m in answer.matches]
                == list(zip(ids, far, strict=True))
                for answer, ids, far in zip(
                    found, wanted.ids.tolist(), wanted.distances.tolist(), strict=True
                )
            ]
            print(f"{what}: {sum(same)} of {len(same)} answers are the folder's, bit for bit")


def fill(gallery: "ClickHouseGallery", words: "np.ndarray[Any, Any]", start: int) -> None:
    """Put the other sightings in as columns, as a program that writes SQL would."""
    step = 500_000
    for first in range(start, len(words), step):
        i = np.arange(first, min(first + step, len(words)))
        claim = gallery._batches.claim(len(i))
        gallery._link.insert(
            "sighting_rows",
            {
                "id": ("Int64", i + 1),
                **{f"c{j}": ("UInt64", words[i, j]) for j in range(words.shape[1])},
                "camera": ("LowCardinality(String)", [f"camera {k}" for k in (i % 16).tolist()]),
                "time": ("Float64", 1.7e9 + i / 25),
                "source": ("String", [f"videos/{k:04d}.mp4" for k in (i // 100_000).tolist()]),
                "track": ("Nullable(Int64)", i // 30),
                "frame": ("Nullable(Int64)", i % 100_000),
                "x": ("Nullable(Float64)", (i % 1800).astype(float)),
                "y": ("Nullable(Float64)", np.full(len(i), 40.5)),
                "w": ("Nullable(Float64)", np.full(len(i), 64.0)),
                "h": ("Nullable(Float64)", np.full(len(i), 128.0)),
            },
        )
        gallery._batches.done(claim)


if __name__ == "__main__":
    main()
