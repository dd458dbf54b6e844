"""Time `metrics.retrieval` against sorting each query's distances in NumPy.

    python tools/bench_retrieval.py                      # 10,000 x 50,000 codes of 64 bits
    python tools/bench_retrieval.py --noise 0.03         # as a well-trained network makes them
    python tools/bench_retrieval.py --classes 21 --multi-label

Every row computes mAP, mAP@k, precision@k, recall@k, NDCG@k, precision within radius 2, and the
curves of precision and of precision and recall, from the same codes, in one thread. The sorting
rows run on some of the queries and are scaled up; they compute nothing but their distances, an
argsort and these figures, without a loop over images. All rows are warmed up once, their order is
rotated over the rounds, and medians are printed. The row of bit counts and histograms is what plain
NumPy offers instead of a sort: it stops at the histograms, so that it is the faster for it.
"""

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable

import cv2
import faiss
import numpy as np

from reid_hash import metrics
from reid_hash.codes import Codes
from reid_hash.data.labels import relevance, shared_labels
from reid_hash.distances import hamming_blocks, weighted_blocks

AT = (500, 5000)
SORTS = {
    "argsort": ("quicksort", None),
    "argsort of int64": ("quicksort", np.int64),
    "argsort of float32": ("quicksort", np.float32),
    "argsort, stable": ("stable", None),
    "argsort of uint8, stable": ("stable", np.uint8),
}
Case = tuple[Codes, Codes, np.ndarray, np.ndarray]
Figures = dict[str, float]


def make_case(args: argparse.Namespace) -> Case:
    """Codes that scatter around one centre a class, as those of a trained network do."""
    rng = np.random.default_rng(args.seed)
    centres = rng.random((args.classes, args.bits)) < 0.5
    weights = rng.random(args.bits) + 0.1
    codes, labels = [], []
    for n in (args.queries, args.gallery):
        own = rng.integers(0, args.classes, n)
        flipped = rng.random((n, args.bits)) < args.noise
        codes.append(Codes.from_outputs(centres[own] ^ flipped, weights))
        several = rng.random((n, args.classes)) < 1.5 / args.classes
        several[np.arange(n), own] = True
        labels.append(several if args.multi_label else own)
    return codes[0], codes[1], labels[0], labels[1]


def by_counting(case: Case, args: argparse.Namespace, threads: int) -> Figures:
    result = metrics.retrieval(*case, weighted=args.weighted, at=AT, threads=threads)
    return {"map": result.map, "map@500": result.map_at[500], "ndcg@500": result.ndcg_at[500]}


def by_numpy(case: Case) -> Figures:
    """Histograms of each query's distances, of all images and of the relevant ones, no figures."""
    query, gallery, labels, in_gallery = case
    words, stored = (
        np.ascontiguousarray(codes.packed).view(f"u{np.gcd(codes.packed.shape[1], 8)}")
        for codes in (query, gallery)
    )
    bins = query.bits + 1
    counts = np.empty((len(words), 2 * bins), np.int64)
    for i, word in enumerate(words):
        distances = np.bitwise_count(stored ^ word).sum(1, np.intp)
        distances += bins * relevance(labels[i : i + 1], in_gallery)[0]
        counts[i] = np.bincount(distances, minlength=2 * bins)
    return {"pairs": float(counts.sum())}


def by_sorting(case: Case, args: argparse.Namespace, sort: str) -> Figures:
    query, gallery, labels, in_gallery = case
    kind, dtype = SORTS[sort]
    positions = np.arange(1, len(gallery) + 1)
    discount = 1 / np.log2(positions + 1)
    plain = hamming_blocks(query, gallery)
    blocks = weighted_blocks(query, gallery) if args.weighted else plain
    rows: list[list[float]] = []
    for i, distances in enumerate(row for _, block in blocks for row in block):
        order = np.argsort(distances if dtype is None else distances.astype(dtype), kind=kind)
        if args.multi_label:
            gains = 2.0 ** shared_labels(labels[i : i + 1], in_gallery)[0] - 1
            hits = gains[order] > 0
            best, ranked = np.sort(gains)[::-1], gains[order[: max(AT)]]
        else:
            hits = relevance(labels[i : i + 1], in_gallery[order])[0]
            best, ranked = np.arange(len(gallery)) < np.count_nonzero(hits), hits[: max(AT)]
        places = np.flatnonzero(hits) + 1
        found = len(places)
        precisions = np.arange(1, found + 1) / places
        row = [precisions.mean()]
        for k in AT:
            n = np.searchsorted(places, k, "right")
            row += [precisions[:n].sum() / max(n, 1), n / k, n / found]
            row.append(ranked[:k] @ discount[:k] / (best[:k] @ discount[:k]))
        row += (np.searchsorted(places, metrics.RETURNED, "right") / metrics.RETURNED).tolist()
        wanted = np.ceil(np.array(metrics.RECALLS) * found - 1e-9).clip(1).astype(int)
        row += precisions[wanted - 1].tolist()
        if not args.weighted:
            in_ball = np.searchsorted(distances, 2, "right", sorter=order)
            row.append(np.searchsorted(places, in_ball, "right") / max(in_ball, 1))
        rows.append(row)
    means = np.mean(rows, axis=0)
    return {"map": means[0], "map@500": means[1], "ndcg@500": means[4]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--queries", type=int, default=10_000)
    parser.add_argument("--gallery", type=int, default=50_000)
    parser.add_argument("--bits", type=int, default=64)
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--multi-label", action="store_true")
    parser.add_argument("--weighted", action="store_true")
    parser.add_argument("--noise", type=float, default=0.25, help="share of flipped bits")
    parser.add_argument("--threads", type=int, default=1, help="a further row of counting")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--slow-queries", type=int, default=200, help="that the sorts run on")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    faiss.omp_set_num_threads(1)
    case = make_case(args)
    n = min(args.slow_queries, args.queries)
    some = (case[0][:n], case[1], case[2][:n], case[3])
    rows: dict[str, tuple[Callable[[], Figures], int]] = {
        f"counting, threads={t}": (lambda t=t: by_counting(case, args, t), args.queries)
        for t in sorted({1, args.threads})
    }
    if not args.weighted:
        rows["NumPy's bit counts and bincount"] = (lambda: by_numpy(some), n)
    for sort in SORTS:
        if not (args.weighted and "int" in sort):  # weighted distances are no integers
            rows[sort] = (lambda sort=sort: by_sorting(some, args, sort), n)
    figures = {name: work() for name, (work, _) in rows.items()}  # the warm-up
    # Figures of the same queries for all rows, so that they can be compared.
    figures |= {name: by_counting(some, args, 1) for name in figures if name.startswith("count")}
    report(rows, figures, case, args)


def report(
    rows: dict[str, tuple[Callable[[], Figures], int]],
    figures: dict[str, Figures],
    case: Case,
    args: argparse.Namespace,
) -> None:
    wall: dict[str, list[float]] = {name: [] for name in rows}
    processor: dict[str, list[float]] = {name: [] for name in rows}
    names = list(rows)
    for turn in range(args.rounds):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            work, queries = rows[name]
            start, used = time.perf_counter(), time.process_time()
            work()
            wall[name].append((time.perf_counter() - start) * args.queries / queries)
            processor[name].append((time.process_time() - used) * args.queries / queries)
    different = [len(np.unique(codes.packed, axis=0)) for codes in case[:2]]
    print(
        f"{args.queries} x {args.gallery} codes of {args.bits} bits, {different[0]} and "
        f"{different[1]} of them different; {args.classes} classes, "
        f"{'several labels' if args.multi_label else 'one label'} an image, "
        f"{'weighted' if args.weighted else 'unweighted'}; median of {args.rounds} rounds; NumPy "
        f"{np.__version__}, OpenCV {cv2.__version__}, {os.cpu_count()} processors "
        f"({platform.machine()}), OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', 'unset')}"
    )
    print("ratio: to counting in one thread; processor time hardly depends on what else is running")
    head = f"{'':44}{'seconds':>8} {'ratio':>6} {'cpu s':>7} {'ratio':>6}"
    print(f"{head}  figures of the first {min(args.slow_queries, args.queries)} queries")
    best = [statistics.median(times["counting, threads=1"]) for times in (wall, processor)]
    for name, (_, queries) in rows.items():
        part = "" if queries == args.queries else f" (of the first {queries})"
        seconds, used = statistics.median(wall[name]), statistics.median(processor[name])
        values = " ".join(f"{key} {value:.4f}" for key, value in figures[name].items())
        print(
            f"{name + part:44}{seconds:8.3f} {seconds / best[0]:6.1f} {used:7.3f} "
            f"{used / best[1]:6.1f}  {values}"
        )


if __name__ == "__main__":
    main()
