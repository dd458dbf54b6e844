"""Batches of P identities with K images each, balanced over identities and cameras."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from reid_hash.errors import ConfigError


class BalancedSampler:
    """Sampler whose batches depend only on (seed, epoch), so that a resumed run sees the same ones.

    Over an epoch all identities are drawn equally often, up to one. Images of an identity alternate
    between its cameras, and all images of a camera are drawn before any is repeated.

    Args:
        labels: [n] int64; or [n, classes] bool, where an image may be drawn for any of its
            classes.
        cameras: [n] int64.
        identities: P, identities per batch.
        images: K, images per identity.
        seed: seed of the random order.
        sources: [n] int64, index of the data set that each image comes from; an identity has one
            source. None: all images come from one.
        shares: share of each source in the identities of a batch; need not sum to 1.

    Raises:
        ConfigError: the number of shares differs from the number of sources, or a source would
            have no identity in a batch.
    """

    def __init__(
        self,
        labels: NDArray[np.int64] | NDArray[np.bool_],
        cameras: NDArray[np.int64],
        identities: int,
        images: int,
        seed: int,
        sources: NDArray[np.int64] | None = None,
        shares: Sequence[float] = (),
    ) -> None:
        self.images = images
        self.seed = seed
        self._members: list[list[NDArray[np.int64]]] = []
        of_source: dict[int, list[int]] = {}
        for number, rows in enumerate(_rows_of_labels(labels)):
            self._members.append([rows[cameras[rows] == c] for c in np.unique(cameras[rows])])
            source = 0 if sources is None else int(sources[rows[0]])
            of_source.setdefault(source, []).append(number)
        self._pools = [np.array(of_source[source]) for source in sorted(of_source)]
        wanted = min(identities, len(self._members))
        self._counts = _shared_out(wanted, self._pools, shares)
        self.identities = sum(self._counts)
        self.batches = max(1, len(labels) // (self.identities * images))

    def __len__(self) -> int:
        """Batches per epoch: as many as needed to draw as many images as there are."""
        return self.batches

    def epoch(self, epoch: int) -> Iterator[NDArray[np.int64]]:
        """Yield the batches of an epoch: indices [P·K] int64, an identity's K images together."""
        random = np.random.default_rng([self.seed, epoch])
        for chosen in self._identities(random):
            yield np.concatenate([self._draw(member, random) for member in chosen])

    def _identities(self, random: np.random.Generator) -> Iterator[list[int]]:
        queues: list[list[int]] = [[] for _ in self._pools]
        for _ in range(self.batches):
            chosen: list[int] = []
            for queue, pool, count in zip(queues, self._pools, self._counts, strict=True):
                if len(queue) < count:
                    # leftover identities come first, but only once per batch
                    left = set(queue)
                    rest = [int(i) for i in random.permutation(pool) if i not in left]
                    again = [int(i) for i in random.permutation(pool) if i in left]
                    queue += rest + again
                chosen += queue[:count]
                del queue[:count]
            yield chosen

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


def _shared_out(
    identities: int, pools: Sequence[NDArray[np.int64]], shares: Sequence[float]
) -> list[int]:
    """Compute the number of identities per source in a batch by largest remainders."""
    if len(pools) == 1 and not shares:
        return [identities]
    if len(shares) != len(pools):
        raise ConfigError(
            f"data.shares has {len(shares)} numbers for {len(pools)} data sets; give one for each"
        )
    exact = np.array(shares) / sum(shares) * identities
    counts = np.floor(exact).astype(int)
    for index in np.argsort(counts - exact, kind="stable")[: identities - counts.sum()]:
        counts[index] += 1
    counts = np.minimum(counts, [len(pool) for pool in pools])
    if not counts.all():
        raise ConfigError(
            f"data.shares={list(shares)} leaves a data set without an identity in a batch of "
            f"{identities}; raise train.identities_per_batch, or its share"
        )
    return [int(count) for count in counts]
