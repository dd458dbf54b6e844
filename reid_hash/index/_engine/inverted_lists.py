"""Clustered codes (inverted lists); a search compares only the most promising clusters."""

import os
from collections.abc import Iterator
from functools import cached_property
from typing import Any, NamedTuple

import faiss
import numpy as np
from numpy.typing import NDArray

from reid_hash.codes import Codes, unpack
from reid_hash.index._engine.index_file import check_array, read_index_file, whole_index
from reid_hash.index._engine.layout import (
    LANES,
    block_nibbles,
    make_scanner,
    pack_blocks,
    unit_centroids,
    unpack_blocks,
)
from reid_hash.index._engine.segments import Scanned, Searchable

_ID_BYTES = 8

_SAMPLE = 32  # training codes per cluster; more hardly improves the lists
_ROUNDS = 8  # k-means iterations
_BLOCK = 2**15  # codes processed at a time


class Lists(Searchable):
    """Clustered codes in a file made from `cluster_arrays`, searched through a memory map.

    Args:
        path: the file. It may be deleted while in use if the operating system allows that.
        probes: number of lists that a query searches. Default: `default_probes`.
    """

    def __init__(self, path: str | os.PathLike[str], probes: int | None = None) -> None:
        self.header, self.arrays = read_index_file(path, "weighted-ivf")
        with whole_index(path):  # FAISS trusts these offsets and does not check them
            self.ids: NDArray[np.int64] = check_array(self.arrays, "ids", np.int64, None)
            self._means: NDArray[np.float32] = check_array(
                self.arrays, "means", np.float32, None, None
            )
            lists, bits = self._means.shape
            sizes = check_array(self.arrays, "sizes", np.int64, lists)
            fits = lists and bits and bits % 8 == 0 and sizes.min() >= 0
            if not fits or sizes.max() > len(self.ids) or sizes.sum() != len(self.ids):
                raise ValueError("its lists do not hold the codes that it says")
            self._width = int(bits // 8)
            self._layout = lay_out(sizes, self._width)
            check_array(self.arrays, "region", np.uint8, self._layout.total)
            self._probes = int(min(probes or default_probes(lists), lists))
        self._open(path)

    def _open(self, path: str | os.PathLike[str]) -> None:
        lists, bits = self._means.shape
        start = self.header["start"] + self.header["arrays"]["region"]["at"]
        self._inverted = faiss.OnDiskInvertedLists(lists, self._width, os.fspath(path))
        self._inverted.lists.clear()
        for size, padded, begin in zip(*self._layout[:3], strict=True):
            one = faiss.OnDiskOneList()
            one.size, one.capacity, one.offset = int(size), int(padded), start + int(begin)
            self._inverted.lists.push_back(one)
        self._inverted.read_only, self._inverted.prefetch_nthread = True, 0
        self._inverted.totsize = os.path.getsize(path)
        self._inverted.do_mmap()
        # Share FAISS's own mapping: with a second one the process would hold the pages twice.
        mapped = faiss.rev_swig_ptr(self._inverted.ptr, self._inverted.totsize)
        self._region: NDArray[np.uint8] = mapped[start : start + self._layout.total]
        self._quantizer = faiss.IndexFlatL2(bits)  # a placeholder: `scan` chooses the lists
        self._ivf = faiss.IndexIVFPQFastScan(self._quantizer, bits, lists, bits // 4, 4)
        faiss.copy_array_to_vector(unit_centroids(self._width), self._ivf.pq.centroids)
        self._ivf.replace_invlists(self._inverted, False)
        self._ivf.nprobe = self._probes
        self._ivf.is_trained, self._ivf.ntotal = True, len(self.ids)

    @property
    def width(self) -> int:
        """Bytes per code."""
        return self._width

    @property
    def clusters(self) -> int:
        """Number of lists."""
        return len(self._means)

    @cached_property
    def order(self) -> NDArray[np.int64]:
        return np.argsort(self.ids)

    @property
    def nbytes(self) -> int:
        """Memory used by the codes, without ids, in bytes."""
        return int(self._layout.padded.sum()) * self._width

    @property
    def work(self) -> int:
        """Approximate number of codes that a query is compared with."""
        lists = len(self._means)
        return int(len(self) * self._probes // lists)

    def scan(self, vectors: NDArray[np.float32], fetch: int) -> Scanned:
        """Scan the most promising lists for the nearest codes, as `Segment.scan` does."""
        # Average cost of the codes of each list, up to a constant that all lists share.
        expected = (1 - 2 * vectors) @ self._means.T
        chosen = np.argpartition(expected, self._probes - 1, axis=1)[:, : self._probes]
        nothing = np.zeros(chosen.shape, np.float32)  # distances to lists: for residuals only
        return Scanned(*self._ivf.search_preassigned(vectors, fetch, chosen, nothing))

    def nibbles(self, slots: NDArray[np.int64]) -> NDArray[np.uint8]:
        layout = self._layout
        owner = np.searchsorted(layout.firsts, slots, side="right") - 1
        within = slots - layout.firsts[owner]
        lanes = within % LANES
        begins = layout.begins[owner] + (within - lanes) * self._width
        return block_nibbles(self._region, begins, lanes, self._width)

    def ranges(self) -> Iterator[NDArray[np.uint8]]:
        for start in range(0, len(self), _BLOCK):
            yield self.nibbles(self.order[start : start + _BLOCK])

    def packed(self) -> NDArray[np.uint8]:
        """Codes in the order of their ids, [n, width] uint8."""
        packed = np.empty((len(self), self._width), np.uint8)
        for size, padded, begin, first in zip(*self._layout[:4], strict=True):
            blocks = self._region[begin : begin + padded * self._width]
            packed[first : first + size] = unpack_blocks(
                blocks.reshape(-1, self._width, LANES), size
            )
        return packed[self.order]


class Layout(NamedTuple):
    """Byte layout of the lists. Each list's blocks are followed by 8 bytes per lane: its position.

    Attributes:
        sizes: [lists] int64, number of codes in each list.
        padded: [lists] int64, number of lanes in each list, a multiple of 32.
        begins: [lists] int64, byte offset of each list.
        firsts: [lists] int64, position of each list's first code.
        total: size of all lists in bytes.
    """

    sizes: NDArray[np.int64]
    padded: NDArray[np.int64]
    begins: NDArray[np.int64]
    firsts: NDArray[np.int64]
    total: int


def lay_out(sizes: NDArray[np.int64], width: int) -> Layout:
    """Lay out lists of the given sizes for codes of `width` bytes."""
    padded = -(-sizes // LANES) * LANES
    ends = np.cumsum(padded * (width + _ID_BYTES))
    firsts = np.cumsum(sizes) - sizes
    return Layout(sizes, padded, np.concatenate([[0], ends[:-1]]), firsts, int(ends[-1]))


def default_lists(count: int) -> int:
    """Return the number of lists for `count` codes: the power of two nearest the square root."""
    return int(2 ** np.round(np.log2(count) / 2))


def default_probes(lists: int) -> int:
    """Return the number of lists to search: their square root, for a recall@10 of about 0.95."""
    return int(np.ceil(np.sqrt(lists)))


def train(codes: Codes, lists: int, seed: int) -> NDArray[np.bool_]:
    """Train cluster centres by k-means on a sample of the codes.

    Args:
        codes: at least as many codes as `lists`.
        lists: number of clusters.
        seed: seed of the sample and of k-means.

    Returns:
        [lists, bits] bool, the cluster centres.
    """
    sample = np.random.default_rng(seed).permutation(len(codes))[: _SAMPLE * lists]
    root = np.sqrt(codes.weights)
    bits = codes[np.sort(sample)].unpack() * root
    means = faiss.Kmeans(codes.bits, lists, niter=_ROUNDS, seed=seed, min_points_per_centroid=1)
    means.train(bits.astype(np.float32))
    centres: NDArray[np.bool_] = means.centroids > root / 2
    return centres


def assign(codes: Codes, centres: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Assign each code to its nearest centre, up to the precision of 8-bit tables.

    Args:
        codes: n codes, compared by their own weights.
        centres: [lists, bits] bool, at least two.

    Returns:
        [n] int64, index of the nearest centre.
    """
    packed = np.packbits(centres, axis=1, bitorder="little")
    scanner = make_scanner(pack_blocks(packed), len(centres))
    owner = np.empty(len(codes), np.int64)
    cost = codes.weights / codes.weights.max()  # of a differing bit; vectors as in `QueryTables`
    for start in range(0, len(codes), _BLOCK):
        some = codes[start : start + _BLOCK]
        vectors = np.full((len(some), scanner.d), 0.5, np.float32)
        vectors[:, : codes.bits] = some.unpack() * cost + (1 - cost) / 2
        owner[start : start + len(some)] = scanner.search(vectors, 2)[1][:, 0]
    return owner


def cluster_arrays(
    codes: Codes, ids: NDArray[np.int64], owner: NDArray[np.int64], lists: int
) -> dict[str, NDArray[Any]]:
    """Prepare clustered codes for writing.

    Args:
        codes: n codes.
        ids: [n] int64, the ids of the codes.
        owner: [n] int64, the list of each code.
        lists: number of lists.

    Returns:
        Arrays by name: `means` [lists, 8 · width] float32, the share of ones per bit; `sizes`
        [lists]; `ids` [n] in order of position; `region`, the lists' bytes.
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
        region[behind : behind + _ID_BYTES * size].view(np.int64)[:] = first + np.arange(size)
    return {"means": means, "sizes": layout.sizes, "ids": ids[order], "region": region}
