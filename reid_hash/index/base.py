"""The interface that every index over codes implements, and the checks they share."""

import operator
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reid_hash.codes import Codes
from reid_hash.errors import CodeError
from reid_hash.utils.terminal_text import visible

_MOST = 2**63 - 1  # ids are int64, as FAISS has them


class Matches(NamedTuple):
    """The nearest codes of each query, sorted by (distance, id), both ascending.

    Attributes:
        distances: [queries, found] float64. `found` is k, or the number of codes searched if that
            is smaller. An approximate search that finds fewer codes fills up with infinity.
        ids: [queries, found] int64; -1 where the distance is infinite.
    """

    distances: NDArray[np.float64]
    ids: NDArray[np.int64]


class CodeIndex(Protocol):
    """Index over codes of one model and one length."""

    bits: int

    def __len__(self) -> int:
        """Number of codes in the index."""
        ...

    def add(self, codes: Codes, ids: NDArray[np.int64]) -> None:
        """Append codes.

        Args:
            codes: codes of the index's length and model.
            ids: [n] int64 ≥ 0, ascending, all above the ids already in the index.
        """
        ...

    def remove(self, ids: NDArray[np.int64]) -> int:
        """Remove codes and return how many were removed; ids not in the index are skipped."""
        ...

    def search(
        self, query: Codes | NDArray[np.floating], k: int, only: NDArray[np.int64] | None = None
    ) -> Matches:
        """Find the k nearest codes of each query.

        Args:
            query: codes, or asymmetric queries [queries, bits] float in -1 … 1
                (`distances.query_values`).
            k: number of codes to find, ≥ 1; capped at the number of codes searched.
            only: [m] int64, ascending: ids to search among. Default: all.
        """
        ...


def described(index: CodeIndex, model: str, *facts: str) -> str:
    """Describe an index in one line, for its `repr`."""
    number = f"{len(index):,} code{'' if len(index) == 1 else 's'} of {index.bits} bits"
    named = (f"model {visible(model)}",) if model else ()
    return f"{type(index).__name__}({', '.join((number, *facts, *named))})"


def check_ids(ids: NDArray[np.int64], count: int, last: int) -> NDArray[np.int64]:
    """Return the ids, or raise CodeError unless there are `count`, ascending from above `last`."""
    given = np.asarray(ids)
    if given.shape != (count,) or not (np.issubdtype(given.dtype, np.integer) or not count):
        raise CodeError(f"{count} codes take {count} integer ids, not an array {given.shape}")
    given = signed_ids(given)
    if count and (given[0] <= last or (np.diff(given) <= 0).any()):
        raise CodeError(
            f"ids must be 0 or more, ascend, and lie above those already there (up to {last})"
        )
    return given


def check_search(k: int, only: NDArray[np.int64] | None) -> NDArray[np.int64] | None:
    """Return the ids to search among, sorted; raise CodeError unless k is an integer ≥ 1."""
    try:
        operator.index(k)
    except TypeError as error:
        raise CodeError(f"a search finds a whole number of codes, not {k!r}") from error
    if k < 1:
        raise CodeError(f"a search finds 1 code or more, not {k}")
    return None if only is None else np.unique(signed_ids(only))


def signed_ids(ids: ArrayLike) -> NDArray[np.int64]:
    """Convert ids to int64; raise CodeError for one too large, which would wrap below 0."""
    given = np.asarray(ids)
    if given.dtype.kind == "f" and given.size:
        raise CodeError(f"ids are integers, not {given.dtype}")
    if given.dtype == np.uint64 and given.size and int(given.max()) > _MOST:
        raise CodeError(f"the id {int(given.max())} is above the largest, {_MOST}")
    try:
        return given.astype(np.int64)
    except (OverflowError, TypeError, ValueError) as error:  # object arrays
        raise CodeError(f"ids are integers of 0 to {_MOST}") from error


def no_matches(queries: int, k: int) -> Matches:
    """Return the answer of an index without codes."""
    return Matches(np.full((queries, k), np.inf), np.full((queries, k), -1, np.int64))
