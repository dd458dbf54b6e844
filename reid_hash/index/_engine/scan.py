"""Exact search for a few queries: fast scan, a bound, then exact distances."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from reid_hash.index._engine.query_tables import QueryTables
from reid_hash.index._engine.segments import Scanned, Searchable
from reid_hash.index.base import Matches

_WIDEN = 4  # fetch this many times as many codes if a bound did not hold
_WHOLE = 4  # compare a whole segment exactly if at least 1 / 4 of it is asked for
_FEW = 16  # or if at most 1 / 16 of it may be found
_GATHER = 2**15  # codes whose nibbles are gathered at a time


class Found(NamedTuple):
    """Codes of one segment that may be near some queries.

    Attributes:
        lower: [queries, m] float64, lower bounds of their distances; infinite for unused entries.
        slots: [queries, m] int64, their positions in the segment.
        outside: [queries] float64, lower bound of the distance of every other code in the segment.
    """

    lower: NDArray[np.float64]
    slots: NDArray[np.int64]
    outside: NDArray[np.float64]

    def rows(self, rows: NDArray[np.int64]) -> "Found":
        """Select what was found for some of the queries."""
        return Found(self.lower[rows], self.slots[rows], self.outside[rows])


class Answer(NamedTuple):
    """The nearest codes, and the effort it took to prove them.

    Attributes:
        matches: answers to all queries.
        needed: largest number of codes of one segment that only exact distances could tell from
            the k nearest. Fetching this many at once avoids a second scan.
    """

    matches: Matches
    needed: int


def to_fetch(segment: Searchable, fetch: int, slots: NDArray[np.int64] | None) -> int:
    """Return how many codes fast scan should report; 0 if comparing all exactly is better.

    Args:
        segment: the segment to search.
        fetch: number of codes wanted from those that may be found.
        slots: [m] int64 ascending, positions that may be found. Default: all.
    """
    share = 1.0
    if slots is not None:
        share = len(slots) / len(segment)
        fetch = int(fetch / max(share, 1e-9)) + 1
    return fetch if share * _FEW >= 1 and fetch * _WHOLE <= len(segment) else 0


def look(
    segment: Searchable,
    queries: QueryTables,
    k: int,
    fetch: int,
    slots: NDArray[np.int64] | None,
    scanned: Scanned | None = None,
) -> Found:
    """Find codes of a segment that may be among the k nearest.

    Args:
        segment: the segment to search.
        queries: tables of the queries.
        k: number of codes to find in all segments together.
        fetch: number of codes to take from fast scan.
        slots: [m] int64 ascending, positions that may be found. Default: all.
        scanned: result of fast scan, if it has already run.
    """
    if scanned is None and (reported := to_fetch(segment, fetch, slots)):
        scanned = segment.scan(queries.vectors, reported)
    if scanned is None:
        return _compare(segment, queries, min(k, len(segment if slots is None else slots)), slots)
    places = scanned.places
    lower = queries.lower(scanned.distances)
    if (places[:, -1] < 0).any():  # missing codes show in the last column first
        lower[places < 0] = np.inf
    outside = lower[:, -1].copy()
    if slots is not None:
        allowed = np.zeros(len(segment), np.bool_)
        allowed[slots] = True
        lower[~allowed[places]] = np.inf
    return Found(lower, places, outside)


def nearest(
    segments: Sequence[Searchable],
    slots: Sequence[NDArray[np.int64] | None],
    found: Sequence[Found],
    queries: QueryTables,
    k: int,
    fetch: int,
) -> Answer:
    """Rank what `look` found; look again for more codes if one outside could be nearer.

    Args:
        segments: the segments to search.
        slots: positions that may be found in each segment, as for `look`.
        found: what `look` found in each segment with this `fetch`.
        queries: tables of the queries.
        k: number of codes to find, at most as many as may be found.
        fetch: the `fetch` that `look` was given.
    """
    distances = np.full((len(queries), k), np.inf)
    ids = np.full((len(queries), k), -1, np.int64)
    rows = np.arange(len(queries))
    needed = 0
    while True:
        ranked = _rank(segments, found, queries, k)
        distances[rows], ids[rows] = ranked
        farthest = ranked.distances[:, -1]
        open_ = [(each.outside <= farthest) & (each.outside < np.inf) for each in found]
        needed = max(needed, *(_needed(each, farthest) for each in found))
        again = np.flatnonzero(np.any(open_, axis=0))
        if not len(again):
            return Answer(Matches(distances, ids), needed)
        rows, queries, fetch = rows[again], queries.rows(again), fetch * _WIDEN
        found = [
            look(segment, queries, k, fetch, some) if lacks.any() else each.rows(again)
            for segment, some, each, lacks in zip(segments, slots, found, open_, strict=True)
        ]


def _needed(found: Found, farthest: NDArray[np.float64]) -> int:
    near = found.lower <= farthest[:, None]
    return max((int(np.count_nonzero(row)) for row in near), default=0)


def _rank(
    segments: Sequence[Searchable], found: Sequence[Found], queries: QueryTables, k: int
) -> Matches:
    """Return the k nearest of the found codes, by (distance, id)."""
    if len(queries) == 1 and not any(segment.tailed for segment in segments):
        return _rank_one(segments, found, queries, k)
    lower = np.concatenate([each.lower for each in found], axis=1)
    slots = np.concatenate([each.slots for each in found], axis=1)
    owner = np.repeat(np.arange(len(found)), [each.lower.shape[1] for each in found])

    # Only codes whose lower bound is within the k-th upper bound can be among the k nearest.
    cut = np.partition(lower, min(k, lower.shape[1]) - 1, axis=1)[:, min(k, lower.shape[1]) - 1]
    if any(segment.tailed for segment in segments):
        rows, columns = np.nonzero(lower <= cut[:, None])
        exact = _exact(segments, owner[columns], slots[rows, columns], rows, queries)[0]
        worst = np.full(len(queries), -np.inf)
        np.maximum.at(worst, rows, exact)
        cut = np.where(np.isinf(cut), cut, worst)
    else:
        cut = cut + 2 * queries.margin
    rows, columns = np.nonzero((lower <= cut[:, None]) & np.isfinite(lower))
    exact, ids = _exact(segments, owner[columns], slots[rows, columns], rows, queries)

    # One exact sort key for (row, distance): a distance is less than 2^34 times its quantum.
    key = exact + rows * np.exp2(np.floor(np.log2(exact.max(initial=1e-300))) + 1)
    order = np.argsort(key)
    if (np.diff(key[order]) == 0).any():
        order = np.lexsort((ids, key))
    rows, exact, ids = rows[order], exact[order], ids[order]
    place = np.arange(len(rows)) - np.searchsorted(rows, np.arange(len(queries)))[rows]
    kept = place < k
    matches = Matches(np.full((len(queries), k), np.inf), np.full((len(queries), k), -1, np.int64))
    matches.distances[rows[kept], place[kept]] = exact[kept]
    matches.ids[rows[kept], place[kept]] = ids[kept]
    return matches


def _rank_one(
    segments: Sequence[Searchable], found: Sequence[Found], queries: QueryTables, k: int
) -> Matches:
    """Rank one query as `_rank` does, in half the time, which matters for short scans.

    Args:
        segments: the segments to search, with all of their bits scanned.
        found: what `look` found in each segment.
        queries: tables of the one query.
        k: number of codes to find.
    """
    lower = np.concatenate([each.lower[0] for each in found])
    k_or_all = min(k, len(lower)) - 1
    cut = np.partition(lower, k_or_all)[k_or_all] + 2 * queries.margin[0]
    nibbles, ids = [], []
    for segment, each in zip(segments, found, strict=True):
        near = each.lower[0] <= cut
        if np.isinf(cut):
            near &= np.isfinite(each.lower[0])
        slots = each.slots[0][near]
        if len(slots):
            nibbles.append(segment.nibbles(slots))
            ids.append(segment.ids[slots])
    matches = Matches(np.full((1, k), np.inf), np.full((1, k), -1, np.int64))
    if nibbles:
        of_all, exact = np.concatenate(ids), queries.distances(np.concatenate(nibbles, axis=1), 0)
        order = np.lexsort((of_all, exact))[:k]
        matches.distances[0, : len(order)] = exact[order]
        matches.ids[0, : len(order)] = of_all[order]
    return matches


def _exact(
    segments: Sequence[Searchable],
    owner: NDArray[np.int64],
    slots: NDArray[np.int64],
    rows: NDArray[np.int64],
    queries: QueryTables,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Compute exact distances and ids of single codes, given by segment and position."""
    distances, ids = np.empty(len(rows)), np.empty(len(rows), np.int64)
    order = np.argsort(owner, kind="stable")
    bounds = np.searchsorted(owner[order], np.arange(len(segments) + 1))
    for segment, start, stop in zip(segments, bounds[:-1], bounds[1:], strict=True):
        for first in range(start, stop, _GATHER):
            which = order[first : min(first + _GATHER, stop)]
            distances[which] = queries.distances(segment.nibbles(slots[which]), rows[which])
            ids[which] = segment.ids[slots[which]]
    return distances, ids


def _compare(
    segment: Searchable, queries: QueryTables, k: int, slots: NDArray[np.int64] | None
) -> Found:
    """Find the k nearest codes of a segment by computing all exact distances."""
    blocks: Iterable[NDArray[np.uint8]] = (
        segment.ranges()
        if slots is None
        else (segment.nibbles(slots[i : i + _GATHER]) for i in range(0, len(slots), _GATHER))
    )
    slots = segment.order if slots is None else slots
    count = len(segment) if slots is None else len(slots)
    distances = np.empty((len(queries), count))
    start = 0
    for nibbles in blocks:
        stop = start + nibbles.shape[1]
        for row in range(len(queries)):
            distances[row, start:stop] = queries.distances(nibbles, row)
        start = stop
    places = np.empty((len(queries), k), np.int64)
    for row, of_row in enumerate(distances):
        farthest = np.partition(of_row, k - 1)[k - 1] if k else 0.0
        nearer, tied = np.flatnonzero(of_row < farthest), np.flatnonzero(of_row == farthest)
        places[row] = np.concatenate([nearer, tied])[:k]  # among ties, the lowest ids
    lower = np.take_along_axis(distances, places, axis=1)
    return Found(lower, places if slots is None else slots[places], np.full(len(queries), np.inf))
