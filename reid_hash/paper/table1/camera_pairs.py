"""Pairs of images of two cameras, to train on: of one person, and of two."""

import numpy as np
from numpy.typing import NDArray

from reid_hash.errors import DataError

Indices = NDArray[np.int64]


class CameraPairs:
    """Pairs of images, one of each of two cameras.

    Args:
        labels: [n] int64, the identities.
        cameras: [n] int64, of two cameras.

    Raises:
        DataError: not two cameras, or fewer than two persons seen by both.
    """

    def __init__(self, labels: Indices, cameras: Indices) -> None:
        views = np.unique(cameras)
        if len(views) != 2:
            raise DataError(
                f"training on pairs needs images of two cameras, there are {len(views)}"
            )
        self.labels = labels
        self.views = [np.flatnonzero(cameras == camera) for camera in views]
        seen = [labels[view] for view in self.views]
        both = np.intersect1d(seen[0], seen[1])
        if len(both) < 2:
            raise DataError(
                "training on pairs needs two persons or more that both cameras have seen"
            )
        self._first = self.views[0][np.isin(seen[0], both)]
        self._second = {int(person): self.views[1][seen[1] == person] for person in both}

    def same(self, random: np.random.Generator) -> tuple[Indices, Indices]:
        """Each image of the first camera with one of the second, of the same person, shuffled."""
        first = random.permutation(self._first)
        second = [random.choice(self._second[int(self.labels[i])]) for i in first]
        return first, np.array(second, np.int64)

    def different(self, count: int, random: np.random.Generator) -> tuple[Indices, Indices]:
        """`count` pairs of two persons, drawn with replacement."""
        first, second = (random.choice(view, count) for view in self.views)
        while (wrong := self.labels[first] == self.labels[second]).any():
            second[wrong] = random.choice(self.views[1], int(wrong.sum()))
        return first, second
