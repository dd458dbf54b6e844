"""Count images with equal codes and labels once; trained networks produce many of them."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reid_hash.codes import Codes
from reid_hash.metrics.packed.counts import HistogramCounter, words
from reid_hash.metrics.ties import Ints

_SLOWER = 3
"""Relative cost of an image with a multiplicity: NumPy counts it instead of OpenCV."""

_WORTHWHILE = 0.8
"""Merging pays if it leaves at most this share of the work."""


def code_keys(codes: Codes, labels: NDArray[Any]) -> NDArray[np.uint64]:
    """Make keys [n, words] uint64 that are equal for equal code and labels.

    Args:
        codes: n codes.
        labels: [n] int, or [n, classes] bool.
    """
    if labels.ndim == 2:
        return np.concatenate([words(codes.packed), words(np.packbits(labels, axis=1))], axis=1)
    numbers = labels.astype(np.int64).view(np.uint64)[:, None]
    return np.concatenate([words(codes.packed), numbers], axis=1)


def distinct(keys: NDArray[np.uint64]) -> tuple[Ints, Ints, Ints]:
    """Find the distinct rows.

    Returns:
        (first, inverse, counts): [d] index of the first row of each kind, [n] kind of each row,
        [d] number of rows of each kind.

    Example:
        >>> distinct(np.array([[5], [7], [5]], np.uint64))
        (array([0, 1]), array([0, 1, 0]), array([2, 1]))
    """
    order = np.lexsort(keys.T[::-1])
    ordered = keys[order]
    opens = np.ones(len(order), np.bool_)
    opens[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    starts = np.flatnonzero(opens)
    inverse = np.empty(len(order), np.int64)
    inverse[order] = np.cumsum(opens) - 1
    return order[starts], inverse, np.diff(starts, append=len(order))


class TimesCounter(HistogramCounter):
    """Counter in which each gallery image counts a given number of times."""

    def __init__(
        self,
        query: Codes,
        gallery: Codes,
        times: Ints,
        shared: Callable[[int], NDArray[np.integer[Any] | np.bool_]],
        most: int,
    ) -> None:
        super().__init__(query, gallery)
        self.times = times.astype(np.float64)  # sums of integers below 2^53 are exact
        self.shared, self.numbers = shared, max(most, 1) + 1

    def rows_within(self, limit: int) -> int:
        """See `BlockCounter`."""
        return max(1, limit // (64 * self.levels * self.numbers))

    def histograms(self, rows: slice) -> Ints:
        """See `HistogramCounter`."""
        start = rows.indices(len(self.query))[0]
        shape = len(self.query[rows]), self.levels * self.numbers
        counts = np.zeros(shape, np.int64)
        for first, lines in self.distances(rows):
            for row, line in enumerate(lines, first):
                keys = line * np.intp(self.numbers) + self.shared(start + row)
                counts[row] = np.bincount(keys, self.times, minlength=shape[1])
        return counts.reshape(shape[0], self.levels, self.numbers)


class MergedCounter(HistogramCounter):
    """Counter that adds up the histograms of parts of a gallery."""

    def __init__(self, parts: Sequence[HistogramCounter]) -> None:
        self.parts = parts

    def rows_within(self, limit: int) -> int:
        """See `BlockCounter`; the running sum is in memory together with the current part."""
        return max(1, min(part.rows_within(limit) for part in self.parts) // 2)

    def histograms(self, rows: slice) -> Ints:
        """See `HistogramCounter`."""
        total = self.parts[0].histograms(rows)
        for part in self.parts[1:]:
            total += part.histograms(rows)
        return total


def merged(
    keys: NDArray[np.uint64],
    once: Callable[[Ints], HistogramCounter],
    times: Callable[[Ints, Ints], HistogramCounter],
) -> HistogramCounter:
    """Make a counter that compares equal images once, if that pays.

    Args:
        keys: [G, words] from `code_keys`.
        once: makes a counter of the gallery images with the given indices.
        times: makes a counter of images with the given indices and multiplicities.
    """
    first, _, counts = distinct(keys)
    several = counts > 1
    cost = np.count_nonzero(~several) + _SLOWER * np.count_nonzero(several)
    if cost > _WORTHWHILE * len(keys) or not len(keys):
        return once(np.arange(len(keys)))
    parts = [times(first[several], counts[several])]
    if not several.all():
        parts.append(once(np.sort(first[~several])))
    return MergedCounter(parts)
