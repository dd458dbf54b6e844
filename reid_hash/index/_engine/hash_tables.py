"""Hash tables from 16-bit chunks to the codes that have them: multi-index hashing.

Source: Norouzi, Punjani, Fleet, "Fast exact search in Hamming space with multi-index hashing",
2014.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

VALUES = 2**16
"""Possible values of a chunk, which is two bytes of a code."""


class HashTables(NamedTuple):
    """One hash table per two bytes of the code, 4 bytes per code and table, and the codes in rows.

    Attributes:
        starts: [chunks, VALUES + 1] uint32: index into `slots` where each value begins.
        slots: [chunks, n] uint32: positions in the segment, ascending within each value.
        rows: [n, width rounded up to a multiple of 8] uint8: the codes.
    """

    starts: NDArray[np.uint32]
    slots: NDArray[np.uint32]
    rows: NDArray[np.uint8]

    @classmethod
    def build(cls, packed: NDArray[np.uint8]) -> "HashTables":
        """Build the tables of packed codes [n, width]."""
        n, width = packed.shape
        rows = np.zeros((n, -(-width // 8) * 8), np.uint8)
        rows[:, :width] = packed
        chunks = -(-width // 2)
        slots = np.empty((chunks, n), np.uint32)
        starts = np.zeros((chunks, VALUES + 1), np.uint32)
        for chunk, column in enumerate(rows.view("<u2").T[:chunks]):
            values = np.ascontiguousarray(column)
            slots[chunk] = np.argsort(values, kind="stable")  # on 16 bits, a radix sort
            starts[chunk, 1:] = np.cumsum(np.bincount(values, minlength=VALUES))
        return cls(starts, slots, rows)

    @property
    def nbytes(self) -> int:
        """Memory used by the tables, in bytes."""
        return self.starts.nbytes + self.slots.nbytes + self.rows.nbytes

    def counts(self, chunks: NDArray[np.int64], values: NDArray[np.int64]) -> NDArray[np.int64]:
        """Count the codes with each value in each chunk: [m] int64 from chunks [m], values [m]."""
        starts = self.starts.reshape(-1)
        at = chunks * (VALUES + 1) + values
        count: NDArray[np.int64] = starts[at + 1].astype(np.int64) - starts[at]
        return count

    def find(
        self, chunks: NDArray[np.int64], values: NDArray[np.int64], counts: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Find the positions of the codes with each value in each chunk.

        Args:
            chunks: [m] int64, chunk indices.
            values: [m] int64, the value looked up in each chunk.
            counts: [m] int64, as `counts` returns for them.

        Returns:
            [sum of counts] int64, grouped by value in the given order.
        """
        begin = self.starts.reshape(-1)[chunks * (VALUES + 1) + values].astype(np.int64)
        begin += chunks * self.slots.shape[1] - (np.cumsum(counts) - counts)
        at = np.repeat(begin, counts) + np.arange(counts.sum())
        places: NDArray[np.int64] = self.slots.reshape(-1)[at].astype(np.int64)
        return places
