"""Where the codes of a segment lie that have a certain value in 16 bits: multi-index hashing.

Source: Norouzi, Punjani, Fleet, "Fast exact search in Hamming space with multi-index hashing",
2014.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

VALUES = 2**16
"""Values of a chunk: two bytes of a code."""


class HashTables(NamedTuple):
    """A table for each two bytes of the codes: 4 bytes a code and table, and the codes in rows.

    Attributes:
        starts: [chunks, VALUES + 1] uint32: where in `slots` those with a value begin.
        slots: [chunks, n] uint32: places in the segment, ascending for each value.
        rows: [n, width rounded up to 8] uint8: the codes.
    """

    starts: NDArray[np.uint32]
    slots: NDArray[np.uint32]
    rows: NDArray[np.uint8]

    @classmethod
    def build(cls, packed: NDArray[np.uint8]) -> "HashTables":
        """Make the tables of packed codes [n, width]."""
        n, width = packed.shape
        rows = np.zeros((n, -(-width // 8) * 8), np.uint8)
        rows[:, :width] = packed
        chunks = -(-width // 2)
        slots = np.empty((chunks, n), np.uint32)
        starts = np.zeros((chunks, VALUES + 1), np.uint32)
        for chunk, column in enumerate(rows.view("<u2").T[:chunks]):
            values = np.ascontiguousarray(column)
            slots[chunk] = np.argsort(values, kind="stable")  # of 16 bits: a radix sort
            starts[chunk, 1:] = np.cumsum(np.bincount(values, minlength=VALUES))
        return cls(starts, slots, rows)

    @property
    def nbytes(self) -> int:
        """Bytes that the tables take."""
        return self.starts.nbytes + self.slots.nbytes + self.rows.nbytes

    def counts(self, chunks: NDArray[np.int64], values: NDArray[np.int64]) -> NDArray[np.int64]:
        """[m] int64: how many codes have each of some values in a chunk [m]."""
        starts = self.starts.reshape(-1)
        at = chunks * (VALUES + 1) + values
        count: NDArray[np.int64] = starts[at + 1].astype(np.int64) - starts[at]
        return count

    def find(
        self, chunks: NDArray[np.int64], values: NDArray[np.int64], counts: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Places of the codes that have one of some values in a chunk.

        Args:
            chunks: [m] int64.
            values: [m] int64.
            counts: [m] int64, of `counts`.

        Returns:
            [sum of counts] int64, those of one value after those of the other.
        """
        begin = self.starts.reshape(-1)[chunks * (VALUES + 1) + values].astype(np.int64)
        begin += chunks * self.slots.shape[1] - (np.cumsum(counts) - counts)
        at = np.repeat(begin, counts) + np.arange(counts.sum())
        places: NDArray[np.int64] = self.slots.reshape(-1)[at].astype(np.int64)
        return places
