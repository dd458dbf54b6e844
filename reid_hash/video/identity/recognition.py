"""Tracks against the gallery: who is who, and up to which distance two sightings are of one."""

import math
import statistics
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from reid_hash.codes import Codes
from reid_hash.distances import asymmetric, by_certainty, weighted
from reid_hash.gallery.base import AnyGallery
from reid_hash.gallery.network.kept import Knowledge
from reid_hash.gallery.sighting import Filter, Match, Sighting
from reid_hash.video.track_code import TrackDescriptor

ENOUGH = 25
"""Distances between strangers after which a limit is learned from them."""

BOUNDS = (0.14, 0.18)
"""Shares of the sum of the bit weights that a learned limit stays between; it starts at the lower
one. See docs/demo.md for how they were chosen."""

CODE_BOUNDS = (0.22, 0.26)
"""The same for distances between codes."""

_QUARTILES = 1.349  # standard deviations between the quartiles of a normal distribution
_KEPT = 2000  # distances between strangers: a camera that runs for weeks must not fill memory

_SLOPE = 45.0  # nats per share of the bit weights' sum, where nothing was learned of distances
_PLACE = (-12.0, 4.0)  # nats that place and time may count: a look that is strange stays so

_DEPTH = 48
"""Sightings that are looked through: those of people who cannot be meant must leave some over."""


class Limit(Protocol):
    """A limit on distances.

    Attributes:
        of_codes: whether between codes; else from real values to codes (`by_certainty`).
    """

    of_codes: bool

    @property
    def about(self) -> str:
        """Where it comes from, in words."""
        ...

    def distance(self, size: int) -> float:
        """The limit where `size` sightings are searched; larger ones are of strangers."""
        ...

    def stranger(self, distance: float) -> None:
        """Learn that two people who are certainly two are at this distance."""
        ...


class CalibratedLimit:
    """The limit of a gallery's calibration; see `reid_hash.calibration`.

    It is for means of tracks where the gallery is calibrated for those and answers them as fast,
    else for codes.

    Args:
        gallery: one with a calibration for `bits`.
        bits: length of the codes that are compared.
        far: share of strangers that may be taken for somebody.
    """

    def __init__(self, gallery: AnyGallery, bits: int, far: float) -> None:
        calibration = gallery.calibration
        assert calibration is not None
        self.of_codes = not (gallery.real_queries and "track" in calibration.kinds)
        self._table = calibration.of(bits, "weighted" if self.of_codes else "track")
        self._far = far
        self.about = f"the gallery's calibration on {calibration.about}, at a FAR of {far:g}"

    def distance(self, size: int) -> float:
        """See `Limit`."""
        return self._table.threshold(self._far, max(size, 1))

    def stranger(self, distance: float) -> None:
        """See `Limit`: the calibration stays as it is."""


class LearnedLimit:
    """A limit for a gallery without calibration, learned from the video itself.

    Two people whom one camera sees at the same time are two. The distances between them are those
    of strangers; with a normal distribution through their quartiles, the limit is where a
    stranger would find one of `size` sightings nearer than that with probability `far`. Until
    there are `ENOUGH` of them, it is the lower of the bounds, and it never leaves them.

    Args:
        total: sum of the weights of the bits that are compared.
        far: share of strangers that may be taken for somebody, 0 … 1.
        of_codes: see `Limit`; then the bounds are `CODE_BOUNDS`, else `BOUNDS`.
    """

    def __init__(self, total: float, far: float, of_codes: bool = False) -> None:
        self.of_codes = of_codes
        self._total, self._far = total, far
        self._low, self._high = CODE_BOUNDS if of_codes else BOUNDS
        self._strangers: deque[float] = deque(maxlen=_KEPT)
        self._fit: statistics.NormalDist | None = None

    @property
    def about(self) -> str:
        """See `Limit`."""
        if self._fit is None:
            return f"{self._low:g} of the sum of the bit weights; the gallery is not calibrated"
        return (
            f"learned from {len(self._strangers)} pairs of people seen at the same time, at a FAR "
            f"of {self._far:g}, but within {self._low:g} to {self._high:g} of the sum of the bit "
            "weights; the gallery is not calibrated"
        )

    def distance(self, size: int) -> float:
        """See `Limit`."""
        if self._fit is None:
            return self._low * self._total
        # each of the sightings may resemble a stranger by chance
        share = -math.expm1(math.log1p(-min(self._far, 1 - 1e-9)) / max(size, 1))
        low, high = self._low * self._total, self._high * self._total
        return min(max(self._fit.inv_cdf(max(share, 1e-12)), low), high)

    def stranger(self, distance: float) -> None:
        """See `Limit`."""
        self._strangers.append(distance)
        if len(self._strangers) >= ENOUGH:
            # not mean and deviation: where two people are in one crop, they resemble each other
            low, middle, high = statistics.quantiles(self._strangers, n=4)
            spread = max((high - low) / _QUARTILES, 1e-3 * self._total)
            self._fit = statistics.NormalDist(middle, spread)


def make_limit(gallery: AnyGallery, bits: int, far: float) -> Limit:
    """The limit of the gallery's calibration, or one that is learned where it has none."""
    calibration = gallery.calibration
    if calibration is not None and bits in calibration.lengths:
        return CalibratedLimit(gallery, bits, far)
    total = float(gallery.weights[:bits].sum())
    return LearnedLimit(total, far, of_codes=not gallery.real_queries)


class Found(NamedTuple):
    """What a search for a track says.

    Attributes:
        identity: whom the track is taken for; None where nobody is near enough.
        distance: to the nearest sighting of anybody it may be, see `People.distances`; None where
            there is none.
        limit: up to which distance it counts.
        matches: the nearest sightings of people it may be, by such distances.
        place: nats that place and time speak for the person, against the average one of the
            gallery; None where nothing is known of the cameras.
    """

    identity: int | None
    distance: float | None
    limit: float
    matches: list[Match]
    place: float | None = None


class Whereabouts:
    """Where everybody was seen last, and how likely each is to be somewhere now.

    Args:
        knowledge: of the cameras.
        seen: newest first, sightings to begin with.
    """

    def __init__(self, knowledge: Knowledge, seen: Iterable[Sighting] = ()) -> None:
        self._network = knowledge.network
        looks = knowledge.appearance
        self.slope = _SLOPE if looks is None else looks.slope
        self._last: dict[int, tuple[str, float]] = {}
        for one in seen:
            if one.identity is not None and one.time is not None:
                self._last.setdefault(one.identity, (one.camera, one.time))

    def knows(self, camera: str) -> bool:
        """Whether a camera is in the network."""
        return camera in self._network.cameras

    def saw(self, identity: int, camera: str, time: float) -> None:
        """Note that somebody is before a camera."""
        self._last[identity] = camera, time

    def forget(self, identity: int) -> None:
        """An identity is another's now."""
        self._last.pop(identity, None)

    def places(
        self, identities: Sequence[int], camera: str, time: float, count: int
    ) -> dict[int, float]:
        """Nats that place and time speak for each, against the average of `count` identities."""
        if not self.knows(camera):
            return dict.fromkeys(identities, 0.0)
        by_camera: dict[str, list[int]] = {}
        for one, (where, _) in self._last.items():
            by_camera.setdefault(where, []).append(one)
        found: dict[int, float] = {}
        for where, there in by_camera.items():
            gaps = time - np.array([self._last[one][1] for one in there])
            logs = self._network.log_density(where, camera, gaps)
            found |= dict(zip(there, logs.tolist(), strict=True))
        longest = float(self._network.log_density("", camera, 86_400.0))
        others = max(count - len(found), 0)
        known = np.array([*found.values(), longest])
        weights = np.array([*[1.0] * len(found), others])
        mean = float(np.log((np.exp(known) * weights).sum() / max(weights.sum(), 1.0)))
        low, high = _PLACE
        return {one: min(max(found.get(one, longest) - mean, low), high) for one in identities}


class People:
    """The identities of a gallery, and their names.

    Args:
        gallery: open for writing; of the encoder's model.
        bits: how many of the bits are compared.
        limit: up to which distance a sighting is of the person who is searched for.
        whereabouts: of everybody; None where nothing is known of the cameras.

    Attributes:
        none: no code, of the gallery's length.
        added: id of the sighting that was added last; None where none was.
    """

    def __init__(
        self,
        gallery: AnyGallery,
        bits: int,
        limit: Limit,
        whereabouts: Whereabouts | None = None,
    ) -> None:
        self.gallery, self.bits, self.limit = gallery, bits, limit
        self.whereabouts = whereabouts
        self.added: int | None = None
        self._names = {one.id: one.name for one in gallery.people.identities()}
        self.none, _ = gallery.codes(ids=[])

    def __repr__(self) -> str:
        return f"People({len(self._names)} identities, {self.bits} bits, limit: {self.limit.about})"

    def fit(self, codes: Codes) -> Codes:
        """Codes at the gallery's length, where it keeps only their first bits."""
        return codes.prefix(self.gallery.bits) if codes.bits > self.gallery.bits else codes

    def numbers(self) -> set[int]:
        """The numbers of all identities."""
        return set(self._names)

    def label(self, identity: int) -> str:
        """What an identity is called: its name, or its number as #12."""
        return self._names.get(identity) or f"#{identity}"

    def distances(self, descriptor: TrackDescriptor, codes: Codes) -> NDArray[np.float64]:
        """Distances of somebody to codes, of the kind that the limit is for.

        Args:
            descriptor: of a track, of the gallery's length, as are the codes.
            codes: n of them.

        Returns:
            [n] float64, in 0 … sum of the compared bits' weights.
        """
        stored = codes.prefix(self.bits)
        if self.limit.of_codes:
            between: NDArray[np.float64] = weighted(descriptor.code.prefix(self.bits), stored)[0]
            return between
        values = descriptor.values[: self.bits]
        return by_certainty(asymmetric(values[None], stored)[0], values, stored)

    def find(
        self,
        descriptor: TrackDescriptor,
        taken: set[int],
        camera: str = "",
        time: float | None = None,
    ) -> Found:
        """Search for somebody.

        Where the cameras are known, the limit moves with what place and time say of each
        candidate: those who are expected here may look less alike, others must look more so.

        Args:
            descriptor: of the person's track, at the gallery's length.
            taken: identities that it cannot be, because they were seen beside it.
            camera: that sees the person.
            time: since when.
        """
        size = len(self.gallery)
        limit = self.limit.distance(size)
        near = self._search(descriptor, set()) if size else []
        free = [match for match in near if match.sighting.identity not in taken]
        if len(near) == _DEPTH and not free:  # all of them of people beside it
            free = self._search(descriptor, taken)
        nearest: dict[int, float] = {}
        for match in free:
            if match.sighting.identity is not None:
                nearest.setdefault(match.sighting.identity, match.distance)
        if not nearest:
            return Found(None, None, limit, free)
        places: dict[int, float] = {}
        if self.whereabouts is not None and time is not None:
            count = len(self._names)
            places = self.whereabouts.places(list(nearest), camera, time, count)
        nats = self.whereabouts.slope if self.whereabouts is not None else 1.0
        unit = float(self.none.weights[: self.bits].sum()) / nats  # distance of a nat
        best = min(nearest, key=lambda one: nearest[one] - unit * places.get(one, 0.0))
        reach = limit + unit * places.get(best, 0.0)
        within = nearest[best] <= reach
        return Found(best if within else None, nearest[best], reach, free, places.get(best))

    def _search(self, descriptor: TrackDescriptor, taken: set[int]) -> list[Match]:
        """The nearest sightings but those of some identities."""
        where: Filter = {"exclude_identities": sorted(taken)} if taken else {}
        if self.limit.of_codes:
            code = descriptor.code.prefix(self.bits)
            (near,) = self.gallery.search_many(code, _DEPTH, bits=self.bits, **where)
            return near
        values = descriptor.values[: self.bits]
        (near,) = self.gallery.search_many(values[None], _DEPTH, bits=self.bits, **where)
        found = [match.distance for match in near]
        scaled = by_certainty(found, values, self.none.prefix(self.bits)).tolist()
        return [match._replace(distance=one) for match, one in zip(near, scaled, strict=True)]

    def start(self, code: Codes, sighting: Sighting) -> int:
        """Make a new identity of a sighting; gives its number."""
        number = self.gallery.new_identity()
        self._add(code, replace(sighting, identity=number))
        self._names[number] = None
        return number

    def keep(self, code: Codes, sighting: Sighting) -> None:
        """Add a sighting of nobody known."""
        self._add(code, sighting)

    def join(self, code: Codes, sighting: Sighting, identity: int) -> None:
        """Add a sighting to an identity."""
        self._add(code, replace(sighting, identity=identity))

    def _add(self, code: Codes, sighting: Sighting) -> None:
        (self.added,) = self.gallery.add(code, [sighting]).tolist()

    def saw(self, identity: int, camera: str, time: float) -> None:
        """Note that somebody is before a camera."""
        if self.whereabouts is not None:
            self.whereabouts.saw(identity, camera, time)

    def give(self, sightings: Sequence[int], identity: int | None) -> int:
        """Say of whom sightings are after all: an identity, or a new one; gives its number."""
        number = self.gallery.new_identity() if identity is None else identity
        self._names.setdefault(number, None)
        self.gallery.people.assign(sightings, number)
        return number

    def merge(self, kept: int, other: int) -> int:
        """Make two identities one; gives its number."""
        if self.whereabouts is not None:
            self.whereabouts.forget(other)
        self._names.pop(other, None)
        return self.gallery.people.merge(kept, other)
