"""Exact search by hash tables: what is very near is found without looking at all codes.

Split a code into chunks of 16 bits. What a stored code costs a query is the sum of what its chunks
cost. If all codes have been looked at whose chunk c costs less than b_c, for each c, then all
others cost at least the sum of the b_c: should the k-th nearest of those looked at cost less, it is
the answer (Norouzi et al. 2014, there for plain Hamming distances).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from reid_hash.index._engine.chunk_tables import ChunkCosts, chunk_costs
from reid_hash.index._engine.hash_tables import HashTables
from reid_hash.index._engine.query_tables import Costs
from reid_hash.index._engine.segments import Searchable
from reid_hash.index.base import Matches

_SHARE = 200  # tables are left alone where they would give more than this share (1 / 200)
_MOST = 2**16  # or more codes than these, which are held in memory for 16 queries at once


class Probed(NamedTuple):
    """What tables tell of the nearest codes.

    Attributes:
        rows: [m] int64, the queries that they are enough for.
        matches: of these.
    """

    rows: NDArray[np.int64]
    matches: Matches


def probe(parts: Sequence[Searchable], costs: Costs, k: int) -> Probed:
    """Look the nearest codes up, where few must be looked at to be sure of them.

    Args:
        parts: all codes that count, with tables.
        costs: of the queries.
        k: how many are wanted, at most as many as there are.
    """
    tables = [part.tables for part in parts if part.tables is not None]
    by_chunk = chunk_costs(costs, tables[0].starts.shape[0])
    most = min(sum(map(len, parts)) / _SHARE, _MOST)
    nothing = np.zeros_like(by_chunk.usable)

    # What equals the query in a chunk: the k-th of it says how far to look.
    taken, near = _look_up(tables, by_chunk, nothing, np.minimum(1, by_chunk.usable), most)
    near = _once(near)
    reach = _kth(near, len(costs), k)
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
    return Probed(rows, _nearest(parts, near, rows, k))


class _Near(NamedTuple):
    """Codes with their exact distances from the queries `owners`; `places` count on from part to
    part."""

    owners: NDArray[np.int64]
    places: NDArray[np.int64]
    distances: NDArray[np.float64]

    def of(self, which: NDArray[np.generic]) -> "_Near":
        """Some of them."""
        return _Near(self.owners[which], self.places[which], self.distances[which])

    def and_(self, more: "_Near") -> "_Near":
        """These and others."""
        return _Near(
            np.concatenate([self.owners, more.owners]),
            np.concatenate([self.places, more.places]),
            np.concatenate([self.distances, more.distances]),
        )


def _look_up(
    parts: Sequence[HashTables],
    by_chunk: ChunkCosts,
    start: NDArray[np.int64],
    stop: NDArray[np.int64],
    most: float,
    reach: NDArray[np.float64] | None = None,
) -> tuple[NDArray[np.int64], _Near]:
    """The codes that have the values from `start` to `stop` [queries, chunks].

    Args:
        parts: the tables.
        by_chunk: the values.
        start: how many of each chunk's values have been looked up.
        stop: how many shall be.
        most: a query that would find more codes is left as it is.
        reach: [queries], distances above the least possible that matter; all when left out.

    Returns:
        (how many have been looked up, the codes, some of them several times).
    """
    order = np.arange(by_chunk.values.shape[2])
    which = np.nonzero((order >= start[..., None]) & (order < stop[..., None]))
    owners, chunks, values = which[0], which[1], by_chunk.values[which]
    counts = [part.counts(chunks, values) for part in parts]
    total = np.bincount(owners, np.sum(counts, axis=0), minlength=len(start))
    fits = total <= most
    if not fits.all():
        kept = fits[owners]
        owners, chunks, values = owners[kept], chunks[kept], values[kept]
        counts = [some[kept] for some in counts]
    slots = [part.find(chunks, values, some) for part, some in zip(parts, counts, strict=True)]
    codes = np.concatenate(
        [part.rows.take(some, axis=0) for part, some in zip(parts, slots, strict=True)]
    )
    begin = np.cumsum([0, *(len(part.rows) for part in parts)])
    places = np.concatenate([at + some for at, some in zip(begin, slots, strict=False)])
    owners = np.concatenate([np.repeat(owners, some) for some in counts])
    if reach is not None:
        could = by_chunk.least_of(codes, owners) <= reach[owners]
        codes, places, owners = codes[could], places[could], owners[could]
    return np.where(fits[:, None], stop, start), _Near(
        owners, places, by_chunk.exact(codes, owners)
    )


def _once(near: _Near) -> _Near:
    """Each code once for each query, in the order of queries."""
    key = near.owners * (near.places.max(initial=0) + 1) + near.places
    order = np.argsort(key)
    return near.of(order[np.diff(key[order], prepend=-1) != 0])


def _kth(near: _Near, queries: int, k: int) -> NDArray[np.float64]:
    """[queries]: the k-th smallest distance; infinite where there are fewer."""
    bounds = np.searchsorted(near.owners, np.arange(queries + 1))
    kth = np.full(queries, np.inf)
    for query in np.flatnonzero(np.diff(bounds) >= k):
        of_query = near.distances[bounds[query] : bounds[query + 1]]
        kth[query] = np.partition(of_query, k - 1)[k - 1]
    return kth


def _nearest(parts: Sequence[Searchable], near: _Near, rows: NDArray[np.int64], k: int) -> Matches:
    """The k nearest of the queries `rows`, by (distance, id)."""
    begin = np.cumsum([0, *map(len, parts)])
    part_of = np.searchsorted(begin, near.places, side="right") - 1
    ids = np.empty(len(near.places), np.int64)
    for number, part in enumerate(parts):
        here = np.flatnonzero(part_of == number)
        ids[here] = part.ids[near.places[here] - begin[number]]
    order = np.lexsort((ids, near.distances, near.owners))
    at = np.searchsorted(near.owners, rows)[:, None] + np.arange(k)
    return Matches(near.distances[order[at]], ids[order[at]])
