"""Second thoughts: all tracklets of a time together, when more is known than when they were seen.

Tracklets are joined to their next ones first (`learn.best_links`, an assignment problem), then the
chains to those of people who left and came back: complete agreement is not asked for, but nobody is
joined to whom they were seen with.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reid_hash.gallery.network.appearance import Appearance
from reid_hash.gallery.network.cameras import CameraNetwork
from reid_hash.gallery.network.learn import best_links, impossible, link_scores
from reid_hash.gallery.network.tracklets import Tracklets, apart, unit

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def cluster(
    tracklets: Tracklets,
    network: CameraNetwork,
    appearance: Appearance,
    far: float = 0.05,
    given: "Given | None" = None,
) -> Ints:
    """Say of all tracklets together which are of one person.

    Args:
        tracklets: by time, n of them.
        network: the ways between their cameras.
        appearance: what distances mean.
        far: share of the chains of strangers that may be joined to somebody.
        given: what a person has said, and stays.

    Returns:
        [n] int64, a number for each person, from 0.
    """
    count = len(tracklets)
    two = impossible(tracklets, network)
    two = two | two.T
    same = np.zeros((0, 2), np.int64)
    if given is not None:
        two, same = two | given.two, given.same
        two[same[:, 0], same[:, 1]] = two[same[:, 1], same[:, 0]] = False
    score = link_scores(tracklets, tracklets.distances(), network, appearance)
    score[two] = -np.inf
    links, _ = best_links(score)
    chain = _unmixed(_components(links, count), two)
    chain = _components(np.concatenate([_edges(chain), same]), count)
    # as of one stranger's search among all others
    share = -np.expm1(np.log1p(-min(far, 1 - 1e-9)) / max(len(np.unique(chain)) - 1, 1))
    return join_alike(tracklets.vectors, chain, two, appearance.nearest(share))


@dataclass(frozen=True, eq=False)
class Given:
    """What a person has said of tracklets.

    Attributes:
        two: [n, n] bool, symmetric: pairs that are of two people.
        same: [m, 2] int64, pairs that are of one person.
    """

    two: NDArray[np.bool_]
    same: Ints


def _components(links: Ints, count: int) -> Ints:
    # imported here, see `appearance`
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    joined = coo_array((np.ones(len(links)), (links[:, 0], links[:, 1])), (count, count))
    return connected_components(joined, directed=False)[1].astype(np.int64)


def _edges(groups: Ints) -> Ints:
    """Each of a group and the first one of it."""
    _, first, group = np.unique(groups, return_index=True, return_inverse=True)
    return np.stack([np.arange(len(groups)), first[group]], axis=1).astype(np.int64)


def _unmixed(chain: Ints, two: NDArray[np.bool_]) -> Ints:
    """Chains cut where somebody in them was seen with somebody else in them."""
    found, free = chain.copy(), int(chain.max(initial=-1)) + 1
    for number in np.unique(chain).tolist():
        rows = np.flatnonzero(chain == number)
        part: list[int] = []
        for row in rows.tolist():  # by time
            if part and two[row, part].any():
                part, free = [], free + 1
                found[row:][chain[row:] == number] = free - 1
            part.append(row)
    return found


def join_alike(
    vectors: NDArray[np.float32], groups: Ints, two: NDArray[np.bool_], limit: float
) -> Ints:
    """Join groups that look alike, the nearest first, by their mean vectors.

    Args:
        vectors: [n, bits] of tracklets; longer ones count more.
        groups: [n] which are of one person to begin with.
        two: [n, n] pairs that are of two people: their groups are never joined.
        limit: distance between two groups' means up to which they are joined.

    Returns:
        [n] int64, from 0.
    """
    group = np.unique(groups, return_inverse=True)[1].astype(np.int64)
    count = int(group.max(initial=-1)) + 1
    sums = np.zeros((count, vectors.shape[1]), np.float64)
    np.add.at(sums, group, vectors)
    between = np.eye(count, dtype=bool)
    a, b = np.nonzero(two)
    between[group[a], group[b]] = between[group[b], group[a]] = True
    near = np.where(between, np.inf, apart(unit(sums), unit(sums)))
    there = np.ones(count, bool)
    while count:
        i, j = divmod(int(near.argmin()), count)
        if not near[i, j] <= limit:
            break
        sums[i] += sums[j]
        between[i] |= between[j]
        between[:, i] |= between[:, j]
        group[group == j], there[j] = i, False
        row = apart(unit(sums[[i]]), unit(sums))[0]
        row[between[i] | ~there] = np.inf
        near[i] = near[:, i] = row
        near[j] = near[:, j] = np.inf
    return np.unique(group, return_inverse=True)[1].astype(np.int64)
