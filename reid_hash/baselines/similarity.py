"""Which training samples are similar, stored by groups of samples with the same labels.

The n × n matrix is never built. It equals Z A Zᵀ, where Z [n, groups] assigns samples to groups
and A [groups, groups] says which groups share a label (only themselves, with single labels).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from reid_hash.baselines.function import Floats
from reid_hash.data.dataset import Labels
from reid_hash.data.labels import is_multi_label, relevance


@dataclass(frozen=True, eq=False)
class Similarity:
    """Similarity of n samples: whether they share a label.

    Attributes:
        group: [n] int64; samples of one group have the same labels.
        similar: [groups, groups] bool, symmetric. The diagonal is False for a group without labels.
    """

    group: NDArray[np.int64]
    similar: NDArray[np.bool_]

    @classmethod
    def of(cls, labels: Labels) -> "Similarity":
        """Group samples by their labels.

        Args:
            labels: [n] int, or [n, classes] bool.

        Example:
            >>> Similarity.of(np.array([7, 3, 7])).pairs(np.array([0, 0]), np.array([1, 2]))
            array([False,  True])
        """
        axis = 0 if is_multi_label(labels) else None
        kinds, group = np.unique(labels, axis=axis, return_inverse=True)
        return cls(group.reshape(-1).astype(np.int64), relevance(kinds, kinds))

    def __len__(self) -> int:
        return len(self.group)

    @property
    def groups(self) -> int:
        """Number of groups."""
        return len(self.similar)

    @cached_property
    def _single(self) -> bool:
        """Whether groups are similar only to themselves, as with single labels."""
        return np.array_equal(self.similar, np.eye(self.groups, dtype=bool))

    @cached_property
    def _matrix(self) -> Floats:
        return self.similar.astype(np.float64)

    def _shared(self, sums: Floats) -> Floats:
        """Multiply A [groups, groups] by sums over groups."""
        product: Floats = sums if self._single else self._matrix @ sums
        return product

    def pairs(self, i: NDArray[np.int64], j: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Check whether samples i [m] and j [m] are similar, [m] bool."""
        answer: NDArray[np.bool_] = self.similar[self.group[i], self.group[j]]
        return answer

    def times(self, vector: Floats) -> Floats:
        """Multiply the 0/1 similarity matrix by a vector [n]."""
        sums: Floats = np.bincount(self.group, vector, self.groups).astype(np.float64)
        product: Floats = self._shared(sums)[self.group]
        return product

    def quadratic(self, matrix: Floats) -> Floats:
        """Compute Xᵀ (similarity matrix) X for X [n, m], as [m, m]."""
        sums = np.zeros((self.groups, matrix.shape[1]))
        np.add.at(sums, self.group, matrix)
        product: Floats = sums.T @ self._shared(sums)
        return product

    def factors(self) -> tuple[Floats, Floats]:
        """Factor the similarity matrix as V diag(λ) Vᵀ with V [n, rank] and λ [rank].

        With single labels, V assigns samples to groups, λ is 1, and the result is exact. With
        several, eigenvectors of the groups' matrix are used, without those of unlabelled groups.
        """
        if self._single:
            return np.eye(self.groups)[self.group], np.ones(self.groups)
        values, vectors = np.linalg.eigh(self._matrix)
        kept = np.abs(values) > 1e-9 * np.abs(values).max(initial=1e-9)
        return vectors[:, kept][self.group], values[kept]
