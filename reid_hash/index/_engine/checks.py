"""What every index asks of what it is given."""

import numpy as np
from numpy.typing import NDArray

from reid_hash.errors import CodeError
from reid_hash.index.base import Matches


def check_ids(ids: NDArray[np.int64], count: int, last: int) -> NDArray[np.int64]:
    """Raise CodeError unless there are `count` ids that ascend from above `last`."""
    given = np.asarray(ids)
    if given.shape != (count,) or not (np.issubdtype(given.dtype, np.integer) or not count):
        raise CodeError(f"{count} codes take {count} integer ids, not an array {given.shape}")
    given = given.astype(np.int64)
    if count and (given[0] <= last or (np.diff(given) <= 0).any()):
        raise CodeError(
            f"ids must be 0 or more, ascend, and lie above those already there (up to {last})"
        )
    return given


def check_search(k: int, only: NDArray[np.int64] | None) -> NDArray[np.int64] | None:
    """Raise CodeError unless k ≥ 1; returns the ids to search among, sorted."""
    if k < 1:
        raise CodeError(f"a search finds 1 code or more, not {k}")
    return None if only is None else np.unique(np.asarray(only, np.int64))


def no_matches(queries: int, k: int) -> Matches:
    """The answer of an index without codes."""
    return Matches(np.full((queries, k), np.inf), np.full((queries, k), -1, np.int64))
