"""Exact search by hash tables, which finds very near codes without comparing all of them.

Split a code into chunks of 16 bits. The distance of a stored code is the sum of its chunks' costs.
Suppose that, for each chunk c, every code whose chunk costs less than b_c has been compared. Any
other code is then at least the sum of the b_c away. If the k-th nearest compared code is nearer
than that, the answer is final (Norouzi et al. 2014, for plain Hamming distance).
"""

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from reid_hash.index._engine.hash_tables import HashTables
from reid_hash.index._engine.query_tables import QueryTables
from reid_hash.index._engine.segments import Searchable
from reid_hash.index.base import Matches

_SHARE = 200  # skip the tables if they would return more than this share (1 / 200) of the codes
_MOST = 2**16  # or more codes than this: those of 16 queries are in memory at once

_BITS = 16  # bits per chunk
_NEVER = 1e300  # cost of a padding bit, which no code has
_GATHER = 2**14  # codes whose distances are summed at a time
_HALVINGS = 8  # bisection steps in the search for a limit

# Bits that may differ from the nearest value of a chunk: none, one, or two.
_FLIPS = [(), *combinations(range(_BITS), 1), *combinations(range(_BITS), 2)]
_MASKS = np.array([sum(1 << bit for bit in flips) for flips in _FLIPS], np.int64)
_OF_MASK = np.array([[bit in flips for bit in range(_BITS)] for flips in _FLIPS], np.float64).T


class ChunkTables(NamedTuple):
    """The values of each chunk, ordered by their cost to a query, cheapest first.

    Attributes:
        values: [queries, chunks, masks] int64.
        steps: [queries, chunks, masks + 1] float64: cost of each value above the cheapest. From
            index `usable` on, a lower bound of the cost of all remaining values.
        usable: [queries, chunks]: how many values are in the right order.
        least: [queries] float64: the smallest possible distance.
        nearest: [queries, 8 · words] uint8: the code at that distance.
        sums: [queries, bits + 1] float64: the least cost of each number of differing bits.
        by_byte: [width, queries, 256] float64: cost of each value of each byte.
    """

    values: NDArray[np.int64]
    steps: NDArray[np.float64]
    usable: NDArray[np.int64]
    least: NDArray[np.float64]
    nearest: NDArray[np.uint8]
    sums: NDArray[np.float64]
    by_byte: NDArray[np.float64]

    def bound(self, counts: NDArray[np.int64]) -> NDArray[np.float64]:
        """Bound the cost above `least`, [queries], of any code that has none of the first
        `counts` [queries, chunks] values."""
        taken = np.take_along_axis(self.steps, counts[..., None], axis=2)
        return np.asarray(taken.sum(axis=(1, 2)))

    def within(self, reach: NDArray[np.float64], first: NDArray[np.int64]) -> NDArray[np.int64]:
        """Number of values [queries, chunks] to look up for `bound` to exceed `reach`: per chunk,
        all up to a common cost, and at least `first`. Too few if that cannot be reached."""
        counts = first
        if (self.bound(first) > reach).all():
            return counts
        low, high = np.zeros(len(reach)), np.where(np.isfinite(reach), reach, 0.0)
        cost = high
        for _ in range(_HALVINGS + 1):
            some = (self.steps[..., :-1] <= cost[:, None, None]).sum(axis=2)
            some = np.maximum(np.minimum(some, self.usable), first)
            enough = self.bound(some) > reach
            counts = np.where(enough[:, None], some, counts)
            low, high = np.where(enough, low, cost), np.where(enough, cost, high)
            cost = (low + high) / 2
        return counts

    def least_of(self, codes: NDArray[np.uint8], owners: NDArray[np.int64]) -> NDArray[np.float64]:
        """Bound the distances of codes [m, 8 · words] from below by their differing bits: [m]."""
        words = codes.view(np.uint64) ^ self.nearest.view(np.uint64)[owners]
        return np.asarray(self.sums[owners, np.bitwise_count(words).sum(axis=1, dtype=np.int64)])

    def exact(self, codes: NDArray[np.uint8], owners: NDArray[np.int64]) -> NDArray[np.float64]:
        """Compute the distances of codes [m, 8 · words] from the queries that own them: [m]."""
        width, queries, _ = self.by_byte.shape
        table = 256 * queries * np.arange(width)[:, None]
        distances = np.empty(len(codes))
        for start in range(0, len(codes), _GATHER):
            some = slice(start, start + _GATHER)
            at = table + 256 * owners[some] + codes[some, :width].T
            distances[some] = self.by_byte.reshape(-1).take(at).sum(axis=0)
        return distances


class Probed(NamedTuple):
    """Queries that the hash tables could answer.

    Attributes:
        rows: [m] int64, the answered queries.
        matches: the answers to these queries.
    """

    rows: NDArray[np.int64]
    matches: Matches


def probe(segments: Sequence[Searchable], queries: QueryTables, k: int) -> Probed:
    """Look up the nearest codes of the queries for which a few look-ups prove the answer.

    Args:
        segments: the segments to search, all with hash tables.
        queries: tables of the queries.
        k: number of codes to find, at most as many as there are.
    """
    tables = [segment.tables for segment in segments if segment.tables is not None]
    by_chunk = chunk_tables(queries, tables[0].starts.shape[0])
    most = min(sum(map(len, segments)) / _SHARE, _MOST)
    nothing = np.zeros_like(by_chunk.usable)

    # First the codes that equal the query in a chunk: the k-th of them says how far to look.
    taken, near = _look_up(tables, by_chunk, nothing, np.minimum(1, by_chunk.usable), most)
    near = _once(near)
    reach = _kth(near, len(queries), k)
    near = near.of(near.distances <= reach[near.owners])
    reach -= by_chunk.least
    enough = by_chunk.bound(taken) > reach
    if not enough.all():
        counts = by_chunk.within(reach, taken)
        counts[by_chunk.bound(counts) <= reach] = 0
        taken, more = _look_up(tables, by_chunk, taken, np.maximum(counts, taken), most, reach)
        near = _once(near.and_(more))
        enough = by_chunk.bound(taken) > reach
    rows = np.flatnonzero(enough)
    return Probed(rows, _nearest(segments, near, rows, k))


class _Near(NamedTuple):
    """Codes with their exact distances from the queries `owners`; `places` are numbered through all
    segments."""

    owners: NDArray[np.int64]
    places: NDArray[np.int64]
    distances: NDArray[np.float64]

    def of(self, which: NDArray[np.generic]) -> "_Near":
        """Select some of the codes."""
        return _Near(self.owners[which], self.places[which], self.distances[which])

    def and_(self, more: "_Near") -> "_Near":
        """Append more codes."""
        return _Near(
            np.concatenate([self.owners, more.owners]),
            np.concatenate([self.places, more.places]),
            np.concatenate([self.distances, more.distances]),
        )


def _look_up(
    tables: Sequence[HashTables],
    by_chunk: ChunkTables,
    start: NDArray[np.int64],
    stop: NDArray[np.int64],
    most: float,
    reach: NDArray[np.float64] | None = None,
) -> tuple[NDArray[np.int64], _Near]:
    """Look up the codes with the values from `start` to `stop` [queries, chunks].

    Args:
        tables: hash tables of the segments.
        by_chunk: the ordered values of each chunk.
        start: number of values already looked up in each chunk.
        stop: number of values to have looked up afterwards.
        most: a query that would find more codes than this is skipped.
        reach: [queries], the largest distance above the smallest possible that matters. Default:
            unlimited.

    Returns:
        (number of values looked up, the codes found). A code may occur several times.
    """
    order = np.arange(by_chunk.values.shape[2])
    which = np.nonzero((order >= start[..., None]) & (order < stop[..., None]))
    owners, chunks, values = which[0], which[1], by_chunk.values[which]
    counts = [table.counts(chunks, values) for table in tables]
    total = np.bincount(owners, np.sum(counts, axis=0), minlength=len(start))
    fits = total <= most
    if not fits.all():
        kept = fits[owners]
        owners, chunks, values = owners[kept], chunks[kept], values[kept]
        counts = [some[kept] for some in counts]
    slots = [table.find(chunks, values, some) for table, some in zip(tables, counts, strict=True)]
    codes = np.concatenate(
        [table.rows.take(some, axis=0) for table, some in zip(tables, slots, strict=True)]
    )
    begin = np.cumsum([0, *(len(table.rows) for table in tables)])
    places = np.concatenate([at + some for at, some in zip(begin, slots, strict=False)])
    owners = np.concatenate([np.repeat(owners, some) for some in counts])
    if reach is not None:
        could = by_chunk.least_of(codes, owners) <= reach[owners]
        codes, places, owners = codes[could], places[could], owners[could]
    return np.where(fits[:, None], stop, start), _Near(
        owners, places, by_chunk.exact(codes, owners)
    )


def _once(near: _Near) -> _Near:
    """Remove repeated codes of each query; the result is sorted by query."""
    key = near.owners * (near.places.max(initial=0) + 1) + near.places
    order = np.argsort(key)
    return near.of(order[np.diff(key[order], prepend=-1) != 0])


def _kth(near: _Near, queries: int, k: int) -> NDArray[np.float64]:
    """Return the k-th smallest distance of each query, [queries]; infinite if fewer were found."""
    bounds = np.searchsorted(near.owners, np.arange(queries + 1))
    kth = np.full(queries, np.inf)
    for query in np.flatnonzero(np.diff(bounds) >= k):
        of_query = near.distances[bounds[query] : bounds[query + 1]]
        kth[query] = np.partition(of_query, k - 1)[k - 1]
    return kth


def _nearest(
    segments: Sequence[Searchable], near: _Near, rows: NDArray[np.int64], k: int
) -> Matches:
    """Return the k nearest codes of the queries `rows`, by (distance, id)."""
    begin = np.cumsum([0, *map(len, segments)])
    segment_of = np.searchsorted(begin, near.places, side="right") - 1
    ids = np.empty(len(near.places), np.int64)
    for number, segment in enumerate(segments):
        here = np.flatnonzero(segment_of == number)
        ids[here] = segment.ids[near.places[here] - begin[number]]
    order = np.lexsort((ids, near.distances, near.owners))
    at = np.searchsorted(near.owners, rows)[:, None] + np.arange(k)
    return Matches(near.distances[order[at]], ids[order[at]])


def chunk_tables(queries: QueryTables, chunks: int) -> ChunkTables:
    """Order the values of each of `chunks` chunks by their cost to each query."""
    tables = queries.tables
    excess = tables[:, :, [1, 2, 4, 8]] - tables[:, :, :1]  # extra cost of a one, for each bit
    excess = excess.transpose(1, 0, 2).reshape(len(queries), -1)
    padded = np.full((len(queries), chunks * _BITS), _NEVER)
    padded[:, : excess.shape[1]] = excess
    flips = np.abs(padded).reshape(len(queries), chunks, _BITS)
    nearest = np.zeros((len(queries), -(-chunks * 2 // 8) * 8), np.uint8)
    nearest[:, : 2 * chunks] = np.packbits(padded < 0, axis=1, bitorder="little")

    steps = flips @ _OF_MASK
    # Three bits cost at least this; values that cost more may be out of order.
    limit = np.partition(flips, 2, axis=2)[..., :3].sum(axis=2, keepdims=True)
    order = np.argsort(steps, axis=2, kind="stable")
    steps = np.take_along_axis(steps, order, axis=2)
    usable = (steps < limit).sum(axis=2)
    steps = np.concatenate([np.minimum(steps, limit), limit], axis=2)
    values = nearest.view("<u2")[:, :chunks, None].astype(np.int64) ^ _MASKS[order]
    sums = np.zeros((len(queries), excess.shape[1] + 1))
    np.cumsum(np.sort(np.abs(excess), axis=1), axis=1, out=sums[:, 1:])
    by_byte = tables[1::2, :, :, None] + tables[0::2, :, None, :]
    by_byte = by_byte.reshape(len(tables) // 2, len(queries), 256)
    return ChunkTables(
        values, steps, usable, tables.min(axis=2).sum(axis=0), nearest, sums, by_byte
    )
