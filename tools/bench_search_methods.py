"""The codes and the methods that `bench_search.py` sets beside each other."""

import argparse
from collections.abc import Callable, Iterator
from typing import NamedTuple

import faiss
import numpy as np

from reid_hash.codes import Codes
from reid_hash.gallery.sqlite.index import choose_scan_bits
from reid_hash.index import HammingIndex, IvfWeightedIndex, Matches, WeightedIndex

BLOCK = 2**17


class Method(NamedTuple):
    """A row: `build` gives a search of (queries, k); the rest says how to judge it."""

    name: str
    build: Callable[[], Callable[[Codes, int], Matches]]
    weighted: bool = True
    slow: int = 0  # queries at a time, where all would take too long
    id_bytes: int = 8


def blocks(total: int) -> Iterator[int]:
    for start in range(0, total, BLOCK):
        yield min(BLOCK, total - start)


def make_codes(args: argparse.Namespace) -> tuple[Codes, Codes]:
    """(codes, queries) of the same kind; weights that fall linearly."""
    rng = np.random.default_rng(args.seed)
    n, bits = args.codes + max(args.batches), args.bits
    if args.data == "random":
        ones = (rng.random((size, bits), np.float32) < 0.5 for size in blocks(n))
    elif args.data == "near":
        centres = rng.random((max(1, n // 200), bits)) < 0.5
        ones = (
            centres[rng.integers(0, len(centres), size)]
            ^ (rng.random((size, bits), np.float32) < 0.03)
            for size in blocks(n)
        )
    else:
        points = rng.standard_normal((max(1, n // 20), 24), np.float32)
        axes = rng.standard_normal((24, bits), np.float32) / np.sqrt(np.float32(24))
        ones = (
            points[rng.integers(0, len(points), size)] @ axes
            + np.float32(0.4) * rng.standard_normal((size, bits), np.float32)
            > 0
            for size in blocks(n)
        )
    packed = np.concatenate([np.packbits(block, axis=1, bitorder="little") for block in ones])
    weights = np.linspace(args.weights_ratio, 1, bits)
    codes = Codes(packed, bits, weights)
    return codes[: args.codes], codes[args.codes :]


def methods(codes: Codes, args: argparse.Namespace) -> list[Method]:
    ids = np.arange(len(codes))

    def filled(index) -> Callable[[Codes, int], Matches]:
        index.add(codes, ids)
        return index.search

    def faiss_flat() -> Callable[[Codes, int], Matches]:
        return of_faiss(faiss.IndexBinaryFlat(8 * codes.packed.shape[1]))

    def faiss_hnsw() -> Callable[[Codes, int], Matches]:
        index = faiss.IndexBinaryHNSW(8 * codes.packed.shape[1], 32)
        index.hnsw.efSearch = max(128, args.k)
        return of_faiss(index)

    def of_faiss(index) -> Callable[[Codes, int], Matches]:
        index.add(codes.packed)
        return lambda query, k: Matches(*index.search(query.packed, k))

    def values() -> Callable[[Codes, int], Matches]:
        search = filled(WeightedIndex(codes.weights, threads=args.threads))
        return lambda query, k: search(query.unpack() * 2.0 - 1, k)

    bits = choose_scan_bits(codes, args.k, args.threads)
    known = {
        "flat": Method("faiss.IndexBinaryFlat", faiss_flat, weighted=False, id_bytes=0),
        "weighted": Method(
            "WeightedIndex", lambda: filled(WeightedIndex(codes.weights, threads=args.threads))
        ),
        "scan": Method(
            f"WeightedIndex, scan_bits={bits}",
            lambda: filled(WeightedIndex(codes.weights, threads=args.threads, scan_bits=bits)),
        ),
        "tables": Method(
            "WeightedIndex, hash_tables",
            lambda: filled(WeightedIndex(codes.weights, threads=args.threads, hash_tables=True)),
        ),
        "values": Method("WeightedIndex, real-valued queries", values),
        "weighted-ivf": Method(
            "IvfWeightedIndex",
            lambda: filled(
                IvfWeightedIndex(codes.weights, threads=args.threads, probes=args.probes)
            ),
            id_bytes=16,
        ),
        "ivf": Method(
            "HammingIndex, ivf",
            lambda: filled(HammingIndex(codes.bits, "ivf", threads=args.threads)),
            weighted=False,
        ),
        "hnsw": Method("faiss.IndexBinaryHNSW", faiss_hnsw, weighted=False, id_bytes=0),
        "usearch": Method("usearch, hamming", lambda: usearch(codes, args), weighted=False),
        "lookup": Method("NumPy look-up table", lambda: lookup(codes), slow=2, id_bytes=0),
    }
    wanted = args.methods.split(",")
    if bits == codes.bits and "scan" in wanted:
        wanted.remove("scan")
    return [known[name] for name in wanted]


def lookup(codes: Codes) -> Callable[[Codes, int], Matches]:
    """What NumPy alone can do: a table of 256 sums for each byte, made for each query."""
    by_byte = np.ascontiguousarray(codes.packed.T)
    weights = np.zeros(8 * len(by_byte), np.float32)
    weights[: codes.bits] = codes.weights
    values = np.arange(256, dtype=np.uint8)[:, None]

    def search(query: Codes, k: int) -> Matches:
        found = np.empty((len(query), k)), np.empty((len(query), k), np.int64)
        for row, packed in enumerate(query.packed):
            distances = np.zeros(len(codes), np.float32)
            for byte, column in enumerate(by_byte):
                differing = np.unpackbits(values ^ packed[byte], axis=1, bitorder="little")
                distances += (differing @ weights[8 * byte : 8 * byte + 8]).take(column)
            nearest = np.argpartition(distances, k - 1)[:k]
            nearest = nearest[np.argsort(distances[nearest], kind="stable")]
            found[0][row], found[1][row] = distances[nearest], nearest
        return Matches(*found)

    return search


def usearch(codes: Codes, args: argparse.Namespace) -> Callable[[Codes, int], Matches]:
    from usearch.index import Index

    index = Index(ndim=8 * codes.packed.shape[1], dtype="b1", metric="hamming")
    index.add(np.arange(len(codes)), codes.packed, threads=args.threads)

    def search(query: Codes, k: int) -> Matches:
        found = index.search(query.packed, k, threads=args.threads)
        keys, distances = (np.atleast_2d(a) for a in (found.keys, found.distances))
        return Matches(distances.astype(np.float64), keys.astype(np.int64))

    return search
