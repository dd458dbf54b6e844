"""Count a block of queries' images at each unweighted distance, for single labels."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import cv2
import faiss
import numpy as np
from numpy.typing import NDArray

from reid_hash.codes import Codes
from reid_hash.metrics.gains import Gains, gain
from reid_hash.metrics.ties import Ints, TieGroups, from_histograms

COLUMNS = 2**16
"""Gallery codes compared at a time; also keeps the float32 counts of `cv2.calcHist` exact."""

_WORDS = 2**18
"""Distances computed per call: 1 MB fits in a cache, and is enough work to release the
interpreter's lock for."""

_MANY = 512
"""From this many images on, a histogram per slice is faster than collecting distances."""


@dataclass(frozen=True, eq=False)
class Slices:
    """A gallery in order of label and camera, and where it keeps each query's images.

    Attributes:
        order: [G] permutation that sorts the gallery.
        start, stop: [Q] slice of the images with the query's label.
        drop_start, drop_stop: [Q] slice of those images that the camera rule drops.
    """

    order: Ints
    start: Ints
    stop: Ints
    drop_start: Ints
    drop_stop: Ints

    @classmethod
    def find(cls, query_labels: Ints, query_cameras: Ints, labels: Ints, cameras: Ints) -> "Slices":
        """Sort a gallery by label and camera (each 0 … n-1); equal label and camera are dropped."""
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
        """Return the same slices with nothing dropped."""
        return replace(self, drop_start=self.start, drop_stop=self.start)


class Ranking(NamedTuple):
    """Counts for a block of queries."""

    groups: TieGroups
    gains: Gains


class BlockCounter(ABC):
    """Ranks the gallery for some of the queries."""

    @abstractmethod
    def rows_within(self, limit: int) -> int:
        """Return how many queries can be counted at a time within `limit` bytes."""

    @abstractmethod
    def count(self, rows: slice) -> Ranking:
        """Count the groups and gains of these queries. Thread-safe."""


class HistogramCounter(BlockCounter):
    """Unweighted counter: histograms over the bits + 1 possible distances."""

    def __init__(self, query: Codes, gallery: Codes) -> None:
        self.query, self.gallery = words(query.packed), words(gallery.packed)
        self.levels = query.bits + 1
        self.dtype = np.uint8 if query.bits <= 255 else np.uint16

    @abstractmethod
    def histograms(self, rows: slice) -> Ints:
        """Count valid images by distance and 0 … s shared labels: [q, bits + 1, s + 1]."""

    def count(self, rows: slice) -> Ranking:
        """See `BlockCounter`."""
        return ranking(self.histograms(rows))

    def distances(self, rows: slice) -> Iterator[tuple[int, NDArray[Any]]]:
        """Yield (first, distances): the index of a batch's first row, and the batch [rows, G]."""
        query, columns = self.query[rows], len(self.gallery)
        batch = max(1, _WORDS // max(1, min(columns, COLUMNS)))
        out = np.empty((min(batch, len(query)), columns), self.dtype)
        for first in range(0, len(query), batch):
            lines = out[: len(query) - first]
            for column in range(0, columns, COLUMNS):
                tile = slice(column, column + COLUMNS)
                lines[:, tile] = _hamming(query[first : first + batch], self.gallery[tile])
            yield first, lines


class SliceCounter(HistogramCounter):
    """Counter for single labels: a query's relevant images are a slice of the gallery."""

    def __init__(self, query: Codes, gallery: Codes, slices: Slices) -> None:
        super().__init__(query, gallery)
        self.slices = slices

    def rows_within(self, limit: int) -> int:
        """See `BlockCounter`. Histograms and their results take about 110 bytes per level."""
        longest = int((self.slices.stop - self.slices.start).max(initial=0))
        return max(1, limit // (110 * self.levels + 32 * min(longest, _MANY)))

    def histograms(self, rows: slice) -> Ints:
        """See `HistogramCounter`."""
        part = self.slices
        start, stop = part.start[rows], part.stop[rows]
        drop_start, drop_stop = part.drop_start[rows], part.drop_stop[rows]
        all_images = np.zeros((len(start), self.levels), np.int64)
        same_label = _SliceHistograms(start, stop, all_images.shape, self.dtype)
        dropped = _SliceHistograms(drop_start, drop_stop, all_images.shape, self.dtype)
        for first, lines in self.distances(rows):
            for row, line in enumerate(lines, first):
                for column in range(0, len(line), COLUMNS):
                    all_images[row] += _histogram(line[column : column + COLUMNS], self.levels)
                same_label.add(row, line)
                dropped.add(row, line)
        relevant = same_label.result()
        return np.stack([all_images - relevant, relevant - dropped.result()], axis=2)


def ranking(histograms: Ints) -> Ranking:
    """Make groups and gains from [q, levels, s + 1] counts by distance and shared labels."""
    relevant = histograms[:, :, 1:].sum(axis=2)
    groups = from_histograms(histograms[:, :, 0] + relevant, relevant)
    shared = histograms.sum(axis=1)
    if shared.shape[1] == 2:
        return Ranking(groups, Gains(groups.relevant.astype(np.float64), shared))
    sums = histograms @ gain(np.arange(shared.shape[1]))
    return Ranking(groups, Gains(sums[np.nonzero(relevant)], shared))


class _SliceHistograms:
    """Histograms of one slice per row; short slices are collected and counted together."""

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
            for column in range(start, stop, COLUMNS):
                tile = distances[column : min(column + COLUMNS, stop)]
                self.histograms[row] += _histogram(tile, self.histograms.shape[1])
        elif stop > start:
            end = self.ends[row]
            self.collected[end - (stop - start) : end] = distances[start:stop]

    def result(self) -> Ints:
        rows, levels = self.histograms.shape
        keys = np.repeat(np.arange(rows) * levels, self.short) + self.collected
        return self.histograms + np.bincount(keys, minlength=rows * levels).reshape(rows, levels)


def words(packed: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """View [n, bytes] as [n, ceil(bytes / 8)] uint64, zero-padded."""
    padded = np.zeros((len(packed), -(-packed.shape[1] // 8) * 8), np.uint8)
    padded[:, : packed.shape[1]] = packed
    return padded.view(np.uint64)


def _hamming(query: NDArray[np.uint64], gallery: NDArray[np.uint64]) -> NDArray[np.int32]:
    """Count differing bits of words [q, w] and [g, w]: [q, g]. Twice as fast as NumPy."""
    out = np.empty((len(query), len(gallery)), np.int32)
    pointers = [faiss.swig_ptr(part.view(np.uint8)) for part in (query, gallery)]
    width = 8 * query.shape[1]
    faiss.hammings(*pointers, *out.shape, width, faiss.swig_ptr(out))  # type: ignore[attr-defined]
    return out


def _histogram(distances: NDArray[Any], levels: int) -> Ints:
    """Count how often each distance occurs: [levels]. OpenCV is twice as fast as NumPy on bytes."""
    if distances.dtype != np.uint8:
        return np.bincount(distances, minlength=levels)
    counts: Ints = cv2.calcHist([distances], [0], None, [levels], [0, levels]).astype(np.int64)
    return counts[:, 0]
