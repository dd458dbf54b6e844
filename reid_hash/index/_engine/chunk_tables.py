"""What the values of each two bytes of a code cost a query, the cheapest first."""

from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from reid_hash.index._engine.query_tables import Costs

_BITS = 16  # of a chunk
_NEVER = 1e300  # what a bit costs that no code has
_GATHER = 2**14  # codes whose parts are looked up at a time
_HALVINGS = 8  # of the range in which a limit is looked for

# What may differ from the nearest value of a chunk: nothing, one bit, or two.
_FLIPS = [(), *combinations(range(_BITS), 1), *combinations(range(_BITS), 2)]
_MASKS = np.array([sum(1 << bit for bit in flips) for flips in _FLIPS], np.int64)
_OF_MASK = np.array([[bit in flips for bit in range(_BITS)] for flips in _FLIPS], np.float64).T


class ChunkCosts(NamedTuple):
    """The values of each chunk by what they cost a query, cheapest first.

    Attributes:
        values: [queries, chunks, masks] int64.
        steps: [queries, chunks, masks + 1] float64: what each costs above the cheapest; from
            `usable` on a lower bound of what all others do.
        usable: [queries, chunks]: how many values come in the right order.
        least: [queries] float64: the least possible distance.
        nearest: [queries, 8 · words] uint8: the code that has it.
        sums: [queries, bits + 1] float64: what so many differing bits cost at least.
        by_byte: [width, queries, 256] float64: what each value of each byte costs.
    """

    values: NDArray[np.int64]
    steps: NDArray[np.float64]
    usable: NDArray[np.int64]
    least: NDArray[np.float64]
    nearest: NDArray[np.uint8]
    sums: NDArray[np.float64]
    by_byte: NDArray[np.float64]

    def bound(self, counts: NDArray[np.int64]) -> NDArray[np.float64]:
        """[queries]: what all codes cost at least, above `least`, that have none of the first
        `counts` [queries, chunks] values."""
        taken = np.take_along_axis(self.steps, counts[..., None], axis=2)
        return np.asarray(taken.sum(axis=(1, 2)))

    def within(self, reach: NDArray[np.float64], first: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many values [queries, chunks] to look up for `bound` to be above `reach`: in all
        chunks those up to one cost, and at least `first`. Where that cannot be had, too few."""
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
        """[m]: what codes [m, 8 · words] cost at least, by the number of their bits that differ."""
        words = codes.view(np.uint64) ^ self.nearest.view(np.uint64)[owners]
        return np.asarray(self.sums[owners, np.bitwise_count(words).sum(axis=1, dtype=np.int64)])

    def exact(self, codes: NDArray[np.uint8], owners: NDArray[np.int64]) -> NDArray[np.float64]:
        """[m]: the distances of codes [m, 8 · words] from their queries."""
        width, queries, _ = self.by_byte.shape
        table = 256 * queries * np.arange(width)[:, None]
        distances = np.empty(len(codes))
        for start in range(0, len(codes), _GATHER):
            some = slice(start, start + _GATHER)
            at = table + 256 * owners[some] + codes[some, :width].T
            distances[some] = self.by_byte.reshape(-1).take(at).sum(axis=0)
        return distances


def chunk_costs(costs: Costs, chunks: int) -> ChunkCosts:
    """Order the values of each of `chunks` chunks of the codes by what they cost each query."""
    tables = costs.tables
    excess = tables[:, :, [1, 2, 4, 8]] - tables[:, :, :1]  # of a one, for each bit
    excess = excess.transpose(1, 0, 2).reshape(len(costs), -1)
    padded = np.full((len(costs), chunks * _BITS), _NEVER)
    padded[:, : excess.shape[1]] = excess
    flips = np.abs(padded).reshape(len(costs), chunks, _BITS)
    nearest = np.zeros((len(costs), -(-chunks * 2 // 8) * 8), np.uint8)
    nearest[:, : 2 * chunks] = np.packbits(padded < 0, axis=1, bitorder="little")

    steps = flips @ _OF_MASK
    # Three bits cost at least this: what costs more than it is not known to come in order.
    limit = np.partition(flips, 2, axis=2)[..., :3].sum(axis=2, keepdims=True)
    order = np.argsort(steps, axis=2, kind="stable")
    steps = np.take_along_axis(steps, order, axis=2)
    usable = (steps < limit).sum(axis=2)
    steps = np.concatenate([np.minimum(steps, limit), limit], axis=2)
    values = nearest.view("<u2")[:, :chunks, None].astype(np.int64) ^ _MASKS[order]
    sums = np.zeros((len(costs), excess.shape[1] + 1))
    np.cumsum(np.sort(np.abs(excess), axis=1), axis=1, out=sums[:, 1:])
    by_byte = tables[1::2, :, :, None] + tables[0::2, :, None, :]
    by_byte = by_byte.reshape(len(tables) // 2, len(costs), 256)
    return ChunkCosts(values, steps, usable, tables.min(axis=2).sum(axis=0), nearest, sums, by_byte)
