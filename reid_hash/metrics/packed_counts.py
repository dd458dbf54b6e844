"""Counting the images before and beside the relevant ones, a block of queries at a time."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from reid_hash.codes import Codes
from reid_hash.metrics.ties import Ints, TieGroups, from_counts, from_histograms

_COLUMNS = 2**16
"""Gallery codes compared at a time, also so that a count of `cv2.calcHist`, a float32, is exact."""

_WORDS = 2**18
"""64-bit words compared in one call: 2 MB stay in a cache, and are work enough for a thread to let
go of the interpreter's lock."""

_MANY = 512
"""From this many images on, a slice's own histogram is faster than collecting its distances."""

_ROW_SHIFT = 40
"""Weighted distances, as integers, are below 2^40: a row number above makes one sortable key."""


@dataclass(frozen=True, eq=False)
class Slices:
    """Where a gallery in order of label and camera keeps a query's images.

    Attributes:
        order: [G] puts the gallery in that order.
        start, stop: [Q] the images of the query's label.
        drop_start, drop_stop: [Q] those among them that the camera rule drops.
    """

    order: Ints
    start: Ints
    stop: Ints
    drop_start: Ints
    drop_stop: Ints

    @classmethod
    def find(cls, query_labels: Ints, query_cameras: Ints, labels: Ints, cameras: Ints) -> "Slices":
        """Sort a gallery; labels and cameras are 0 … n-1. Same label and camera are dropped."""
        n_cameras = 1 + int(np.concatenate([query_cameras, cameras]).max(initial=0))
        keys = labels * n_cameras + cameras
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
        own = query_labels * n_cameras
        return cls(
            order,
            np.searchsorted(keys, own),
            np.searchsorted(keys, own + n_cameras),
            np.searchsorted(keys, own + query_cameras, "left"),
            np.searchsorted(keys, own + query_cameras, "right"),
        )

    def without_dropped(self) -> "Slices":
        """The same with nothing dropped."""
        return replace(self, drop_start=self.start, drop_stop=self.start)


class BlockCounter(ABC):
    """Computes the `TieGroups` of some of the queries."""

    @abstractmethod
    def rows_within(self, limit: int) -> int:
        """How many queries can be counted at a time with `limit` bytes."""

    @abstractmethod
    def count(self, rows: slice) -> TieGroups:
        """The groups of these queries; thread-safe."""


class HistogramCounter(BlockCounter):
    """Unweighted: histograms over the bits + 1 possible distances."""

    def __init__(self, query: Codes, gallery: Codes, slices: Slices) -> None:
        self.query = _words(query)
        # One row a word: neighbours in memory are compared with one number.
        self.gallery = np.ascontiguousarray(_words(gallery).T)
        self.slices = slices
        self.levels = query.bits + 1
        self.dtype = np.uint8 if query.bits <= 255 else np.uint16

    def rows_within(self, limit: int) -> int:
        """See `BlockCounter`; histograms and what is made of them take about 80 bytes a level."""
        longest = int((self.slices.stop - self.slices.start).max(initial=0))
        return max(1, limit // (80 * self.levels + 32 * min(longest, _MANY)))

    def count(self, rows: slice) -> TieGroups:
        """See `BlockCounter`."""
        part = self.slices
        start, stop = part.start[rows], part.stop[rows]
        drop_start, drop_stop = part.drop_start[rows], part.drop_stop[rows]
        valid = np.zeros((len(start), self.levels), np.int64)
        same_label = _SliceHistograms(start, stop, valid.shape, self.dtype)
        dropped = _SliceHistograms(drop_start, drop_stop, valid.shape, self.dtype)
        columns = self.gallery.shape[1]
        batch = max(1, _WORDS // max(1, min(columns, _COLUMNS)))
        distances = np.empty((batch, columns), self.dtype)
        words = self.query[rows]
        for first in range(0, len(words), batch):
            lines = distances[: len(words) - first]
            self._compare(words[first : first + batch], lines)
            for row, line in enumerate(lines, first):
                for column in range(0, columns, _COLUMNS):
                    valid[row] += _histogram(line[column : column + _COLUMNS], self.levels)
                same_label.add(row, line)
                dropped.add(row, line)
        n_dropped = dropped.result()
        return from_histograms(valid - n_dropped, same_label.result() - n_dropped)

    def _compare(self, words: NDArray[np.uint64], out: NDArray[Any]) -> None:
        """Unweighted distances of some queries: words [q, words], out [q, G]."""
        differing = np.empty((len(words), min(out.shape[1], _COLUMNS)), np.uint64)
        counts = np.empty(differing.shape, np.uint8)
        for column in range(0, out.shape[1], _COLUMNS):
            tile = slice(column, column + _COLUMNS)
            part = out[:, tile]
            xor, count = differing[:, : part.shape[1]], counts[:, : part.shape[1]]
            np.bitwise_xor(words[:, 0, None], self.gallery[0, tile], out=xor)
            np.bitwise_count(xor, out=part)
            for word in range(1, words.shape[1]):
                np.bitwise_xor(words[:, word, None], self.gallery[word, tile], out=xor)
                np.bitwise_count(xor, out=count)
                np.add(part, count, out=part)


class _SliceHistograms:
    """Histograms of one slice of each row; short slices are collected and counted together."""

    def __init__(
        self, start: Ints, stop: Ints, shape: tuple[int, int], dtype: type[np.generic]
    ) -> None:
        self.start, self.stop = start.tolist(), stop.tolist()
        self.histograms = np.zeros(shape, np.int64)
        sizes = stop - start
        self.short = np.where(sizes < _MANY, sizes, 0)
        self.ends = np.cumsum(self.short).tolist()
        self.collected = np.empty(self.short.sum(), dtype)

    def add(self, row: int, distances: NDArray[Any]) -> None:
        start, stop = self.start[row], self.stop[row]
        if stop - start >= _MANY:
            for column in range(start, stop, _COLUMNS):
                tile = distances[column : min(column + _COLUMNS, stop)]
                self.histograms[row] += _histogram(tile, self.histograms.shape[1])
        elif stop > start:
            end = self.ends[row]
            self.collected[end - (stop - start) : end] = distances[start:stop]

    def result(self) -> Ints:
        rows, levels = self.histograms.shape
        keys = np.repeat(np.arange(rows) * levels, self.short) + self.collected
        return self.histograms + np.bincount(keys, minlength=rows * levels).reshape(rows, levels)


class SearchCounter(BlockCounter):
    """Weighted: each row of distances is sorted as bare numbers, and the relevant looked up.

    The distances are computed as integers, multiples of the weights' common unit, hence exactly.
    NumPy sorts such a row of numbers with SIMD at the cost of a few comparisons with every one of
    them: a tenth of the time that an argsort and the gathering of labels in its order take.
    """

    def __init__(self, query: Codes, gallery: Codes, slices: Slices) -> None:
        weights = _integer_weights(gallery)
        bits = gallery.unpack().astype(np.float64)
        # sum w(x + y - 2xy) = [w(1 - 2x)]·y + sum wx: one matrix product with a column of ones.
        self.gallery = np.concatenate([bits, np.ones((len(bits), 1))], axis=1).T
        self.query, self.weights, self.slices = query, weights, slices
        self.dtype = np.int32 if weights.sum() < 2**31 else np.int64

    def rows_within(self, limit: int) -> int:
        """See `BlockCounter`; more than 64 rows make the matrix product no faster."""
        longest = int((self.slices.stop - self.slices.start).max(initial=0))
        row_bytes = 12 * self.gallery.shape[1] + 80 * longest
        return int(min(64, max(1, limit // max(1, row_bytes))))

    def count(self, rows: slice) -> TieGroups:
        """See `BlockCounter`."""
        part = self.slices
        bits = self.query[rows].unpack()
        signed = np.where(bits, -self.weights, self.weights)
        total = (bits * self.weights).sum(axis=1, keepdims=True)
        distances = (np.concatenate([signed, total], axis=1) @ self.gallery).astype(self.dtype)
        start, stop = part.start[rows], part.stop[rows]
        drop_start, drop_stop = part.drop_start[rows], part.drop_stop[rows]
        dropped = _sorted_keys(distances, [(drop_start, drop_stop)])
        keys = _sorted_keys(distances, [(start, drop_start), (drop_stop, stop)])
        opens = np.flatnonzero(np.diff(keys, prepend=-1))
        relevant = np.diff(opens, append=len(keys))
        keys = keys[opens]
        query, values = keys >> _ROW_SHIFT, (keys & (2**_ROW_SHIFT - 1)).astype(self.dtype)
        ends = np.searchsorted(query, np.arange(len(distances) + 1)).tolist()
        before, up_to = np.empty(len(keys), np.int64), np.empty(len(keys), np.int64)
        for row, line in enumerate(distances):
            line.sort()
            found = slice(ends[row], ends[row + 1])
            wanted = values[found]
            before[found] = line.searchsorted(wanted)
            up_to[found] = before[found] + relevant[found]
            # Few of the relevant tie with others, so few need a second search for the group's end.
            tied = np.flatnonzero(line.take(up_to[found], mode="clip") == wanted)
            up_to[found][tied] = line.searchsorted(wanted[tied], "right")
        first_dropped = np.searchsorted(dropped, query << _ROW_SHIFT)
        before -= np.searchsorted(dropped, keys, "left") - first_dropped
        up_to -= np.searchsorted(dropped, keys, "right") - first_dropped
        n_valid = distances.shape[1] - (drop_stop - drop_start)
        return from_counts(query, before, up_to - before, relevant, n_valid)


def _words(codes: Codes) -> NDArray[np.uint64]:
    """[n, ceil(bits / 64)] uint64, zero-padded."""
    padded = np.zeros((len(codes), -(-codes.packed.shape[1] // 8) * 8), np.uint8)
    padded[:, : codes.packed.shape[1]] = codes.packed
    return padded.view(np.uint64)


def _histogram(distances: NDArray[Any], levels: int) -> Ints:
    """[levels] how often each distance occurs. OpenCV counts bytes twice as fast as NumPy."""
    if distances.dtype != np.uint8:
        return np.bincount(distances, minlength=levels)
    counts: Ints = cv2.calcHist([distances], [0], None, [levels], [0, levels]).astype(np.int64)
    return counts[:, 0]


def _integer_weights(codes: Codes) -> NDArray[np.float64]:
    """Weights as multiples of their largest common unit: integers (`codes.exact_weights`)."""
    weights = codes.weights.astype(np.float64)
    _, exponent = np.frexp(weights.max())
    integers = np.ldexp(weights, 25 - int(exponent)).astype(np.int64)
    smallest: NDArray[np.float64] = (integers // np.gcd.reduce(integers)).astype(np.float64)
    return smallest


def _sorted_keys(distances: NDArray[Any], slices: list[tuple[Ints, Ints]]) -> NDArray[np.int64]:
    """[n] keys of row and distance over some slices of every row, in order."""
    keys = []
    for start, stop in slices:
        sizes = stop - start
        rows = np.repeat(np.arange(len(sizes)), sizes)
        columns = np.arange(len(rows)) + np.repeat(stop - np.cumsum(sizes), sizes)
        keys.append((rows << _ROW_SHIFT) | distances[rows, columns].astype(np.int64))
    joined = np.concatenate(keys)
    joined.sort()
    return joined
