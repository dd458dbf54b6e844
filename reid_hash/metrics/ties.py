"""Groups of equally distant gallery images: the table from which every ranking metric is computed.

Codes tie often, and a sort puts tied images in an arbitrary order. The metrics of this package are
expected values over all orders of the tied images (McSherry & Najork, "Computing Information
Retrieval Performance Measures Efficiently in the Presence of Tied Scores", ECIR 2008). For these it
is enough to know, for each group of tied images with a relevant one, how many images precede it and
how many it holds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reid_hash.distances import BLOCK_BYTES
from reid_hash.errors import MetricError

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class TieGroups:
    """Every (query, distance) at which there is a relevant gallery image, sorted by both.

    An image is "valid" for a query if the camera rule keeps it, and "relevant" if it is valid and
    has the query's label.

    Attributes:
        query: [g] int64, index of the query.
        before: [g] int64, valid images strictly nearer than the group.
        relevant_before: [g] int64, relevant images strictly nearer than the group.
        size: [g] int64 ≥ 1, valid images in the group.
        relevant: [g] int64 ≥ 1, relevant images in the group.
        n_relevant: [Q] int64, relevant images of each query.
        n_valid: [Q] int64, valid images of each query.
    """

    query: Ints
    before: Ints
    relevant_before: Ints
    size: Ints
    relevant: Ints
    n_relevant: Ints
    n_valid: Ints

    def __len__(self) -> int:
        """Number of queries."""
        return len(self.n_relevant)

    @cached_property
    def first(self) -> Ints:
        """Index of the nearest group of each query with a relevant image, [m]."""
        return np.flatnonzero(np.diff(self.query, prepend=-1))

    @cached_property
    def last(self) -> Ints:
        """Index of the farthest group of each query with a relevant image, [m]."""
        return np.flatnonzero(np.diff(self.query, append=len(self)))

    @staticmethod
    def concatenate(blocks: Sequence["TieGroups"]) -> "TieGroups":
        """Join consecutive blocks of queries."""
        if not blocks:
            return from_histograms(np.zeros((0, 1), np.int64), np.zeros((0, 1), np.int64))
        offsets = np.cumsum([0, *(len(block) for block in blocks[:-1])])
        return TieGroups(
            np.concatenate([b.query + offset for b, offset in zip(blocks, offsets, strict=True)]),
            np.concatenate([block.before for block in blocks]),
            np.concatenate([block.relevant_before for block in blocks]),
            np.concatenate([block.size for block in blocks]),
            np.concatenate([block.relevant for block in blocks]),
            np.concatenate([block.n_relevant for block in blocks]),
            np.concatenate([block.n_valid for block in blocks]),
        )

    def take(self, order: Ints) -> "TieGroups":
        """Reorder the queries: the new query i is the old query order[i], a permutation of all."""
        place = np.empty(len(self), np.int64)
        place[order] = np.arange(len(self))
        query = place[self.query]
        groups = np.argsort(query, kind="stable")  # stable, to keep the distances in order
        return TieGroups(
            query[groups],
            self.before[groups],
            self.relevant_before[groups],
            self.size[groups],
            self.relevant[groups],
            self.n_relevant[order],
            self.n_valid[order],
        )


def from_counts(
    query: Ints, before: Ints, size: Ints, relevant: Ints, n_valid: ArrayLike
) -> TieGroups:
    """Make tie groups from each group's counts.

    Args:
        query: [g] index of the query; groups are sorted by (query, distance).
        before: [g] valid images strictly nearer than the group.
        size: [g] valid images in the group.
        relevant: [g] relevant images in the group, ≥ 1.
        n_valid: [Q] valid images of each query.
    """
    valid = np.asarray(n_valid, np.int64)
    n_relevant = np.zeros(len(valid), np.int64)
    np.add.at(n_relevant, query, relevant)
    # Subtract the relevant images of all earlier queries from the running sum.
    relevant_before = np.cumsum(relevant) - relevant
    relevant_before -= (np.cumsum(n_relevant) - n_relevant)[query]
    return TieGroups(query, before, relevant_before, size, relevant, n_relevant, valid)


def from_histograms(valid: Ints, relevant: Ints) -> TieGroups:
    """Make tie groups from counts at each distance level.

    Args:
        valid: [Q, levels] int64, valid images of a query at each distance, nearest first.
        relevant: [Q, levels] int64, relevant images of a query at each distance.

    Example:
        >>> from_histograms(np.array([[2, 1, 3]]), np.array([[0, 1, 2]])).before
        array([2, 3])
    """
    query, level = np.nonzero(relevant)
    up_to = np.cumsum(valid, axis=1)
    size = valid[query, level]
    return from_counts(
        query, up_to[query, level] - size, size, relevant[query, level], up_to[:, -1]
    )


def tie_groups(
    distances: ArrayLike,
    relevant: NDArray[np.bool_],
    valid: NDArray[np.bool_] | None = None,
    block_bytes: int = BLOCK_BYTES,
) -> TieGroups:
    """Make tie groups from a dense distance matrix; equal numbers are ties.

    Args:
        distances: [Q, G] real, finite, smaller is nearer.
        relevant: [Q, G] bool, whether the gallery image has the query's label.
        valid: [Q, G] bool, False for pairs that a camera rule drops (`rules.valid_mask`). Default:
            all True.
        block_bytes: memory for a block of queries, in bytes.

    Raises:
        MetricError: the shapes differ, or a distance is NaN or infinite.

    Example:
        >>> groups = tie_groups([[0.0, 1.0, 1.0, 2.0]], np.array([[False, True, False, True]]))
        >>> groups.before, groups.size, groups.relevant
        (array([1, 3]), array([2, 1]), array([1, 1]))
    """
    matrix = np.asarray(distances)
    relevant = np.asarray(relevant, np.bool_)
    if matrix.ndim != 2 or relevant.shape != matrix.shape:
        raise MetricError(
            f"distances {list(matrix.shape)} and relevance {list(relevant.shape)} must be matrices "
            "[queries, gallery] of the same shape"
        )
    valid = np.ones(matrix.shape, np.bool_) if valid is None else np.asarray(valid, np.bool_)
    if valid.shape != matrix.shape:
        raise MetricError(f"valid {list(valid.shape)} differs from distances {list(matrix.shape)}")
    step = max(1, block_bytes // max(1, 64 * matrix.shape[1]))
    blocks = []
    for start in range(0, len(matrix), step):
        rows = slice(start, start + step)
        blocks.append(_block_groups(matrix[rows], relevant[rows] & valid[rows], valid[rows]))
    return TieGroups.concatenate(blocks)


def _block_groups(
    distances: NDArray[np.generic], relevant: NDArray[np.bool_], valid: NDArray[np.bool_]
) -> TieGroups:
    if not np.isfinite(distances).all():
        raise MetricError("a distance is NaN or infinite; were the embeddings finite?")
    if distances.shape[1] == 0:
        empty = np.zeros((len(distances), 1), np.int64)
        return from_histograms(empty, empty)
    order = np.argsort(distances, axis=1)
    distances = np.take_along_axis(distances, order, axis=1)
    valid = np.take_along_axis(valid, order, axis=1)
    relevant = np.take_along_axis(relevant, order, axis=1)
    opens = np.ones(distances.shape, np.bool_)
    opens[:, 1:] = distances[:, 1:] != distances[:, :-1]
    starts = np.flatnonzero(opens)  # dropped images belong to groups, but are not counted
    size = np.add.reduceat(valid.ravel(), starts, dtype=np.int64)
    n_relevant = np.add.reduceat(relevant.ravel(), starts, dtype=np.int64)
    query = starts // distances.shape[1]
    n_valid = valid.sum(axis=1)
    before = np.cumsum(size) - size - (np.cumsum(n_valid) - n_valid)[query]
    kept = n_relevant > 0
    return from_counts(query[kept], before[kept], size[kept], n_relevant[kept], n_valid)
