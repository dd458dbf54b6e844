"""Cost of each stored bit to a query: the tables behind weighted and asymmetric distances."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from reid_hash.codes import Codes, unpack, weight_quantum
from reid_hash.errors import CodeError
from reid_hash.index._engine.layout import PATTERNS

_NO_SCALE = 1e-200  # below this scale, no two codes differ in float64

_PATTERNS = PATTERNS.T.astype(np.float64)


class QueryTables(NamedTuple):
    """Distances of queries to packed codes: exact (`tables`), and by fast scan (other fields).

    A distance is a sum with one cost per bit, which depends on whether the stored bit is zero or
    one. Costs are multiples of the weights' quantum (`codes.exact_weights`), so their sums are
    exact in any order, and equal distances are true ties.

    Fast scan compares the first `scanned` bytes by 8-bit tables. If it reports s, then
    `offset + scale · s` is at most the distance. If all bytes are scanned,
    `offset + scale · s + 2 · margin` is at least the distance. Proof in docs/search.md.

    Attributes:
        tables: [2 · width, queries, 16] float64: cost of each value of each nibble.
        vectors: [queries, 8 · scanned] float32, the query vectors of fast scan.
        scale: [queries] float64; zero if all codes are equally distant in the scanned bytes.
        offset: [queries] float64.
        margin: [queries] float64.
    """

    tables: NDArray[np.float64]
    vectors: NDArray[np.float32]
    scale: NDArray[np.float64]
    offset: NDArray[np.float64]
    margin: NDArray[np.float64]

    def __len__(self) -> int:  # number of queries
        return len(self.vectors)

    def rows(self, rows: slice | NDArray[np.int64]) -> "QueryTables":
        """Select the tables of some of the queries."""
        return QueryTables(
            self.tables[:, rows],
            self.vectors[rows],
            self.scale[rows],
            self.offset[rows],
            self.margin[rows],
        )

    def lower(self, scanned: NDArray[np.float32]) -> NDArray[np.float64]:
        """Compute lower bounds of distances [queries, m] from what fast scan reports."""
        bounds = scanned * self.scale[:, None]
        bounds += self.offset[:, None]
        if not self.scale.all():  # with a zero scale, FAISS divides by zero
            bounds[self.scale == 0] = self.offset[self.scale == 0, None]
        return bounds

    def distances(
        self, nibbles: NDArray[np.uint8], rows: NDArray[np.int64] | int
    ) -> NDArray[np.float64]:
        """Compute the exact distances of codes.

        Args:
            nibbles: [2 · width, m] uint8.
            rows: [m] int64, the query that each code is compared with, or one query for all.

        Returns:
            [m] float64.
        """
        count = len(self.tables)
        table = np.arange(count)[:, None] * (16 * self.tables.shape[1])
        parts = self.tables.reshape(-1).take(nibbles + (table + 16 * np.asarray(rows)))
        total: NDArray[np.float64] = parts.sum(axis=0)
        return total


def query_tables(
    query: Codes | NDArray[np.floating], like: Codes, width: int, scanned: int
) -> QueryTables:
    """Make the tables of queries.

    Args:
        query: codes, or asymmetric queries [queries, bits] float, clipped to -1 … 1. A code's
            bit k costs `like.weights[k]` if it differs. Against an asymmetric query q, a stored bit
            s in {-1, 1} costs the weight times (q - s)² / 4, as in `distances.asymmetric`, which is
            the same for q = ±1.
        like: codes with the length, weights and model of the stored ones; any number.
        width: bytes per stored code, which may be longer than the query; further bits cost nothing.
        scanned: number of leading bytes that fast scan compares.

    Raises:
        CodeError: the query has another length or model, or contains NaN.
    """
    like.check_weighted()
    bits, w = like.bits, like.weights.astype(np.float64)
    if isinstance(query, Codes):
        query.check_comparable(like)
        ones = unpack(query.packed, bits)
        of_zero = ones * w
        of_one = w - of_zero
    else:
        values, quantum = check_values(query, bits), weight_quantum(w)
        of_zero = np.round((values + 1) ** 2 / 4 * w / quantum) * quantum
        of_one = of_zero - np.round(values * w / quantum) * quantum
    costs = np.zeros((len(of_zero), 8 * width, 2))
    costs[:, :bits, 0], costs[:, :bits, 1] = of_zero, of_one

    # A nibble's cost is that of all zeros, plus the difference for each one.
    by_nibble = costs.reshape(len(costs), 2 * width, 4, 2).transpose(1, 0, 2, 3)
    tables = (by_nibble[..., 1] - by_nibble[..., 0]) @ _PATTERNS
    tables += by_nibble[..., 0].sum(axis=2)[..., None]
    return QueryTables(tables, *_scan(costs, 8 * scanned))


def check_values(values: NDArray[np.floating], bits: int) -> NDArray[np.float64]:
    """Convert asymmetric queries to float64 in -1 … 1, or raise CodeError."""
    query = np.asarray(values, np.float64)
    if query.ndim != 2 or query.shape[1] != bits or not np.isfinite(query).all():
        raise CodeError(
            f"a query of real values is [n, {bits}] finite numbers for codes of {bits} bits, "
            f"not {list(query.shape)}"
        )
    return np.clip(query, -1.0, 1.0)


def _scan(
    costs: NDArray[np.float64], bits: int
) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Compute the other four fields of `QueryTables` for the first `bits` bits."""
    queries, tables = len(costs), bits // 4
    excess = costs[:, :bits, 1] - costs[:, :bits, 0]
    scale = np.abs(excess).max(axis=1, initial=0.0)
    scale[scale < _NO_SCALE] = 0.0
    unit = np.divide(excess, scale[:, None], where=scale[:, None] > 0, out=np.zeros_like(excess))
    vectors = ((1 - unit) / 2).astype(np.float32)

    # FAISS shifts every table to start at 0, multiplies all by 255 / the largest span, and rounds.
    x = vectors.astype(np.float64)
    span = np.abs(1 - 2 * x).reshape(queries, tables, 4).sum(axis=2).max(axis=1, initial=0.0)
    shifts = np.minimum(x**2, (1 - x) ** 2).sum(axis=1)
    # Half a step per table, and more than float32 can lose in the tables and in their sum.
    steps = tables * (0.5 + 2.0**-8) + tables**2 * 2.0**-14
    margin = scale * span / 255 * steps + 1e-12 * costs.max(axis=2).sum(axis=1)
    offset = costs.min(axis=2).sum(axis=1) - scale * shifts - margin
    return vectors, scale, offset, margin
