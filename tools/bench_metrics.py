"""Time the counting path of the metrics against sorting, and against public toolkits.

    python tools/bench_metrics.py                                            # Market-1501's size
    python tools/bench_metrics.py --queries 10000 --gallery 50000 --bits 64 --classes 10

All rows evaluate the same codes under the same camera rule, in one run: distances, ranking, CMC and
mAP. The order of the rows is rotated over the rounds, medians are printed. A row named "of the
first N" ran on N queries and is scaled to all of them.
"""

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

import cv2
import numpy as np

from reid_hash.codes import Codes
from reid_hash.distances import hamming, hamming_blocks, weighted, weighted_blocks
from reid_hash.metrics import RANKS, rank_code_blocks, rank_codes, summarise, valid_mask

TOOLKITS = (
    ("torchreid", "torchreid.reid.metrics.rank"),
    ("torchreid", "torchreid.metrics.rank"),
    ("fastreid", "fastreid.evaluation.rank"),
)


def make_codes(args: argparse.Namespace) -> tuple[Any, ...]:
    """Codes that scatter around one centre a class, as those of a trained network do."""
    rng = np.random.default_rng(args.seed)
    centres = rng.random((args.classes, args.bits)) < 0.5
    labels = [rng.integers(0, args.classes, n) for n in (args.queries, args.gallery)]
    cameras = [rng.integers(0, args.cameras, n) for n in (args.queries, args.gallery)]
    weights = rng.random(args.bits) + 0.1
    codes = [
        Codes.from_outputs(centres[own] ^ (rng.random((len(own), args.bits)) < args.noise), weights)
        for own in labels
    ]
    return (*codes, *labels, *cameras)


def by_counting(case: tuple[Any, ...], args: argparse.Namespace, threads: int) -> dict[str, float]:
    if not args.weighted:
        return summarise(rank_codes(*case, args.rule, threads=threads), RANKS)
    blocks = rank_code_blocks(*case, args.rule, weighted=True, threads=threads)
    return summarise((groups for _, groups in blocks), RANKS)


def by_sorting(
    case: tuple[Any, ...], args: argparse.Namespace, kind: str, dtype: str | None = None
) -> dict[str, float]:
    """Argsort of each query's distances, then CMC and step AP without a loop over images."""
    query, gallery, labels, in_gallery, cameras, seen_by = case
    sums, matched = np.zeros(len(RANKS) + 1), 0
    blocks = (weighted_blocks if args.weighted else hamming_blocks)(query, gallery)
    for i, distances in enumerate(row for _, block in blocks for row in block):
        one = slice(i, i + 1)
        if dtype is not None:
            distances = distances.astype(dtype)
        order = np.argsort(distances, kind=kind)
        hits = in_gallery[order] == labels[i]
        if args.rule != "none":
            kept = valid_mask(args.rule, labels[one], in_gallery, cameras[one], seen_by)[0]
            hits = hits[kept[order]]
        places = np.flatnonzero(hits)
        if len(places):
            matched += 1
            sums[:-1] += places[0] < np.array(RANKS)
            sums[-1] += (np.arange(1, len(places) + 1) / (places + 1)).mean()
    names = [*(f"rank{rank}" for rank in RANKS), "map"]
    return dict(zip(names, (sums / max(1, matched)).tolist(), strict=True))


def by_toolkit(
    evaluate: Callable[..., Any], compiled: bool, case: tuple[Any, ...], args: argparse.Namespace
) -> dict[str, float]:
    query, gallery, labels, in_gallery, cameras, seen_by = case
    distances = (weighted if args.weighted else hamming)(query, gallery).astype(np.float32)
    everything = (distances, labels, in_gallery, cameras, seen_by, max(RANKS))
    curve, area = evaluate(*everything, use_metric_cuhk03=False, use_cython=compiled)[:2]
    return {"rank1": float(curve[0]), "map": float(np.mean(area))}


def toolkits() -> list[tuple[str, Callable[..., Any] | None, bool]]:
    """(name, evaluator or None, whether it is compiled) of each public toolkit."""
    found: dict[str, tuple[str, Callable[..., Any] | None, bool]] = {}
    for name, module_name in TOOLKITS:
        found.setdefault(name, (name, None, False))
        try:
            module = import_module(module_name)
        # a toolkit may fail on import in its own way; any means "not usable"
        except Exception:  # nosec B112  # the table says which were not usable
            continue
        compiled = bool(
            getattr(module, "IS_CYTHON_AVAI", getattr(module, "IS_CYTHON_AVAIL", False))
        )
        found[name] = (
            f"{name} ({'Cython' if compiled else 'Python'})",
            module.evaluate_rank,
            compiled,
        )
    return list(found.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--queries", type=int, default=3368)
    parser.add_argument("--gallery", type=int, default=15913)
    parser.add_argument("--bits", type=int, default=128)
    parser.add_argument("--classes", type=int, default=750, help="identities or classes")
    parser.add_argument("--cameras", type=int, default=6)
    parser.add_argument("--rule", default=None, help="default: market, or none below 100 classes")
    parser.add_argument("--weighted", action="store_true")
    parser.add_argument("--noise", type=float, default=0.25, help="share of flipped bits")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of the counting path")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--slow-queries", type=int, default=500, help="that the slow rows run on")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    args.rule = args.rule or ("market" if args.classes >= 100 else "none")
    case = make_codes(args)
    n = min(args.slow_queries, args.queries)
    some = tuple(part[:n] if i % 2 == 0 else part for i, part in enumerate(case))

    rows: dict[str, tuple[Callable[[], dict[str, float]], int]] = {}
    for threads in sorted({1, args.threads}):
        rows[f"counting, threads={threads}"] = (
            lambda threads=threads: by_counting(case, args, threads),
            args.queries,
        )
    own = "float64" if args.weighted else "uint16"
    for label, kind, dtype in (
        (f"argsort of {own}", "quicksort", None),
        (f"argsort of {own}, stable", "stable", None),
        ("argsort of float32", "quicksort", "float32"),
    ):
        rows[label] = (lambda kind=kind, dtype=dtype: by_sorting(some, args, kind, dtype), n)
    for name, evaluate, compiled in toolkits():
        if evaluate is None:
            print(f"{name}: not installed")
        elif args.rule != "market":
            print(f"{name}: left out, it knows the Market rule alone")
        else:
            rows[name] = (lambda e=evaluate, c=compiled: by_toolkit(e, c, some, args), n)
    run(rows, args)


def run(rows: dict[str, tuple[Callable[[], dict[str, float]], int]], args: Any) -> None:
    times: dict[str, list[float]] = {name: [] for name in rows}
    processor: dict[str, list[float]] = {name: [] for name in rows}
    figures = {name: work() for name, (work, _) in rows.items()}  # the warm-up
    names = list(rows)
    for turn in range(args.rounds):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            work, queries = rows[name]
            start, used = time.perf_counter(), time.process_time()
            work()
            scale = args.queries / queries
            times[name].append((time.perf_counter() - start) * scale)
            processor[name].append((time.process_time() - used) * scale)
    print(
        f"{args.queries} x {args.gallery} codes of {args.bits} bits, {args.classes} classes, "
        f"rule {args.rule}, {'weighted' if args.weighted else 'unweighted'}; median of "
        f"{args.rounds} rounds; NumPy {np.__version__}, OpenCV {cv2.__version__}, "
        f"{os.cpu_count()} processors ({platform.machine()}), "
        f"OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', 'unset')}; only counting uses threads"
    )
    own = f"counting, threads={args.threads}"
    best, least = statistics.median(times[own]), statistics.median(processor[own])
    print("ratio: to the last counting row; processor time hardly depends on what else is running")
    print(f"{'':48} {'seconds':>8} {'ratio':>6} {'cpu s':>8} {'ratio':>6} {'rank-1':>7} {'mAP':>7}")
    for name, (_, queries) in rows.items():
        part = "" if queries == args.queries else f" (of the first {queries})"
        wall, used = statistics.median(times[name]), statistics.median(processor[name])
        rank1, area = figures[name]["rank1"], figures[name]["map"]
        print(
            f"{name + part:48} {wall:8.3f} {wall / best:6.1f} {used:8.3f} {used / least:6.1f} "
            f"{rank1:7.4f} {area:7.4f}"
        )


if __name__ == "__main__":
    main()
