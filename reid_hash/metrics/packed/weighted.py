"""Counting before and beside the relevant images of a block of queries at weighted distances."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from reid_hash.codes import Codes
from reid_hash.metrics.gains import Gains
from reid_hash.metrics.packed.counts import BlockCounter, Ranking, Slices
from reid_hash.metrics.ties import Ints, from_counts

_ROW_SHIFT = 40
"""Weighted distances, as integers, are below 2^40: a row number above makes one sortable key."""


class IntegerDistances:
    """Weighted distances as integers, multiples of the weights' common unit, hence exact."""

    def __init__(self, query: Codes, gallery: Codes) -> None:
        self.query, self.columns = query, len(gallery)
        self.weights = _integer_weights(gallery)
        bits = gallery.unpack().astype(np.float64)
        # sum w(x + y - 2xy) = [w(1 - 2x)]·y + sum wx: one matrix product with a column of ones.
        self.gallery = np.concatenate([bits, np.ones((len(bits), 1))], axis=1).T
        self.dtype = np.int32 if self.weights.sum() < 2**31 else np.int64

    def __call__(self, rows: slice) -> NDArray[Any]:
        """[q, G] int32 or int64 below 2^40."""
        bits = self.query[rows].unpack()
        signed = np.where(bits, -self.weights, self.weights)
        total = (bits * self.weights).sum(axis=1, keepdims=True)
        product = np.concatenate([signed, total], axis=1) @ self.gallery
        distances: NDArray[Any] = product.astype(self.dtype)
        return distances


class SearchCounter(BlockCounter):
    """Weighted: each row of distances is sorted as bare numbers, and the relevant looked up.

    NumPy sorts such a row of numbers with SIMD at the cost of a few comparisons with every one of
    them: a tenth of the time that an argsort and the gathering of labels in its order take.
    """

    def __init__(self, query: Codes, gallery: Codes, slices: Slices) -> None:
        self.distances, self.slices = IntegerDistances(query, gallery), slices

    def rows_within(self, limit: int) -> int:
        """See `BlockCounter`; more than 64 rows make the matrix product no faster."""
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
            # Few of the relevant tie with others, so few need a second search for the group's end.
            tied = np.flatnonzero(line.take(up_to[found], mode="clip") == wanted)
            up_to[found][tied] = line.searchsorted(wanted[tied], "right")
        first_dropped = np.searchsorted(dropped, query << _ROW_SHIFT)
        before -= np.searchsorted(dropped, keys, "left") - first_dropped
        up_to -= np.searchsorted(dropped, keys, "right") - first_dropped
        n_valid = distances.shape[1] - (drop_stop - drop_start)
        groups = from_counts(query, before, up_to - before, relevant, n_valid)
        return Ranking(groups, Gains.binary(groups))


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
