"""Count at weighted distances, and at all distances if images have several labels."""

from copy import copy
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from reid_hash.codes import Codes
from reid_hash.errors import MetricError
from reid_hash.metrics.gains import Gains, gain
from reid_hash.metrics.packed import counts as packed_counts
from reid_hash.metrics.packed.counts import (
    BlockCounter,
    HistogramCounter,
    Ranking,
    Slices,
    words,
)
from reid_hash.metrics.ties import Ints, from_counts

_ROW_SHIFT = 40
"""Integer weighted distances are below 2^40; a row number above them makes one sortable key."""

_MOST_SHARED = 255
"""The number of labels that a pair shares is kept in a byte."""


class IntegerDistances:
    """Weighted distances as integer multiples of the weights' common unit, hence exact."""

    def __init__(self, query: Codes, gallery: Codes) -> None:
        self.query, self.columns = query, len(gallery)
        self.weights = _integer_weights(gallery)
        bits = gallery.unpack().astype(np.float64)
        # sum w(x + y - 2xy) = [w(1 - 2x)]·y + sum wx: one matrix product, with a column of ones.
        self.gallery = np.concatenate([bits, np.ones((len(bits), 1))], axis=1).T
        self.dtype = np.int32 if self.weights.sum() < 2**31 else np.int64

    def __call__(self, rows: slice) -> NDArray[Any]:
        """Compute the distances of some queries: [q, G] int32 or int64 below 2^40."""
        bits = self.query[rows].unpack()
        signed = np.where(bits, -self.weights, self.weights)
        total = (bits * self.weights).sum(axis=1, keepdims=True)
        product = np.concatenate([signed, total], axis=1) @ self.gallery
        distances: NDArray[Any] = product.astype(self.dtype)
        return distances


class SearchCounter(BlockCounter):
    """Weighted counter: sorts each row of distances as bare numbers and looks the relevant ones up.

    NumPy sorts plain numbers with SIMD at the cost of a few comparisons with each number: a tenth
    of the time of an argsort and a gather of labels in its order.
    """

    def __init__(self, query: Codes, gallery: Codes, slices: Slices) -> None:
        self.distances, self.slices = IntegerDistances(query, gallery), slices

    def rows_within(self, limit: int) -> int:
        """See `BlockCounter`. More than 64 rows do not speed up the matrix product."""
        longest = int((self.slices.stop - self.slices.start).max(initial=0))
        row_bytes = 12 * self.distances.columns + 80 * longest
        return int(min(64, max(1, limit // max(1, row_bytes))))

    def count(self, rows: slice) -> Ranking:
        """See `BlockCounter`."""
        part = self.slices
        distances = self.distances(rows)
        start, stop = part.start[rows], part.stop[rows]
        drop_start, drop_stop = part.drop_start[rows], part.drop_stop[rows]
        dropped = _sorted_keys(distances, [(drop_start, drop_stop)])
        keys = _sorted_keys(distances, [(start, drop_start), (drop_stop, stop)])
        opens = np.flatnonzero(np.diff(keys, prepend=-1))
        relevant = np.diff(opens, append=len(keys))
        keys = keys[opens]
        query, values = keys >> _ROW_SHIFT, (keys & (2**_ROW_SHIFT - 1)).astype(distances.dtype)
        ends = np.searchsorted(query, np.arange(len(distances) + 1)).tolist()
        before, up_to = np.empty(len(keys), np.int64), np.empty(len(keys), np.int64)
        for row, line in enumerate(distances):
            line.sort()
            found = slice(ends[row], ends[row + 1])
            wanted = values[found]
            before[found] = line.searchsorted(wanted)
            up_to[found] = before[found] + relevant[found]
            # Few relevant images tie with others, so few need a second search for the group's end.
            tied = np.flatnonzero(line.take(up_to[found], mode="clip") == wanted)
            up_to[found][tied] = line.searchsorted(wanted[tied], "right")
        first_dropped = np.searchsorted(dropped, query << _ROW_SHIFT)
        before -= np.searchsorted(dropped, keys, "left") - first_dropped
        up_to -= np.searchsorted(dropped, keys, "right") - first_dropped
        n_valid = distances.shape[1] - (drop_stop - drop_start)
        groups = from_counts(query, before, up_to - before, relevant, n_valid)
        return Ranking(groups, Gains.binary(groups))


def _integer_weights(codes: Codes) -> NDArray[np.float64]:
    """Return weights as integer multiples of their largest common unit (`codes.exact_weights`)."""
    weights = codes.weights.astype(np.float64)
    _, exponent = np.frexp(weights.max())
    integers = np.ldexp(weights, 25 - int(exponent)).astype(np.int64)
    smallest: NDArray[np.float64] = (integers // np.gcd.reduce(integers)).astype(np.float64)
    return smallest


def _sorted_keys(distances: NDArray[Any], slices: list[tuple[Ints, Ints]]) -> NDArray[np.int64]:
    """Make sorted keys [n] of row and distance from some slices of every row."""
    keys = []
    for start, stop in slices:
        sizes = stop - start
        rows = np.repeat(np.arange(len(sizes)), sizes)
        columns = np.arange(len(rows)) + np.repeat(stop - np.cumsum(sizes), sizes)
        keys.append((rows << _ROW_SHIFT) | distances[rows, columns].astype(np.int64))
    joined = np.concatenate(keys)
    joined.sort()
    return joined


class SharedLabels:
    """Counts the labels that queries and gallery images share, as bits of packed label sets."""

    def __init__(self, query_labels: NDArray[np.bool_], gallery_labels: NDArray[np.bool_]) -> None:
        sets = [np.packbits(labels, axis=1) for labels in (query_labels, gallery_labels)]
        self.query, gallery = (words(packed) for packed in sets)
        self.gallery = np.ascontiguousarray(gallery.T)  # one row per word, contiguous in memory
        fullest = [labels.sum(axis=1).max(initial=0) for labels in (query_labels, gallery_labels)]
        self.most = int(min(fullest))
        if self.most > _MOST_SHARED:
            raise MetricError(f"images may have {_MOST_SHARED} labels in common, not {self.most}")

    def of(self, some: Ints) -> "SharedLabels":
        """Restrict to some of the gallery images."""
        part = copy(self)
        part.gallery = np.ascontiguousarray(self.gallery[:, some])
        return part

    def __call__(self, row: int) -> NDArray[np.uint8]:
        """Count the labels that each image shares with one query: [G] uint8."""
        shared = np.zeros(self.gallery.shape[1], np.uint8)
        for word, of_gallery in zip(self.query[row], self.gallery, strict=True):
            shared += np.bitwise_count(word & of_gallery)
        return shared


class SharedCounter(HistogramCounter):
    """Unweighted counter for several labels: one histogram over distance and shared labels."""

    def __init__(self, query: Codes, gallery: Codes, shared: SharedLabels) -> None:
        super().__init__(query, gallery)
        self.shared = shared

    def rows_within(self, limit: int) -> int:
        """See `BlockCounter`."""
        return max(1, limit // ((80 + 32 * (self.shared.most + 1)) * self.levels))

    def histograms(self, rows: slice) -> Ints:
        """See `HistogramCounter`."""
        start = rows.indices(len(self.query))[0]
        shape = (self.levels, max(self.shared.most, 1) + 1)
        counts = np.zeros((len(self.query[rows]), *shape), np.int64)
        for first, lines in self.distances(rows):
            for row, line in enumerate(lines, first):
                counts[row] = _joint_histogram(line, self.shared(start + row), shape)
        return counts


class SharedSearchCounter(BlockCounter):
    """Weighted counter for several labels: sorts distances with the shared labels in the low byte.

    With several labels, most of a gallery may be relevant, so looking the relevant images up in a
    sorted row, as for single labels, would cost more than it saves.
    """

    def __init__(self, query: Codes, gallery: Codes, shared: SharedLabels) -> None:
        self.distances, self.shared = IntegerDistances(query, gallery), shared
        counts = (np.count_nonzero(shared(row)) for row in range(len(query)))
        self.longest = max(counts, default=0)

    def rows_within(self, limit: int) -> int:
        """See `BlockCounter`. More rows at a time speed up the matrix product, up to 64."""
        row_bytes = 20 * self.distances.columns + 120 * self.longest
        return int(min(64, max(1, limit // max(1, row_bytes))))

    def count(self, rows: slice) -> Ranking:
        """See `BlockCounter`."""
        start = rows.indices(len(self.distances.query))[0]
        distances = self.distances(rows)
        tables = np.zeros((len(distances), max(self.shared.most, 1) + 1), np.int64)
        gains = gain(np.arange(tables.shape[1]))
        parts = [np.zeros((0, 4), np.int64)]
        sums = [np.zeros(0)]
        for row, line in enumerate(distances):
            shared = self.shared(start + row)
            tables[row] = np.bincount(shared, minlength=tables.shape[1])
            keys = (line.astype(np.int64) << 8) | shared
            keys.sort()
            relevant = np.flatnonzero(keys & _MOST_SHARED)
            if not len(relevant):
                continue
            # Numbering the groups avoids a search in the row for each of them.
            changes = np.diff(keys >> 8) > 0
            group = np.concatenate([[0], np.cumsum(changes)])[relevant]
            starts = np.concatenate([[0], np.flatnonzero(changes) + 1, [len(keys)]])
            opens = np.flatnonzero(np.diff(group, prepend=-1))
            before, behind = starts[group[opens]], starts[group[opens] + 1]
            found = np.diff(opens, append=len(relevant))
            rows_of = np.full(len(opens), row)
            parts.append(np.stack([rows_of, before, behind - before, found], axis=1))
            sums.append(np.add.reduceat(gains[keys[relevant] & _MOST_SHARED], opens))
        query, before, size, found = np.concatenate(parts).T.copy()
        n_valid = np.full(len(distances), self.distances.columns)
        groups = from_counts(query, before, size, found, n_valid)
        return Ranking(groups, Gains(np.concatenate(sums), tables))


def _joint_histogram(
    distances: NDArray[Any], shared: NDArray[np.uint8], shape: tuple[int, int]
) -> Ints:
    """Count how often each distance occurs with each number of shared labels: [levels, s + 1]."""
    levels, numbers = shape
    if distances.dtype != np.uint8:
        keys = distances.astype(np.int64) * numbers + shared
        return np.bincount(keys, minlength=levels * numbers).reshape(shape)
    counts = np.zeros(shape, np.int64)
    for column in range(0, len(distances), packed_counts.COLUMNS):
        tile = slice(column, column + packed_counts.COLUMNS)
        channels, ranges = [distances[tile], shared[tile]], [0, levels, 0, numbers]
        part = cv2.calcHist(channels, [0, 1], None, list(shape), ranges)
        counts += part.astype(np.int64)
    return counts
