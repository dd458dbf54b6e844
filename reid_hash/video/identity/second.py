"""Second thoughts at the end of a run: all tracks together, each by all of its crops."""

import statistics
from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reid_hash.gallery.network.associate import join_alike
from reid_hash.gallery.network.tracklets import apart, unit
from reid_hash.video.identity.tracks import Key, Track, Tracks

MOST = 2000
"""Tracks that are looked at, the newest."""

_BOUNDS = (0.14, 0.2)
"""Shares of the sum of the bit weights that the limit stays between; see `recognition.BOUNDS`. The
distance is between the mean values of all crops, on the scale of the angle between them."""

_FAR = 0.05  # share of strangers that may be joined to somebody
_ENOUGH = 25  # pairs of people seen together from which the limit is learned
_CROPS = 6  # a track of more counts no more


@dataclass(frozen=True, eq=False)
class Move:
    """Tracks that are of another identity than was thought.

    Attributes:
        tracks: at least one.
        identity: whose they are; None for somebody new.
    """

    tracks: list[Track]
    identity: int | None


def think_again(tracks: Tracks, before: set[int]) -> list[Move]:
    """Say which tracks are of another identity, now that all of them are known.

    Nobody is joined to whom they were seen with. Whoever was known before the run keeps the tracks
    that were given to them: the gallery has more sightings of them than these.

    Args:
        tracks: of the run.
        before: identities from before the run.
    """
    there = [one for one in tracks.all.values() if one.code][-MOST:]
    if len(there) < 2:
        return []
    rows = {one.key: i for i, one in enumerate(there)}
    vectors = _vectors(there)
    two = _two(there, rows, before)
    groups = np.arange(len(there))
    firsts: dict[int, int] = {}
    for i, one in enumerate(there):
        if one.identity in before:
            groups[i] = firsts.setdefault(one.identity, i)  # type: ignore[arg-type]
    weights = np.array([min(len(one.code), _CROPS) for one in there], np.float32)
    group = join_alike(vectors * weights[:, None], groups, two, _limit(vectors, two))
    return _moves(there, group.tolist(), before)


def _vectors(there: list[Track]) -> NDArray[np.float32]:
    """The mean values of each track as unit vectors, the bits' weights in them."""
    found = []
    for one in there:
        mean = one.code.descriptor()
        weights = np.sqrt(mean.code.weights[: len(mean.values)].astype(np.float32))
        found.append(mean.values * weights)
    return unit(np.stack(found))


def _two(there: list[Track], rows: dict[Key, int], before: set[int]) -> NDArray[np.bool_]:
    """Pairs of tracks that are certainly of two people."""
    two = np.zeros((len(there), len(there)), bool)
    for i, one in enumerate(there):
        beside = [rows[key] for key in one.others if key in rows]
        two[i, beside] = two[beside, i] = True
    known = np.array([one.identity if one.identity in before else -1 for one in there])
    two |= (known[:, None] != known) & (known[:, None] >= 0) & (known >= 0)
    return two


def _limit(vectors: NDArray[np.float32], two: NDArray[np.bool_]) -> float:
    """Up to which distance two tracks are of one person; see `recognition.LearnedLimit`."""
    low, high = _BOUNDS
    distances = apart(vectors, vectors)[np.triu(two, 1)]
    if len(distances) < _ENOUGH:
        return low
    first, middle, last = statistics.quantiles(distances.tolist(), n=4)
    fit = statistics.NormalDist(middle, max((last - first) / 1.349, 1e-3))
    share = -np.expm1(np.log1p(-_FAR) / len(vectors))
    return min(max(fit.inv_cdf(float(share)), low), high)


def _moves(there: list[Track], group: list[int], before: set[int]) -> list[Move]:
    """The changes that make each group one identity."""
    frames: dict[int, Counter[int]] = {number: Counter() for number in group}
    for one, number in zip(there, group, strict=True):
        if one.identity is not None:
            known = 10**9 if one.identity in before else 0  # they are named before all others
            frames[number][one.identity] += one.frames + known
    claims = sorted(
        ((count, number, who) for number, of in frames.items() for who, count in of.items()),
        key=lambda claim: (-claim[0], claim[1], claim[2]),
    )
    owner: dict[int, int] = {}
    for _, number, who in claims:
        if number not in owner and who not in owner.values():
            owner[number] = who
    moves = []
    for number in sorted(frames):
        theirs = [one for one, other in zip(there, group, strict=True) if other == number]
        moved = [one for one in theirs if one.identity != owner.get(number, -1)]
        # who has no identity, and is like nobody, keeps none
        decided = any(one.identity is not None for one in theirs)
        if moved and decided:
            moves.append(Move(moved, owner.get(number)))
    return moves
