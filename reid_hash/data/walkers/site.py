"""A site of several cameras: a plan with doors and ways, and the people who walk through it."""

import functools
import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from reid_hash.data.walkers.camera import CAMERAS, Camera
from reid_hash.data.walkers.crops import crop
from reid_hash.data.walkers.film import Film
from reid_hash.data.walkers.route import Walk, cross
from reid_hash.data.walkers.scene import FOCUS
from reid_hash.errors import ConfigError

FIRST_IDENTITY = 10_000
"""People of the sites are none of the data set's, and none of the two-camera video's."""

_PACE = 1.35  # metres in a second, of most people
_SLOPE = 640 / 2 / (FOCUS * 360)  # of the pictures that `film` makes, see `routes`
_LEAVES = 0.4  # share of the visits before a door after which somebody leaves by it
_TURNS = 0.12  # share of the visits after which somebody goes back to where they came from
_LINGERS = 0.05  # share after which somebody comes back before the same camera
_STOPS = 0.08  # share of the ways on which somebody stops, for 45 seconds on average
_RETURNS = 0.25  # share of those who have left that come again
_BROKEN = 0.04  # share of the visits of which a tracker makes two tracks
_MISSED = 0.02  # share of the visits of which nothing is seen
_CROPS = 4  # of a tracklet


@dataclass(frozen=True)
class Way:
    """A way from before one camera to before another.

    Attributes:
        start: number of the camera it begins at, from 1.
        end: number of the camera it leads to.
        seconds: median time from leaving the one picture to entering the other; negative where
            the cameras overlap and somebody is seen by both at once.
        share: share of those before `start` who take it, doors and turning back aside.
    """

    start: int
    end: int
    seconds: float
    share: float

    @property
    def overlap(self) -> bool:
        """Whether both cameras see who takes it at once."""
        return self.seconds < 0


@dataclass(frozen=True, eq=False)
class Plan:
    """Where cameras and doors are.

    Attributes:
        places: [cameras, 2] float64, metres.
        doors: numbers of the cameras that look at a door.
        ways: by (start, end).
        eyes: the camera of each number, from 1.
    """

    places: NDArray[np.float64]
    doors: tuple[int, ...]
    ways: Mapping[tuple[int, int], Way]
    eyes: Mapping[int, Camera]

    def from_camera(self, camera: int) -> list[Way]:
        """The ways that begin before a camera."""
        return [way for way in self.ways.values() if way.start == camera]


@dataclass(frozen=True)
class Tracklet:
    """Somebody before one camera, as a tracker follows them.

    Attributes:
        identity: of the person, from 1.
        camera: number, from 1.
        track: number within the camera, from 1, by time.
        first: time of the first frame by the camera's clock, seconds from the site's beginning.
        last: time of the last frame.
        visit: number of the visit among all of the person's.
    """

    identity: int
    camera: int
    track: int
    first: float
    last: float
    visit: int

    @property
    def moments(self) -> list[float]:
        """Times of its crops."""
        step = (self.last - self.first) / _CROPS
        return [self.first + step * (i + 0.5) for i in range(_CROPS)]


@dataclass(frozen=True)
class Site:
    """People who walk through a site with several cameras; drawn when it is read.

    Attributes:
        seed: another one gives another plan and other people.
        cameras: how many, 2 to 40.
        people: how many, 1 to 4000.
        seconds: length.
        clocks: camera → seconds by which its clock is ahead.

    Raises:
        ConfigError: a number is out of range.

    Example:
        >>> site = Site(people=3, seconds=300)
        >>> one = site.tracklets[0]
        >>> len(site.plan.eyes), one.camera in site.plan.doors, site.crop(one, 0).shape
        (6, True, (128, 64, 3))
    """

    seed: int = 0
    cameras: int = 6
    people: int = 100
    seconds: float = 1800
    clocks: Mapping[int, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, value, least, most in (
            ("seed", self.seed, 0, 2**63 - 1),
            ("cameras", self.cameras, 2, 40),
            ("people", self.people, 1, 4000),
            ("seconds", self.seconds, 10, 86_400),
        ):
            if not least <= value <= most:
                raise ConfigError(f"walkers site: {name} is {value}, not in {least} to {most}")

    @functools.cached_property
    def plan(self) -> Plan:
        """Where cameras and doors are."""
        return _plan(self.seed, self.cameras)

    @functools.cached_property
    def walks(self) -> list[Walk]:
        """Every visit of a person before a camera, by person and time."""
        found: list[Walk] = []
        for number in range(self.people):
            found += _journey(self.plan, self.seed, FIRST_IDENTITY + number, self.seconds)
        return found

    @functools.cached_property
    def tracklets(self) -> list[Tracklet]:
        """What trackers make of the visits, by time; a few visits are missed or broken in two."""
        rng = np.random.default_rng(np.random.SeedSequence((self.seed, self.people, 12)))
        spans: list[tuple[float, float, int, int, int]] = []
        for visit, walk in enumerate(self.walks):
            lot, at = rng.random(), rng.uniform(0.35, 0.65)
            ahead = self.clocks.get(walk.camera, 0.0)
            first, last = walk.start + ahead, walk.end + ahead
            who = walk.identity - FIRST_IDENTITY + 1
            cut = first + at * (last - first)
            if lot < _BROKEN:
                spans += [(first, cut, walk.camera, who, visit)]
                spans += [(cut + 0.6, last, walk.camera, who, visit)]
            elif lot < 1 - _MISSED:
                spans.append((first, last, walk.camera, who, visit))
        numbers = dict.fromkeys(range(1, self.cameras + 1), 0)
        found = []
        for first, last, camera, who, visit in sorted(spans):
            numbers[camera] += 1
            found.append(Tracklet(who, camera, numbers[camera], first, last, visit))
        return found

    def crop(
        self, tracklet: Tracklet, index: int, height: int = 128, width: int = 64
    ) -> NDArray[np.uint8]:
        """Draw a crop of a tracklet; the same numbers give the same image.

        Args:
            tracklet: one of the site's.
            index: which of its moments.
            height: in pixels.
            width: in pixels.

        Returns:
            [height, width, 3] uint8 RGB.
        """
        eye = self.plan.eyes[tracklet.camera]
        who = FIRST_IDENTITY + tracklet.identity - 1
        number = index + _CROPS * tracklet.track  # other crops in the other part of a broken track
        return crop(self.seed, who, eye, number, height, width, visit=tracklet.visit + 1)

    def film(
        self,
        camera: int,
        start: float = 0.0,
        seconds: float = 60.0,
        fps: float = 12.5,
        size: tuple[int, int] = (640, 360),
    ) -> Film:
        """What one camera sees for a time; the true boxes have the identities of the tracklets.

        Args:
            camera: number, from 1.
            start: seconds from the site's beginning at which the film begins.
            seconds: length.
            fps: frames a second.
            size: width and height in pixels, 16 to 9 for people to come in at the edges.

        Raises:
            ConfigError: a number is out of range.
        """
        if camera not in self.plan.eyes:
            raise ConfigError(f"walkers site: there is no camera {camera} of {self.cameras}")
        there = tuple(
            walk.later(-start)
            for walk in self.walks
            if walk.camera == camera and walk.end >= start and walk.start <= start + seconds
        )
        return Film(
            camera,
            self.seed,
            seconds=seconds,
            fps=fps,
            size=size,
            eye=self.plan.eyes[camera],
            walks=there,
            first=FIRST_IDENTITY,
        )

    def passages(self) -> dict[tuple[int, int], list[float]]:
        """True times from one camera to the next of all who went, by the site's own clock.

        Returns:
            (camera, camera) → seconds from leaving the one picture to entering the other, for
            the next visits that were seen of people who had not left by a door meanwhile: gaps
            of less than a minute more than the way takes.
        """
        found: dict[tuple[int, int], list[float]] = {}
        by_person: dict[int, list[Tracklet]] = {}
        for one in self.tracklets:
            by_person.setdefault(one.identity, []).append(one)
        for theirs in by_person.values():
            true = sorted(theirs, key=lambda one: one.first - self.clocks.get(one.camera, 0.0))
            for before, after in itertools.pairwise(true):
                gap = after.first - self.clocks.get(after.camera, 0.0)
                gap -= before.last - self.clocks.get(before.camera, 0.0)
                found.setdefault((before.camera, after.camera), []).append(gap)
        return found


def _plan(seed: int, cameras: int) -> Plan:
    rng = np.random.default_rng(np.random.SeedSequence((seed, cameras, 10)))
    columns = math.ceil(math.sqrt(cameras))
    grid = np.array([(i % columns, i // columns) for i in range(cameras)], np.float64)
    places = 34 * grid + rng.uniform(-9, 9, grid.shape)
    apart = np.linalg.norm(places[:, None] - places[None], axis=2)
    pairs = _tree(apart)
    near = sorted(itertools.combinations(range(cameras), 2), key=lambda pair: apart[pair])
    pairs += [pair for pair in near if pair not in pairs][: max(cameras // 3, 1)]
    by_length = sorted(pairs, key=lambda pair: apart[pair])
    overlapping = set(by_length[: cameras // 3])
    doors = rng.choice(cameras, max(2, cameras // 2), replace=False) + 1
    ways = {}
    for one in range(cameras):
        others = [b if a == one else a for a, b in pairs if one in (a, b)]
        shares = rng.dirichlet([2.5] * len(others))
        for other, share in zip(others, shares, strict=True):
            pair = (min(one, other), max(one, other))
            # a path is no straight line, and each picture covers some metres of it
            seconds = -3.0 if pair in overlapping else max(1.25 * apart[pair] - 10, 4) / _PACE
            ways[one + 1, other + 1] = Way(one + 1, other + 1, float(seconds), float(share))
    eyes = {number: _eye(seed, number) for number in range(1, cameras + 1)}
    return Plan(places, tuple(sorted(doors.tolist())), ways, eyes)


def _tree(apart: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Pairs that join all places by the shortest ways."""
    joined, pairs = {0}, []
    while len(joined) < len(apart):
        rest = set(range(len(apart))) - joined
        pair = min(itertools.product(joined, rest), key=lambda pair: apart[pair])
        pairs.append((min(pair), max(pair)))
        joined.add(pair[1])
    return pairs


def _eye(seed: int, number: int) -> Camera:
    """A camera in the manner of one of the two of `walkers`, in a light of its own."""
    rng = np.random.default_rng(np.random.SeedSequence((seed, number, 11)))
    like = CAMERAS[1 + (number - 1) % 2]
    x, y, z = np.array(like.light) + 0.2 * rng.standard_normal(3)
    length = math.sqrt(x * x + y * y + z * z)
    white = np.array(like.white) * np.exp(0.05 * rng.standard_normal(3))
    return Camera(
        number=number,
        tilt=float(like.tilt + rng.uniform(-0.05, 0.05)),
        turn=float(like.turn),
        spread=like.spread,
        light=(float(x / length), float(y / length), float(z / length)),
        gain=float(like.gain * math.exp(0.1 * rng.standard_normal())),
        white=(float(white[0]), 1.0, float(white[2])),
        veil=like.veil,
        blur=like.blur,
        noise=like.noise,
        quality=like.quality,
    )


def _journey(plan: Plan, seed: int, identity: int, seconds: float) -> list[Walk]:
    """All visits of one person."""
    rng = np.random.default_rng(np.random.SeedSequence((seed, identity, 13)))
    pace = float(np.exp(0.08 * rng.standard_normal()))
    time, walks = float(rng.uniform(-20, 0.92 * seconds)), []
    while time < seconds:  # once each time that the person comes
        camera, before = int(rng.choice(plan.doors)), 0
        first, free, ended = True, time - 1, time - 1
        while time < seconds:
            comes = (camera % 2 == 1) == bool(rng.random() < 0.8)
            # cameras overlap two by two: nobody is before a third one, or before one twice
            walk = cross(seed, identity, camera, max(time, free + 0.5), comes, _SLOPE, rng)
            free, ended = ended, walk.end
            if walk.start >= 0 and walk.end < seconds:
                walks.append(walk)
            if not first and camera in plan.doors and rng.random() < _LEAVES:
                break
            first = False
            lot, gone = rng.random(), pace * math.exp(0.12 * rng.standard_normal())
            stop = float(rng.exponential(45)) if rng.random() < _STOPS else 0.0
            if lot < _LINGERS:
                time = walk.end + float(rng.uniform(8, 35)) + stop
                continue
            ways = plan.from_camera(camera)
            onward = [way for way in ways if way.end != before] or ways
            if before and lot < _LINGERS + _TURNS:
                onward = [plan.ways[camera, before]]
            share = np.array([way.share for way in onward])
            way = onward[int(rng.choice(len(onward), p=share / share.sum()))]
            if way.overlap:
                time = walk.end - float(rng.uniform(1.5, 4.5))
            else:
                time = walk.end + way.seconds * gone + stop
            camera, before = way.end, camera
        if rng.random() > _RETURNS:
            break
        time = walk.end + float(rng.uniform(120, 700))
    return walks
