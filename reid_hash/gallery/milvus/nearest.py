"""Nearest codes by weighted distance, from an engine that ranks by plain Hamming distance alone.

The engine gives the candidates of smallest Hamming distance over all bits; their distances are
computed here. Let d be the costs of the bits, each on its less likely side, in ascending order. A
code that differs from the query's bits in h of them costs at least the least possible distance and
the sum of the h smallest d. So where the k-th distance lies strictly below that bound at the
largest Hamming distance that was fetched, nothing else can be among the k nearest.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from reid_hash.codes import Codes, pack, weight_quantum
from reid_hash.distances import asymmetric, weighted
from reid_hash.index._engine.query_tables import check_values

_FIRST = 256
"""Candidates that are fetched at first, at least: more cost little beside the round trip."""

_WIDER = 4

Candidates = Callable[[list[bytes], int], list[list[tuple[int, int]]]]
"""(packed queries, how many) → for each (id, Hamming distance), by distance."""

Stored = Callable[[Sequence[int]], tuple[NDArray[np.int64], NDArray[np.uint8]]]
"""Ids → those that are there still, [n] int64 ascending, and their packed codes."""


class Nearest(NamedTuple):
    """What was found for one query.

    Attributes:
        ids: [≤ k] int64, by (distance, id).
        distances: [≤ k] float64.
        exact: whether it is certain that none is nearer.
    """

    ids: NDArray[np.int64]
    distances: NDArray[np.float64]
    exact: bool


class Bound(NamedTuple):
    """What a code costs at least, by its Hamming distance to the bits of the query.

    Attributes:
        sent: [width] uint8, the query's bits as the engine gets them.
        least: [8 · width + 1] float64: at Hamming distance h at least `least[h]`.
    """

    sent: NDArray[np.uint8]
    least: NDArray[np.float64]


def bounds(
    query: Codes | NDArray[np.floating], like: Codes, whole: NDArray[np.uint8]
) -> list[Bound]:
    """What codes cost at least.

    Args:
        query: codes or real values of the length that is compared.
        like: codes of that length; their weights count.
        whole: [queries, width] uint8, the queries' bits at the length that is stored.

    Raises:
        CodeError: real values are not finite numbers of that length.
    """
    w = like.weights.astype(np.float64)
    if isinstance(query, Codes):
        base, spread = np.zeros(len(query)), np.broadcast_to(w, (len(query), like.bits))
    else:
        # rounded as `distances.asymmetric` does, which makes the sums exact
        values, quantum = check_values(query, like.bits), weight_quantum(w)
        of_zero = np.round((values + 1) ** 2 / 4 * w / quantum) * quantum
        of_one = of_zero - np.round(values * w / quantum) * quantum
        base, spread = np.minimum(of_zero, of_one).sum(axis=1), np.abs(of_one - of_zero)
    free = 8 * whole.shape[1] - like.bits  # bits behind the prefix, and padding
    found = []
    for sent, start, cost in zip(whole, base, spread, strict=True):
        steps = np.concatenate([np.zeros(1 + free), np.sort(cost)])
        found.append(Bound(sent, start + np.cumsum(steps)))
    return found


def whole_bits(query: Codes | NDArray[np.floating], width: int) -> NDArray[np.uint8]:
    """The bits of queries at the width that is stored; bits that a query lacks are zeros."""
    packed = query.packed if isinstance(query, Codes) else pack(np.asarray(query))
    return np.pad(packed, ((0, 0), (0, width - packed.shape[1])))


def search(
    query: Codes | NDArray[np.floating],
    like: Codes,
    limits: Sequence[Bound],
    k: int,
    candidates: Candidates,
    stored: Stored,
    most: int,
    whole_scan: bool,
) -> list[Nearest]:
    """Find the k nearest of each query.

    Args:
        query: codes or real values of the length that is compared.
        like: codes of that length and model; their weights count.
        limits: `bounds` of the queries.
        k: how many to find, up to `most`.
        candidates: asks the engine.
        stored: fetches codes at the length that is stored.
        most: how many candidates the engine gives at once.
        whole_scan: the engine compares all codes; else no answer is exact.
    """
    answers: list[Nearest | None] = [None] * len(limits)
    open_, ask = list(range(len(limits))), min(max(_FIRST, _WIDER * k), most)
    while open_:
        found = candidates([limits[i].sent.tobytes() for i in open_], ask)
        ids, packed = stored(sorted({number for hits in found for number, _ in hits}))
        for i, hits in zip(list(open_), found, strict=True):
            numbers = np.array(sorted(number for number, _ in hits), np.int64)
            numbers = numbers[np.isin(numbers, ids)]  # some may be gone by now
            theirs = packed[np.searchsorted(ids, numbers)]
            distances = _distances(query, i, theirs, like)
            order = np.argsort(distances, kind="stable")[:k]  # equal ones by id
            proven = len(hits) < ask
            if not proven and len(order) == k:
                proven = bool(distances[order[-1]] < limits[i].least[hits[-1][1]])
            if proven or ask == most:
                answers[i] = Nearest(numbers[order], distances[order], proven and whole_scan)
                open_.remove(i)
        ask = min(_WIDER * ask, most)
    return [answer for answer in answers if answer is not None]


def _distances(
    query: Codes | NDArray[np.floating], i: int, packed: NDArray[np.uint8], like: Codes
) -> NDArray[np.float64]:
    """Exact distances [m] of stored codes to query i."""
    width = like.packed.shape[1]
    cut = packed[:, :width].copy()
    if like.bits % 8:
        cut[:, -1] &= (1 << (like.bits % 8)) - 1
    codes = Codes(cut, like.bits, like.weights, like.model)
    if isinstance(query, Codes):
        found: NDArray[np.float64] = weighted(query[i : i + 1], codes)[0]
    else:
        found = asymmetric(query[i : i + 1], codes)[0]
    return found
