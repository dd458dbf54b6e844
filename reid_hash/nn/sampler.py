"""Batches of P identities with K images each, balanced over identities and cameras."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray


class BalancedSampler:
    """Draws batches that depend on (seed, epoch) alone, so that a resumed run sees the same ones.

    Over an epoch every identity is drawn equally often, up to one. Within an identity the images
    take turns over its cameras, and over the images of each camera, before any comes twice.

    Args:
        labels: [n] int64; or [n, classes] bool, where an image may be drawn for any of its
            classes.
        cameras: [n] int64.
        identities: P, identities in a batch.
        images: K, images of each.
        seed: of the random order.
    """

    def __init__(
        self,
        labels: NDArray[np.int64] | NDArray[np.bool_],
        cameras: NDArray[np.int64],
        identities: int,
        images: int,
        seed: int,
    ) -> None:
        self.images = images
        self.seed = seed
        self._members: list[list[NDArray[np.int64]]] = []
        for rows in _rows_of_labels(labels):
            self._members.append([rows[cameras[rows] == c] for c in np.unique(cameras[rows])])
        self.identities = min(identities, len(self._members))
        self.batches = max(1, len(labels) // (self.identities * images))

    def __len__(self) -> int:
        """Batches in an epoch: as many as it takes to draw as many images as there are."""
        return self.batches

    def epoch(self, epoch: int) -> Iterator[NDArray[np.int64]]:
        """The batches of an epoch: indices [P·K] int64, K images of an identity side by side."""
        random = np.random.default_rng([self.seed, epoch])
        for chosen in self._identities(random):
            yield np.concatenate([self._draw(member, random) for member in chosen])

    def _identities(self, random: np.random.Generator) -> Iterator[list[int]]:
        queue: list[int] = []
        for _ in range(self.batches):
            if len(queue) < self.identities:
                # those left over come first, and not twice in one batch
                rest = [i for i in random.permutation(len(self._members)) if i not in set(queue)]
                again = [i for i in random.permutation(len(self._members)) if i in set(queue)]
                queue += rest + again
            yield queue[: self.identities]
            queue = queue[self.identities :]

    def _draw(self, member: int, random: np.random.Generator) -> NDArray[np.int64]:
        pools = [random.permutation(rows) for rows in self._members[member]]
        order = random.permutation(len(pools))
        picks: list[int] = []
        for turn in range(self.images):
            pool = pools[order[turn % len(pools)]]
            picks.append(int(pool[(turn // len(pools)) % len(pool)]))
        return np.array(picks, np.int64)


def _rows_of_labels(
    labels: NDArray[np.int64] | NDArray[np.bool_],
) -> Iterator[NDArray[np.int64]]:
    if labels.ndim == 1:
        order = np.argsort(labels, kind="stable")
        starts = np.flatnonzero(np.diff(labels[order])) + 1
        yield from np.split(order, starts)
        return
    for column in labels.T:
        if column.any():
            yield np.flatnonzero(column)
