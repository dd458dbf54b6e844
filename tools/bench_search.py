"""Time searches of packed codes beside each other: build, search, memory, recall.

    python tools/bench_search.py                            # 1,000,000 codes of 128 bits
    python tools/bench_search.py --codes 10000000 --data near --plot search.png
    python tools/bench_search.py --codes 100000 --methods flat,weighted,hnsw,usearch,lookup

Every method gets the same codes and queries and the same number of threads. All are warmed up,
their order is rotated over the rounds, and medians are printed. Recall is the share of what a
method found that is no farther, by its own distance, than the k-th nearest code: exact is 1. Memory
is what the process grew by, without the ids (8 bytes a code, 16 in IvfWeightedIndex); of a mapped
file, what was read of it.

Data: `random` bits are the worst case. `clustered` codes are signs of points of 24 dimensions, 20
around each identity: their distances spread as those of a trained network's codes do. `near` codes
lie around random centres, 200 each, 3 % of their bits flipped: pictures of the same scene.
"""

import argparse
import ctypes
import gc
import os
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path

import faiss
import numpy as np
import psutil
from bench_search_methods import Method, make_codes, methods

from reid_hash.codes import Codes
from reid_hash.distances import hamming
from reid_hash.index import Matches, WeightedIndex
from reid_hash.index._engine.threads import pool

DEFAULT = "flat,weighted,scan,tables,values,weighted-ivf,ivf,lookup"


def recall(method: Method, found: Matches, query: Codes, codes: Codes, exact: Matches) -> float:
    """The share of found codes that are no farther than the k-th nearest."""
    hits = 0
    for row, ids in enumerate(found.ids):
        some = codes[ids[ids >= 0]]
        if method.weighted:
            bits = some.unpack() ^ query[row : row + 1].unpack()
            distances = bits @ codes.weights.astype(np.float64)
        else:
            distances = hamming(query[row : row + 1], some)[0]
        hits += int((distances <= exact.distances[row, -1]).sum())
    return hits / found.ids.size


def bandwidth(threads: int) -> float:
    """Bytes per nanosecond that so many threads read together, from arrays beyond the cache."""
    arrays = [np.ones(2**25) for _ in range(threads)]
    rates = []
    for _ in range(4):
        start = time.perf_counter()
        list(pool(threads).map(np.sum, arrays))
        rates.append(sum(a.nbytes for a in arrays) / (time.perf_counter() - start) / 1e9)
    return max(rates)


def give_back() -> None:
    """Return what is no longer used to the system, so that the process has the size of the rest."""
    gc.collect()
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)


def measure(args: argparse.Namespace) -> list[dict]:
    codes, query = make_codes(args)
    rows, searches = [], []
    for method in methods(codes, args):
        give_back()
        before, start = psutil.Process().memory_info().rss, time.perf_counter()
        search = method.build()
        seconds = time.perf_counter() - start
        search(query[: method.slow or len(query)], args.k)  # the warm-up
        give_back()
        grown = psutil.Process().memory_info().rss - before
        memory = grown / len(codes) - method.id_bytes
        rows.append({"method": method, "build": seconds, "memory": memory})
        rows[-1] |= {clock: {b: [] for b in args.batches} for clock in ("wall", "processor")}
        searches.append(search)
    exact = {}
    for weighted in (True, False):
        index = WeightedIndex(
            codes.weights if weighted else np.ones(codes.bits), threads=args.threads
        )
        index.add(codes, np.arange(len(codes)))
        exact[weighted] = index.search(query[:50], args.k)
    del index
    for row, search in zip(rows, searches, strict=True):
        some = query[: row["method"].slow or 50]
        found = search(some, args.k)
        row["recall"] = recall(row["method"], found, some, codes, exact[row["method"].weighted])
    for batch in args.batches:
        for turn in range(args.rounds):
            for place in range(len(rows)):
                row = rows[(place + turn) % len(rows)]
                search = searches[(place + turn) % len(rows)]
                size = min(batch, row["method"].slow or batch)
                first = (turn * size) % (len(query) - size + 1)
                some = query[first : first + size]
                start, used = time.perf_counter(), time.process_time()
                search(some, args.k)
                row["wall"][batch].append((time.perf_counter() - start) / size * 1e3)
                row["processor"][batch].append((time.process_time() - used) / size * 1e3)
    if args.file:
        time_file(codes, args)
    return rows


def time_file(codes: Codes, args: argparse.Namespace) -> None:
    index = WeightedIndex(codes.weights, threads=args.threads)
    index.add(codes, np.arange(len(codes)))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.index"
        start = time.perf_counter()
        index.write(path)
        wrote = time.perf_counter()
        WeightedIndex.read(path)
        print(
            f"WeightedIndex in a file: written in {wrote - start:.2f} s, "
            f"read in {time.perf_counter() - wrote:.2f} s\n"
        )


def report(rows: list[dict], args: argparse.Namespace) -> None:
    reads = {threads: bandwidth(threads) for threads in sorted({1, args.threads})}
    size = args.codes * -(-args.bits // 8)
    print(
        f"{args.codes:,} codes of {args.bits} bits, {args.data}; weights fall from "
        f"{args.weights_ratio:g} to 1; k = {args.k}; {args.threads} threads of {os.cpu_count()} "
        f"processors ({platform.machine()}); median of {args.rounds} rounds; "
        f"FAISS {faiss.__version__}, NumPy {np.__version__}\n"
    )
    print(
        "Memory reads "
        + ", ".join(f"{rate:.1f} GB/s with {n} threads" for n, rate in reads.items())
        + f": all codes take {size / reads[args.threads] / 1e6:.2f} ms\n"
    )
    print(f"| method | build s | bytes/code | recall@{args.k} |{heads('wall', args)}")
    print("|---|" + "---:|" * (3 + len(args.batches)))
    for row in rows:
        print(
            f"| {row['method'].name} | {row['build']:.2f} | {row['memory']:.1f} | "
            f"{row['recall']:.3f} |{cells(row, rows[0], 'wall')}"
        )
    print(f"\n|processor time |{heads('processor', args)}")
    print("|---|" + "---:|" * len(args.batches))
    for row in rows:
        print(f"| {row['method'].name} |{cells(row, rows[0], 'processor')}")
    print(
        f"\n×: times as fast as {rows[0]['method'].name}. What other processes do lengthens wall "
        "time, and processor time hardly."
    )


def heads(clock: str, args: argparse.Namespace) -> str:
    return "".join(f" {clock} ms/query, {batch} at a time |" for batch in args.batches)


def cells(row: dict, first: dict, clock: str) -> str:
    text = ""
    for batch, times in row[clock].items():
        median, other = statistics.median(times), statistics.median(first[clock][batch])
        text += f" {median:.3f} ({other / median:.2f} ×) |"
    return text


def plot(rows: list[dict], args: argparse.Namespace) -> None:
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 0.5 * len(rows) + 1.5), layout="constrained")
    height = 0.8 / len(args.batches)
    for place, batch in enumerate(args.batches):
        medians = [statistics.median(row["wall"][batch]) for row in rows]
        at = np.arange(len(rows)) + height * place
        axes.barh(at, medians, height, label=f"{batch} at a time")
    axes.set_yticks(np.arange(len(rows)) + 0.4 - height / 2, [r["method"].name for r in rows])
    axes.invert_yaxis()
    times = [statistics.median(row["wall"][batch]) for row in rows for batch in args.batches]
    wide = max(times) > 50 * min(times)
    if wide:  # a bar on a logarithmic axis has no true length: only where there is no other way
        axes.set_xscale("log")
    axes.set_xlabel("milliseconds a query" + (", logarithmic" if wide else ""))
    axes.set_title(f"{args.codes:,} codes of {args.bits} bits, {args.data}")
    axes.legend(title="queries")
    figure.savefig(args.plot, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--codes", type=int, default=1_000_000)
    parser.add_argument("--bits", type=int, default=128)
    parser.add_argument("--batches", default="1,10,100", help="queries at a time")
    parser.add_argument("--k", type=int, default=100)
    parser.add_argument("--data", choices=("random", "clustered", "near"), default="random")
    parser.add_argument("--weights-ratio", type=float, default=1.5, help="largest to smallest")
    parser.add_argument("--methods", default=DEFAULT, help=f"{DEFAULT},hnsw,usearch")
    parser.add_argument("--probes", type=int, help="clusters that IvfWeightedIndex looks at")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--file", action="store_true", help="time a file of the index, too")
    parser.add_argument("--plot", type=Path, help="write a picture of the times")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    args.batches = [int(batch) for batch in args.batches.split(",")]
    faiss.omp_set_num_threads(args.threads)
    rows = measure(args)
    report(rows, args)
    if args.plot:
        plot(rows, args)


if __name__ == "__main__":
    main()
