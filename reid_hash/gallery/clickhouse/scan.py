"""The exact search: what a statement scans for, and the proof that nothing is left out.

A distance is a constant plus a sum over the bits that differ from a query's; the costs of the bits
are whole multiples of a power of two (`codes.exact_weights`), so with v_k whole numbers

    distance / quantum = base + Σ_k v_k [c_k ≠ q_k] = base + Σ_j 2^j popcount((c ⊕ q) ∧ m_j)

with a mask m_j for each binary digit of the costs. The scan takes fewer digits: u_k = ⌊v_k / s⌋ of
few binary digits, for which s · Σ u_k [c_k ≠ q_k] ≤ Σ v_k [c_k ≠ q_k], a lower bound. With T the
k-th smallest distance of *any* rows, no row among the k nearest is farther than T. So all of them
are among the rows whose lower bound is at most T, and only these get the exact sum. T comes from
some blocks of rows spread over the table, then from every 16th block; then all are scanned.

An asymmetric query (`distances.asymmetric`) is the same sum: q_k the likelier bit, v_k what the
other one costs more, `base` what no code avoids.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from reid_hash.codes import Codes, unpack, weight_quantum
from reid_hash.errors import CodeError, GalleryError
from reid_hash.gallery.clickhouse.link import Link
from reid_hash.gallery.clickhouse.rows import Names, View, pack_words, unpack_words
from reid_hash.gallery.clickhouse.schema import words

GRANULE = 2048
"""Rows of a block that is looked at or passed over as a whole."""

_LOSS = 0.08  # share of the costs that the planes of a scan may leave out
_MOST_PLANES = 8
_SAMPLE = 2**14  # rows that the first look takes
_FEW = 2**17  # rows that are fetched and compared without a look before
_CAP = 2**21  # rows that one statement gives for all its queries together: some 50 MB
_TERMS = 2500  # of one statement: the engine takes some 0.1 ms to read each
_BATCH = 50  # queries of one statement
_BLOCK = 2**23  # bits that are numbers at a time
_TABLES = 4  # queries up to which looking bytes up is quicker than a product of matrices

Hits = tuple[NDArray[np.int64], NDArray[np.float64]]
"""Ids and distances, by (distance, id)."""


class Queries(NamedTuple):
    """Queries as whole numbers.

    Attributes:
        likely: [queries, bits] bool, the bit that costs less.
        costs: [queries, bits] int64 ≥ 0, what the other costs more.
        base: [queries] int64, what no code avoids.
        quantum: what 1 stands for.
    """

    likely: NDArray[np.bool_]
    costs: NDArray[np.int64]
    base: NDArray[np.int64]
    quantum: float

    def __len__(self) -> int:
        return len(self.base)

    @property
    def bits(self) -> int:
        """Length of what is compared."""
        return int(self.likely.shape[1])

    def rows(self, start: int, stop: int) -> "Queries":
        """Some of the queries."""
        part = slice(start, stop)
        return Queries(self.likely[part], self.costs[part], self.base[part], self.quantum)


def make_queries(query: Codes | NDArray[np.floating], like: Codes, weighted: bool) -> Queries:
    """What each bit costs.

    Args:
        query: codes, or real values [queries, bits], of the length that is compared.
        like: codes of that length, with the gallery's weights.
        weighted: by them; else each bit counts 1.

    Raises:
        CodeError: the values are no finite numbers, or all weights are 0.
    """
    if not weighted:
        like = like.unweighted()
    like.check_weighted()
    weights = like.weights.astype(np.float64)
    quantum = weight_quantum(weights)
    if isinstance(query, Codes):
        likely = unpack(query.packed, query.bits)
        costs = np.broadcast_to(weights / quantum, likely.shape)
        return Queries(likely, costs.astype(np.int64), np.zeros(len(query), np.int64), quantum)
    values = np.asarray(query, np.float64)
    if not np.isfinite(values).all():
        raise CodeError(
            f"a query of real values is [n, {like.bits}] finite numbers for codes of {like.bits} "
            "bits"
        )
    values = np.clip(values, -1.0, 1.0)
    # rounded as `distances.asymmetric` does
    of_zero = np.round((values + 1) ** 2 / 4 * weights / quantum).astype(np.int64)
    of_one = of_zero - np.round(values * weights / quantum).astype(np.int64)
    likely = of_one < of_zero
    return Queries(likely, np.abs(of_zero - of_one), np.minimum(of_zero, of_one).sum(1), quantum)


def distances(queries: Queries, packed: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Exact distances of packed codes, in quanta: [queries, n].

    Args:
        queries: which.
        packed: [n, ceil(bits / 8)] uint8; bits behind the queries' length do not count.
    """
    signed = np.where(queries.likely, -queries.costs, queries.costs)  # what a 1 costs more
    start = queries.base + (queries.costs * queries.likely).sum(1)
    if len(queries) <= _TABLES:
        small: NDArray[np.int64] = _by_tables(signed, packed) + start[:, None]
        return small
    found = np.empty((len(queries), len(packed)), np.int64)
    step = max(1, _BLOCK // queries.bits)
    for begin in range(0, len(packed), step):
        part = slice(begin, begin + step)
        bits = unpack(np.ascontiguousarray(packed[part]), queries.bits).astype(np.float64)
        # sums of whole numbers far below 2^53: exact in float64 in any order
        found[:, part] = signed.astype(np.float64) @ bits.T
    found += start[:, None]
    return found


def _by_tables(signed: NDArray[np.int64], packed: NDArray[np.uint8]) -> NDArray[np.int64]:
    """What the ones of codes cost, by a table for each byte."""
    padded = np.zeros((len(signed), 8 * packed.shape[1]), np.int64)
    padded[:, : signed.shape[1]] = signed
    values = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1, bitorder="little")
    tables = padded.reshape(len(signed), -1, 8) @ values.T.astype(np.int64)
    found = np.zeros((len(signed), len(packed)), np.int64)
    for byte, column in enumerate(np.ascontiguousarray(packed.T)):
        found += tables[:, byte].take(column, axis=1)
    return found


def nearest(ids: NDArray[np.int64], exact: NDArray[np.int64], k: int) -> NDArray[np.int64]:
    """Positions of the k nearest, by (distance, id)."""
    chosen = np.arange(len(ids))
    if k < len(ids):
        chosen = np.flatnonzero(exact <= np.partition(exact, k - 1)[k - 1])
    order: NDArray[np.int64] = chosen[np.lexsort((ids[chosen], exact[chosen]))[:k]]
    return order


class _Planes(NamedTuple):
    """What a statement computes for one query: whole numbers of few binary digits."""

    digits: NDArray[np.int64]
    step: int

    @classmethod
    def of(cls, costs: NDArray[np.int64], exact: bool = False) -> "_Planes":
        """The fewest digits that leave out little of the costs, or all of them."""
        most = int(costs.max())
        if exact or most == 0:
            return cls(costs, 1)
        for planes in range(1, _MOST_PLANES + 1):
            step = -(-most // (2**planes - 1))
            digits = costs // step
            if int((costs - step * digits).sum()) <= _LOSS * int(costs.sum()):
                break
        return cls(digits, step)

    def sql(self, likely: NDArray[np.bool_]) -> str:
        """Σ_k u_k [c_k ≠ q_k] in SQL."""
        query = _as_words(likely)
        terms = []
        for plane in range(int(self.digits.max()).bit_length()):
            masks = _as_words((self.digits >> plane & 1).astype(bool))
            parts = [
                f"bitHammingDistance(c{j}, {one})"
                if mask == 2**64 - 1
                else f"bitHammingDistance(bitAnd(c{j}, {mask}), {one & mask})"
                for j, (mask, one) in enumerate(zip(masks, query, strict=True))
                if mask
            ]
            if parts:
                count = " + ".join(parts)
                terms.append(f"{2**plane} * ({count})" if plane else count)
        return " + ".join(terms) or "0"

    @property
    def terms(self) -> int:
        """How many counts of bits it takes."""
        planes = int(self.digits.max()).bit_length()
        return sum(
            bool(mask)
            for plane in range(planes)
            for mask in _as_words((self.digits >> plane & 1).astype(bool))
        )


def _as_words(bits: NDArray[np.bool_]) -> list[int]:
    packed = np.packbits(bits[None], axis=1, bitorder="little")
    found: list[int] = pack_words(packed, len(bits))[0].tolist()
    return found


def search(
    link: Link, names: Names, view: View, queries: Queries, k: int, where: str, rows: int
) -> list[Hits]:
    """Find the k nearest of each query, by (distance, id).

    Args:
        link: to the gallery.
        names: of its tables.
        view: which rows are seen.
        queries: which.
        k: how many.
        where: a condition in SQL; "1" for all.
        rows: how many the table has, about: decides how it is looked at, not what is found.
    """
    found: list[Hits] = []
    start = 0
    while start < len(queries):
        terms = _Planes.of(queries.costs[start]).terms
        stop = min(start + max(1, min(_BATCH, _TERMS // max(1, terms))), len(queries))
        found += _Scan(link, names, view, queries.rows(start, stop), k, where).search(rows)
        start = stop
    return found


class _Scan:
    """One statement's worth of queries; see `search`."""

    def __init__(
        self, link: Link, names: Names, view: View, queries: Queries, k: int, where: str
    ) -> None:
        self._link, self._names, self._view = link, names, view
        self._queries, self._k, self._where = queries, k, where
        self._words = words(queries.bits)
        self._planes = [_Planes.of(costs) for costs in queries.costs]
        self._most: list[int | None] = [None] * len(queries)  # T, in quanta

    def search(self, rows: int) -> list[Hits]:
        for stride in _strides(rows):
            cap = max(_CAP if None in self._most else _CAP // len(self._queries), 2 * self._k)
            cap = min(cap, rows + GRANULE)
            found = self._look(stride, cap)
            together = len(found) < len(self._queries)
            hits, whole = [], []
            for i in range(len(self._queries)):
                if not i or not together:
                    ids, packed = found[i]
                    seen = self._view.seen(ids)
                    ids, complete = ids[seen], len(ids) < cap
                    which = self._queries if together else self._queries.rows(i, i + 1)
                    far = distances(which, packed[seen])
                exact = far[i if together else 0]
                order = nearest(ids, exact, self._k)
                hits.append((ids[order], exact[order]))
                whole.append(complete)
                if len(order) == self._k:
                    self._most[i] = int(exact[order[-1]])
        return [
            self._of(ids, exact) if complete else self._one_by_one(i)
            for i, ((ids, exact), complete) in enumerate(zip(hits, whole, strict=True))
        ]

    def _of(self, ids: NDArray[np.int64], exact: NDArray[np.int64]) -> Hits:
        return ids, exact.astype(np.float64) * self._queries.quantum

    def _look(self, stride: int, cap: int) -> list[tuple[NDArray[np.int64], NDArray[np.uint8]]]:
        """Ids and codes of rows that may be among the nearest, of every so many-th block.

        One pair for each query, or one for all while it is not known how far the nearest are.
        """
        columns = ", ".join(["id", *(f"c{j}" for j in range(self._words))])
        where = self._where
        if stride > 1:
            where += f" AND intDiv(_part_offset, {GRANULE}) % {stride} = 0"
        limits = [self._limit(i) for i in range(len(self._queries))]
        table = self._names("sighting_rows")
        if None in limits:
            taken = [f"groupArray({cap})(({columns}))"]
        elif len(limits) == 1:
            taken = [f"groupArray({cap})(({columns}))"]
            where = f"{limits[0]} AND {where}"
        else:
            taken = [f"groupArrayIf({cap})(({columns}), {limit})" for limit in limits]
        statement = f"SELECT {', '.join(taken)} FROM {table} WHERE {where}"
        data = self._link.packed(statement, use_query_condition_cache=0)  # no query comes twice
        found = _arrays(data, len(taken), 1 + self._words)
        return [
            (part[:, 0].astype(np.int64), unpack_words(part[:, 1:], self._queries.bits))
            for part in found
        ]

    def _limit(self, i: int) -> str | None:
        """That a row's lower bound is at most T, in SQL."""
        most, planes = self._most[i], self._planes[i]
        if most is None:
            return None
        within = (most - int(self._queries.base[i])) // planes.step
        return f"({planes.sql(self._queries.likely[i])} <= {within})"

    def _one_by_one(self, i: int) -> Hits:
        """The nearest of one query where too many rows are about as near: sorted by the engine."""
        exact = _Planes.of(self._queries.costs[i], exact=True).sql(self._queries.likely[i])
        limit = self._limit(i) or "1"
        rows = self._link.rows(
            f"SELECT id, toInt64({exact}) AS d FROM {self._names('sighting_rows')} "
            f"WHERE {limit} AND {self._where} AND {self._view.condition()} "
            f"ORDER BY d, id LIMIT {min(self._k, 2**62)}",
            use_query_condition_cache=0,
        )
        found = np.array(rows, np.int64).reshape(-1, 2)
        return self._of(found[:, 0], found[:, 1] + self._queries.base[i])


def _strides(rows: int) -> list[int]:
    """Every how many-th block the looks take, the last one each."""
    if rows <= _FEW:
        return [1]
    first = max(2, rows // _SAMPLE)
    return [first, 16, 1] if first >= 32 else [first, 1]


def _arrays(data: bytes, count: int, width: int) -> list[NDArray[np.uint64]]:
    """Arrays of tuples of 64 bits from RowBinary: each a length, then the values."""
    found, at = [], 0
    for _ in range(count):
        length = shift = 0
        while True:
            byte = data[at]
            at += 1
            length |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
        size = 8 * width * length
        if at + size > len(data):
            raise GalleryError("the answer of ClickHouse is damaged: it ends too early")
        part = np.frombuffer(data, "<u8", width * length, at).reshape(length, width)
        found.append(part)
        at += size
    return found


def merge(parts: Sequence[Hits], k: int) -> Hits:
    """The k nearest of several exact answers to one query, by (distance, id).

    Args:
        parts: the k nearest in each part of the sightings, which have no id in common.
        k: how many to keep.
    """
    ids = np.concatenate([np.zeros(0, np.int64), *(ids for ids, _ in parts)])
    far = np.concatenate([np.zeros(0), *(far for _, far in parts)])
    order = np.lexsort((ids, far))[:k]
    return ids[order], far[order]
