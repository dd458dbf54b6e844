"""Learning the network of cameras from tracklets, without knowing who anybody is.

Each tracklet is somebody's next one, or of somebody who comes in. Links from one to the next are
those that the evidence of appearance, time and place together speaks for most: an assignment
problem. The ways are then learned anew from the links, and the links found anew, some times over:
the expectation–maximisation of Makris, Ellis and Black (2004, "Bridging the gaps between cameras")
with the best links in place of their expectation.
"""

import itertools
import math
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from reid_hash.errors import GalleryError
from reid_hash.gallery.network.appearance import Appearance, fit_appearance
from reid_hash.gallery.network.cameras import HORIZON, LEVELS, NEVER, CameraNetwork, Way
from reid_hash.gallery.network.tracklets import Tracklets, apart, overlapping, unit

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MOST = 4000
"""Tracklets that are looked at, the newest: their pairs must fit memory."""

_BEGIN = (9.0, 7.0)  # while nothing is known of the ways, appearance must say more
_ROUNDS = 6
_SURE = 3.0  # nats from which a link counts as confident: a way is learned from those alone
_ALIKE = 5.0  # nats; see `link_scores`
_FEW = 4  # passages below which a pair of cameras has no way
_RARE = 0.02  # share below which it has none
_CLOCK = 45.0  # seconds from which a clock is said to be wrong
_WINDOW = 90.0  # seconds within which the times between two cameras crowd
_CROWD = 12  # times in it at least
_STEP = 20.0  # seconds in which a wrong clock is set right at first
_SPAN = 3600.0  # seconds by which clocks may disagree


@dataclass(frozen=True, eq=False)
class Learned:
    """What tracklets tell of cameras, and of distances.

    Attributes:
        network: the ways.
        appearance: what distances between tracklets mean.
        links: [links, 2] int64, each tracklet and the next of the same person.
        evidence: [links] float64, nats for each link, against its being somebody else's.
    """

    network: CameraNetwork
    appearance: Appearance
    links: Ints = field(repr=False)
    evidence: Floats = field(repr=False)


def learn(tracklets: Tracklets, clocks: bool = True) -> Learned:
    """Learn ways, overlaps, clocks, and what distances mean.

    Args:
        tracklets: of one network's codes; the newest `MOST` are looked at.
        clocks: look for clocks that disagree.

    Raises:
        GalleryError: there are too few.
    """
    seen = tracklets[np.arange(max(len(tracklets) - MOST, 0), len(tracklets))]
    if len(seen) < 10:
        raise GalleryError(
            f"{len(seen)} tracklets are too few to learn from; a network of cameras needs some "
            "hundred"
        )
    distances = seen.distances()
    together = seen.together()
    appearance = first_appearance(seen, distances, together)
    found = _learn(seen, distances, appearance, np.zeros(len(seen.names)))
    ahead = _clocks(seen, distances, appearance) if clocks else np.zeros(len(seen.names))
    if not ahead.any():
        return found
    other = _learn(seen, distances, appearance, ahead)
    for camera in np.flatnonzero(ahead).tolist():
        # more people may go the one way than the other: the crowd is not quite where it should be
        for moved in (ahead[camera] + _STEP * np.arange(-3, 4)).tolist():
            tried = np.where(np.arange(len(ahead)) == camera, moved, ahead)
            one = _learn(seen, distances, appearance, tried)
            other = one if one.evidence.sum() > other.evidence.sum() else other
        ahead[camera] = other.network.clocks.get(seen.names[camera], 0.0)
    for _ in range(3):
        ahead = _mended(other.network, ahead)
        other = _learn(seen, distances, appearance, ahead)
    return other if other.evidence.sum() > 1.02 * found.evidence.sum() else found


def _learn(
    tracklets: Tracklets, distances: Floats, appearance: Appearance, ahead: Floats
) -> Learned:
    """Learn with clocks that are ahead by so many seconds, one a camera."""
    shift = ahead[tracklets.cameras]
    order = np.argsort(tracklets.first - shift, kind="stable")
    first, last = tracklets.first - shift, tracklets.last - shift
    shifted = replace(tracklets, first=first, last=last)[order]
    distances = distances[np.ix_(order, order)]
    network = _unknown(shifted)
    for alike in (*_BEGIN, *[_ALIKE] * _ROUNDS):
        score = link_scores(shifted, distances, network, appearance, alike)
        links, evidence = best_links(score)
        network = _ways(shifted, links, evidence)
        appearance = _appearance(shifted, distances, links[evidence >= _SURE], network)
    score = link_scores(shifted, distances, network, appearance)
    links, evidence = best_links(score)
    clocks = {name: float(ahead[i]) for i, name in enumerate(tracklets.names) if ahead[i]}
    return Learned(replace(network, clocks=clocks), appearance, order[links], evidence)


def first_appearance(
    tracklets: Tracklets, distances: Floats, together: NDArray[np.bool_]
) -> Appearance:
    """What distances mean before anything is known but who is seen with whom.

    Pairs that are each other's nearest are mostly of one person; nearly all others are of two.
    """
    away = np.where(together | np.eye(len(distances), dtype=bool), np.inf, distances)
    nearest = away.argmin(axis=1)
    mutual = np.flatnonzero(nearest[nearest] == np.arange(len(nearest)))
    near = away[mutual, nearest[mutual]]
    near = near[np.isfinite(near)]
    upper = distances[np.triu_indices(len(distances), 1)]
    # one in so many pairs may be of one person: robustly, the lower half is the upper's mirror
    middle = np.median(upper)
    above = upper[upper >= middle]
    mirrored = np.concatenate([above, 2 * middle - above])
    # typical pairs of one person are farther apart than the nearest ones
    near = np.concatenate([near, near + 0.5 * (middle - np.median(near)) * 0.3])
    return fit_appearance(near, mirrored)


def link_scores(
    tracklets: Tracklets,
    distances: Floats,
    network: CameraNetwork,
    appearance: Appearance,
    alike: float = _ALIKE,
) -> Floats:
    """Evidence for each tracklet's being the next one of another's person.

    Args:
        tracklets: by time, n of them.
        distances: [n, n].
        network: the ways.
        appearance: what distances mean.
        alike: nats from which appearance counts little: it cannot say which of the tracklets of
            one person comes next, for those of like views are the more alike.

    Returns:
        [n, n] float64 in nats: row → column, against the row's having left by a door and the
        column's being of somebody who comes in. -inf where it cannot be.
    """
    first, last, cameras = tracklets.first, tracklets.last, tracklets.cameras
    gaps = first[None, :] - last[:, None]
    later = np.triu(np.ones(gaps.shape, bool), 1)
    possible = later & (gaps <= HORIZON) & ~tracklets.together()
    score = np.full(gaps.shape, -np.inf)
    length = max(float(last.max() - first.min()), 1.0)
    counts = np.bincount(cameras, minlength=len(tracklets.names))
    for a, b in itertools.product(range(len(tracklets.names)), repeat=2):
        rows, columns = np.flatnonzero(cameras == a), np.flatnonzero(cameras == b)
        at = np.ix_(rows, columns)
        start, end = tracklets.names[a], tracklets.names[b]
        come = max(network.entries.get(end, 0.5) * _newcomers(network, counts), 0.5) / length
        place = network.log_density(start, end, gaps[at])
        score[at] = place - np.log(come * network.leaves(start))
    looks = appearance.evidence(distances)
    score += np.minimum(looks, alike + 0.02 * (looks - alike))
    score[~possible] = -np.inf
    return score


def _newcomers(network: CameraNetwork, counts: Ints) -> float:
    """How many come in by a door."""
    return float(
        sum(
            network.leaves(name) * count
            for name, count in zip(network.cameras, counts.tolist(), strict=True)
        )
    )


def best_links(score: Floats) -> tuple[Ints, Floats]:
    """The links that most evidence speaks for: each tracklet has at most one next, and one before.

    Args:
        score: [n, n] from `link_scores`.

    Returns:
        (links [m, 2] int64, evidence [m] float64 > 0).
    """
    # imported here, see `appearance`
    from scipy.sparse import coo_array, hstack
    from scipy.sparse.csgraph import min_weight_full_bipartite_matching

    count = len(score)
    rows, columns = np.nonzero(score > 0)
    if not len(rows):
        return np.zeros((0, 2), np.int64), np.zeros(0)
    # each row may also be matched to nobody, a column of its own; weights must be positive
    most = float(score[rows, columns].max()) + 1.0
    cost = coo_array((most - score[rows, columns], (rows, columns)), (count, count))
    nobody = coo_array((np.full(count, most), (np.arange(count), np.arange(count))))
    found, partners = min_weight_full_bipartite_matching(hstack([cost, nobody]).tocsr())
    linked = partners < count
    links: Ints = np.stack([found[linked], partners[linked]], axis=1).astype(np.int64)
    return links, score[links[:, 0], links[:, 1]]


def _unknown(tracklets: Tracklets) -> CameraNetwork:
    """A network of which only the cameras are known."""
    counts = np.bincount(tracklets.cameras, minlength=len(tracklets.names))
    shares = counts / counts.sum()
    return CameraNetwork(
        tracklets.names,
        departures=dict.fromkeys(tracklets.names, 0.0),
        entries={name: float(share) for name, share in zip(tracklets.names, shares, strict=True)},
    )


def _ways(tracklets: Tracklets, links: Ints, evidence: Floats) -> CameraNetwork:
    """The network that links show; the times of the ways are those of confident ones."""
    names, cameras = tracklets.names, tracklets.cameras
    # the last ones could not be seen again any more
    end = tracklets.last.max() - 60.0
    asked = np.bincount(cameras[tracklets.last <= end], minlength=len(names)).astype(float)
    arrived = np.ones(len(cameras), bool)
    arrived[links[:, 1]] = False
    begin = tracklets.first.min() + 60.0
    first = arrived & (tracklets.first >= begin)
    entries = np.bincount(cameras[first], minlength=len(names)).astype(float) + 0.5
    gaps = tracklets.first[links[:, 1]] - tracklets.last[links[:, 0]]
    pairs, sure = cameras[links], evidence >= _SURE
    ways, never = {}, set()
    for a, b in itertools.product(range(len(names)), repeat=2):
        here = (pairs[:, 0] == a) & (pairs[:, 1] == b)
        count, left = int(here.sum()), max(float(asked[a]), 1.0)
        share = count / left
        pair = (names[a], names[b])
        if count >= _FEW and share >= _RARE:
            times = np.quantile(gaps[here & sure] if (here & sure).any() else gaps[here], LEVELS)
            ways[pair] = Way(min(share, 1.0), tuple(times.tolist()), float(count))
        elif a != b and count == 0 and 3 / left < NEVER:
            never.add(pair)
    return CameraNetwork(
        names,
        ways,
        frozenset(never),
        {name: float(asked[i]) for i, name in enumerate(names)},
        {name: float(entries[i] / entries.sum()) for i, name in enumerate(names)},
        about=f"{len(links):,} passages of {len(cameras):,} tracklets",
    )


def _appearance(
    tracklets: Tracklets, distances: Floats, links: Ints, network: CameraNetwork
) -> Appearance:
    """What distances mean, of links and of pairs who were in two places at once."""
    near = distances[links[:, 0], links[:, 1]]
    two = strangers(tracklets, links, network)
    far = distances[two]
    if len(near) < 10 or len(far) < 100:
        return first_appearance(tracklets, distances, tracklets.together())
    candidates = candidate_distances(tracklets, _chains(links, len(tracklets)), two | two.T)
    return fit_appearance(near, far, candidates)


def candidate_distances(
    tracklets: Tracklets, chains: Ints, two: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Distances of tracklets to other people as they were known when the tracklet ended.

    A candidate is the mean of all that was seen of somebody: in it the noise of single tracklets
    is averaged away, so that strangers come nearer to it than to a tracklet.

    Args:
        tracklets: n of them.
        chains: [n] int64 from 0, which are of one person.
        two: [n, n] pairs that are of two people for certain.

    Returns:
        [m] float64, one for each tracklet and each person known before whom it is not of.
    """
    count = int(chains.max(initial=-1)) + 1
    sums = np.zeros((count, tracklets.vectors.shape[1]), np.float32)
    there = np.zeros(count, bool)
    found = []
    for i in np.argsort(tracklets.last, kind="stable").tolist():
        others = np.zeros(count, bool)
        others[chains[two[i]]] = True
        others &= there
        others[chains[i]] = False
        found.append(apart(tracklets.vectors[[i]], unit(sums[others]))[0])
        sums[chains[i]] += tracklets.vectors[i]
        there[chains[i]] = True
    return np.concatenate([np.zeros(0), *found])


def _chains(links: Ints, count: int) -> Ints:
    """The number of each tracklet's chain of links, [count] from 0."""
    # imported here, see `appearance`
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    joined = coo_array((np.ones(len(links)), (links[:, 0], links[:, 1])), (count, count))
    return connected_components(joined, directed=False)[1].astype(np.int64)


def strangers(tracklets: Tracklets, links: Ints, network: CameraNetwork) -> NDArray[np.bool_]:
    """Pairs of two people for certain: whoever was in two places at once is two wherever they go.

    Args:
        tracklets: n of them.
        links: [m, 2] each tracklet and the next of its person.
        network: which cameras overlap.

    Returns:
        [n, n] bool, the upper triangle.
    """
    chain = _chains(links, len(tracklets))
    chains = int(chain.max(initial=-1)) + 1
    a, b = np.nonzero(impossible(tracklets, network))
    two = np.zeros((chains, chains), bool)
    two[chain[a], chain[b]] = two[chain[b], chain[a]] = True
    np.fill_diagonal(two, False)
    return np.triu(two[chain[:, None], chain], 1)


def impossible(tracklets: Tracklets, network: CameraNetwork) -> NDArray[np.bool_]:
    """Pairs in two places at once: two people for certain, [n, n] bool, the upper triangle.

    Those whom one camera sees at once, and those whom two see at once that never overlap.
    """
    names, cameras = tracklets.names, tracklets.cameras
    overlap = np.zeros((len(names), len(names)), bool)
    for (start, end), way in network.ways.items():
        if way.seconds[0] < 0.5 and start != end:
            a, b = names.index(start), names.index(end)
            overlap[a, b] = overlap[b, a] = True
    np.fill_diagonal(overlap, False)
    found = overlapping(tracklets.first, tracklets.last) & ~overlap[cameras[:, None], cameras]
    return np.triu(found, 1)


def _clocks(tracklets: Tracklets, distances: Floats, appearance: Appearance) -> Floats:
    """By how many seconds each camera's clock is ahead of most, about; 0 where that is little.

    Whoever passes two cameras that are near each other does so within a minute or two, the one
    first or the other: the times between two cameras' tracklets that look alike crowd around the
    difference of the clocks.
    """
    count = len(tracklets.names)
    alike = np.triu(appearance.evidence(distances) > _SURE, 1)
    rows, columns = np.nonzero(alike)
    pairs = np.stack([tracklets.cameras[rows], tracklets.cameras[columns]])
    middle = (tracklets.first + tracklets.last) / 2
    gaps = middle[columns] - middle[rows]
    turned = pairs[0] > pairs[1]
    pairs[:, turned], gaps[turned] = pairs[::-1, turned], -gaps[turned]
    offsets: dict[tuple[int, int], float] = {}
    crowds: list[tuple[int, int, int]] = []
    for a, b in itertools.combinations(range(count), 2):
        found = np.sort(gaps[(pairs[0] == a) & (pairs[1] == b)])
        found = found[np.abs(found) <= _SPAN]
        if len(found) < _CROWD:
            continue
        crowd = np.searchsorted(found, found + _WINDOW, "right") - np.arange(len(found))
        start = int(crowd.argmax())
        near_zero = int((np.abs(found) <= _WINDOW / 2).sum())
        # without a reason to think otherwise clocks agree
        moved = crowd[start] >= max(1.5 * near_zero, _CROWD)
        offsets[a, b] = float(np.median(found[start : start + crowd[start]])) if moved else 0.0
        crowds.append((int(crowd[start]), a, b))
    ahead = {0: 0.0}
    for _ in range(count):  # from camera to camera by the pairs that say most
        for _, a, b in sorted(crowds, reverse=True):
            if (a in ahead) != (b in ahead):
                if a in ahead:
                    ahead[b] = ahead[a] + offsets[a, b]
                else:
                    ahead[a] = ahead[b] - offsets[a, b]
                break
    clocks = np.array([ahead.get(i, 0.0) for i in range(count)])
    clocks -= np.median(clocks)
    clocks[np.abs(clocks) < _CLOCK] = 0.0
    return clocks


def _mended(network: CameraNetwork, ahead: Floats) -> Floats:
    """Clocks for which the ways between two cameras take as long in either direction."""
    names, equations, values = list(network.cameras), [], []
    for a, b in itertools.combinations(range(len(names)), 2):
        there = network.ways.get((names[a], names[b]))
        back = network.ways.get((names[b], names[a]))
        if there is not None and back is not None:
            row, weight = np.zeros(len(names)), math.sqrt(min(there.count, back.count))
            row[b], row[a] = weight, -weight
            equations.append(row)
            values.append(weight * (there.seconds[2] - back.seconds[2]) / 2)
    if not equations:
        return ahead
    better = ahead + np.linalg.lstsq(np.array(equations), np.array(values), rcond=None)[0]
    better -= np.median(better)
    better[np.abs(better) < _CLOCK] = 0.0
    return np.asarray(better, np.float64)
