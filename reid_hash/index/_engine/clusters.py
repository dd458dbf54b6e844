"""Clusters of codes by weighted distance, in the file that `inverted_lists.Lists` searches."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from reid_hash.codes import Codes, unpack
from reid_hash.index._engine.layout import LANES, make_scanner, pack_blocks
from reid_hash.index._engine.untyped import faiss

ID_BYTES = 8

_SAMPLE = 32  # codes to train on for each cluster; more make the lists hardly better
_ROUNDS = 8  # of k-means
_BLOCK = 2**15  # codes handled at a time


class Layout(NamedTuple):
    """Where lists lie. The blocks of a list are followed by 8 bytes for each lane: its place.

    Attributes:
        sizes: [lists] int64, codes in each.
        padded: [lists] int64, lanes in each: multiples of 32.
        begins: [lists] int64, the byte where each begins.
        firsts: [lists] int64, the place of each list's first code.
        total: bytes of all lists.
    """

    sizes: NDArray[np.int64]
    padded: NDArray[np.int64]
    begins: NDArray[np.int64]
    firsts: NDArray[np.int64]
    total: int


def lay_out(sizes: NDArray[np.int64], width: int) -> Layout:
    """The layout of lists of these sizes, of codes of `width` bytes."""
    padded = -(-sizes // LANES) * LANES
    ends = np.cumsum(padded * (width + ID_BYTES))
    firsts = np.cumsum(sizes) - sizes
    return Layout(sizes, padded, np.concatenate([[0], ends[:-1]]), firsts, int(ends[-1]))


def default_lists(count: int) -> int:
    """How many lists to make of so many codes: the power of two next to the square root."""
    return int(2 ** np.round(np.log2(count) / 2))


def default_probes(lists: int) -> int:
    """How many lists to look at: the square root of their number, for a recall@10 of about .95."""
    return int(np.ceil(np.sqrt(lists)))


def train(codes: Codes, lists: int, seed: int) -> NDArray[np.bool_]:
    """Cluster centres by k-means on some of the codes.

    Args:
        codes: at least as many as lists.
        lists: how many clusters.
        seed: of the sample and the k-means.

    Returns:
        [lists, bits] bool.
    """
    sample = np.random.default_rng(seed).permutation(len(codes))[: _SAMPLE * lists]
    root = np.sqrt(codes.weights)
    bits = codes[np.sort(sample)].unpack() * root
    means = faiss.Kmeans(codes.bits, lists, niter=_ROUNDS, seed=seed, min_points_per_centroid=1)
    means.train(bits.astype(np.float32))
    centres: NDArray[np.bool_] = means.centroids > root / 2
    return centres


def assign(codes: Codes, centres: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The nearest centre of each code, as near as tables of 8 bits tell.

    Args:
        codes: by whose weights.
        centres: [lists, bits] bool, at least two.

    Returns:
        [n] int64.
    """
    packed = np.packbits(centres, axis=1, bitorder="little")
    scanner = make_scanner(pack_blocks(packed), len(centres))
    owner = np.empty(len(codes), np.int64)
    cost = codes.weights / codes.weights.max()  # of a differing bit; vectors as in `Costs`
    for start in range(0, len(codes), _BLOCK):
        some = codes[start : start + _BLOCK]
        vectors = np.full((len(some), scanner.d), 0.5, np.float32)
        vectors[:, : codes.bits] = some.unpack() * cost + (1 - cost) / 2
        owner[start : start + len(some)] = scanner.search(vectors, 2)[1][:, 0]
    return owner


def cluster_arrays(
    codes: Codes, ids: NDArray[np.int64], owner: NDArray[np.int64], lists: int
) -> dict[str, NDArray[Any]]:
    """What is to be written of clustered codes.

    Args:
        codes: n codes.
        ids: [n] int64.
        owner: [n] int64, the list of each.
        lists: how many lists there are.

    Returns:
        Arrays by name: `means` [lists, 8 · width] float32, the shares of ones; `sizes` [lists];
        `ids` [n] in the order of places; `region`, the lists.
    """
    order = np.argsort(owner, kind="stable")
    width = codes.packed.shape[1]
    layout = lay_out(np.bincount(owner, minlength=lists), width)
    region = np.zeros(layout.total, np.uint8)
    means = np.full((lists, 8 * width), 0.5, np.float32)
    for number in np.flatnonzero(layout.sizes):
        first, size = layout.firsts[number], layout.sizes[number]
        packed = codes.packed[order[first : first + size]]
        means[number] = unpack(packed, 8 * width).mean(axis=0, dtype=np.float32)
        begin, behind = layout.begins[number], layout.begins[number] + layout.padded[number] * width
        region[begin:behind] = pack_blocks(packed).reshape(-1)
        region[behind : behind + ID_BYTES * size].view(np.int64)[:] = first + np.arange(size)
    return {"means": means, "sizes": layout.sizes, "ids": ids[order], "region": region}
