"""What every index over codes offers: the gallery, the demo and the benchmark speak to this."""

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from reid_hash.codes import Codes


class Matches(NamedTuple):
    """The nearest codes of each query, by (distance, id), both ascending.

    Attributes:
        distances: [queries, k] float64; infinity where there were fewer than k codes.
        ids: [queries, k] int64; -1 where there were fewer than k codes.
    """

    distances: NDArray[np.float64]
    ids: NDArray[np.int64]


class CodeIndex(Protocol):
    """An index over codes of one model and one length."""

    bits: int

    def __len__(self) -> int:
        """How many codes can be found."""
        ...

    def add(self, codes: Codes, ids: NDArray[np.int64]) -> None:
        """Append codes.

        Args:
            codes: of the index's length and model.
            ids: [n] int64 ≥ 0, ascending, all above those already there.
        """
        ...

    def remove(self, ids: NDArray[np.int64]) -> int:
        """Take codes out; ids that are not there are skipped. Returns how many went."""
        ...

    def search(
        self, query: Codes | NDArray[np.floating], k: int, only: NDArray[np.int64] | None = None
    ) -> Matches:
        """Find the k nearest codes of each query.

        Args:
            query: codes, or real values [queries, bits] in -1 … 1 (`distances.query_values`).
            k: how many to find, ≥ 1.
            only: [m] int64 ascending: search among these ids only; all when left out.
        """
        ...
