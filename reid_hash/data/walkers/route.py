"""Who walks where and when before the two cameras."""

import functools
import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from reid_hash.data.walkers.person import person
from reid_hash.data.walkers.pose import Pose

_NEAR, _FAR = 4.25, 10.4  # metres from the camera between which people walk
_EDGE = 0.55  # metres beyond the picture's edge where they start and end


@dataclass(frozen=True, eq=False)
class Walk:
    """Somebody crosses one camera's picture in a smooth curve.

    Attributes:
        identity: number of the person.
        camera: number, from 1.
        start: time in seconds of the first point, which may be before the video begins.
        path: [points, 2] metres (to the right of the middle, away from the camera).
        speed: metres in a second.
        swing: how briskly, for the pose.
        stride: metres in which the gait repeats.
    """

    identity: int
    camera: int
    start: float
    path: NDArray[np.float64]
    speed: float
    swing: float
    stride: float

    @functools.cached_property
    def gone(self) -> NDArray[np.float64]:
        """[points] metres walked to each point of the path."""
        steps = np.linalg.norm(np.diff(self.path, axis=0), axis=1)
        return np.concatenate([[0.0], np.cumsum(steps)])

    @property
    def end(self) -> float:
        """Time in seconds of the last point."""
        return self.start + float(self.gone[-1]) / self.speed

    def later(self, seconds: float) -> "Walk":
        """The same walk, so many seconds later."""
        return replace(self, start=self.start + seconds)

    def at(self, time: float) -> tuple[float, float] | None:
        """Where the person is, metres right and away; None before and after."""
        return self._place(time) if self.start <= time <= self.end else None

    def pose(self, time: float, tilt: float) -> Pose:
        """How the person looks from the camera; the feet do not slide over the ground."""
        aside, away = self._place(time)
        before, after = self._place(time - 0.15), self._place(time + 0.15)
        heading = math.atan2(after[0] - before[0], before[1] - after[1])
        gone = (time - self.start) * self.speed
        phase = 2 * math.pi * gone / self.stride + 2.3 * self.identity
        turn = heading + math.atan2(aside, away)
        return Pose(phase, turn, tilt, self.swing, head=0.2 * math.sin(0.9 * time + self.identity))

    def _place(self, time: float) -> tuple[float, float]:
        gone = (time - self.start) * self.speed
        x, z = (float(np.interp(gone, self.gone, self.path[:, axis])) for axis in (0, 1))
        return x, z


def routes(seed: int, identities: range, seconds: float, slope: float) -> dict[int, list[Walk]]:
    """Plan the walks of a video.

    Everybody passes both cameras, mostly towards camera 1 and away from camera 2, and comes to
    camera 2 some seconds later, or, late ones, before. About every third comes back.

    Args:
        seed: of the whole data set.
        identities: numbers of the persons.
        seconds: length of the video.
        slope: half the picture's width over the focal length: metres seen to either side of the
            middle for each metre away.

    Returns:
        Walks for each camera, 1 and 2.
    """
    rng = np.random.default_rng(np.random.SeedSequence((seed, len(identities), 5)))
    low = -3.0  # some are there already when the video begins
    span = max(seconds - 2.5, low + 0.5) - low
    starts = (rng.permutation(len(identities)) + rng.random(len(identities))) / len(identities)
    plan: dict[int, list[Walk]] = {1: [], 2: []}
    for identity, share in zip(identities, starts, strict=True):
        first = share * span
        second = (first + rng.uniform(3.5, 8.0)) % span
        for camera, start in ((1, low + first), (2, low + second)):
            comes = (camera == 1) == (rng.random() < 0.8)
            walk = cross(seed, identity, camera, float(start), comes, slope, rng)
            plan[camera].append(walk)
            back = walk.end + rng.uniform(0.8, 4.0)
            if rng.random() < 0.45 and back < seconds - 2.5:
                plan[camera].append(
                    cross(seed, identity, camera, float(back), not comes, slope, rng)
                )
    return plan


def cross(
    seed: int,
    identity: int,
    camera: int,
    start: float,
    comes: bool,
    slope: float,
    rng: np.random.Generator,
) -> Walk:
    """Somebody's walk through one camera's picture.

    Args:
        seed: of the whole data set.
        identity: number of the person.
        camera: number, from 1.
        start: time in seconds of the first point.
        comes: towards the camera; else away from it.
        slope: see `routes`.
        rng: for way and speed.
    """
    near, far = rng.uniform(_NEAR, _NEAR + 2.0), rng.uniform(_FAR - 2.5, _FAR)
    side = 1 if rng.random() < 0.5 else -1
    # In from the side far away, a turn towards the camera, and out at a side near it.
    distant = np.array((side * (slope * far + _EDGE), far))
    corner = np.array((rng.uniform(-0.3, 0.6) * slope * far * side, far - rng.uniform(0, 1.0)))
    close = np.array((-side * (slope * near + _EDGE), near))
    t = np.linspace(0, 1, 40)[:, None]
    path = (1 - t) ** 2 * distant + 2 * t * (1 - t) * corner + t**2 * close
    who = person(seed, identity)
    speed = float(rng.uniform(1.15, 1.55))
    return Walk(
        identity=identity,
        camera=camera,
        start=start,
        path=path if comes else path[::-1],
        speed=speed,
        swing=0.7 + 0.3 * (speed - 1.15) / 0.4,
        stride=0.7 * who.height * who.stride * (0.8 + 0.3 * (speed - 1.15) / 0.4),
    )
