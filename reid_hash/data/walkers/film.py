"""The frames of a fixed camera that people walk past, with the true box of each person."""

import functools
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from reid_hash.data.walkers.camera import CAMERAS, Camera, expose
from reid_hash.data.walkers.figure import figure
from reid_hash.data.walkers.person import person
from reid_hash.data.walkers.route import Walk, routes
from reid_hash.data.walkers.scene import FOCUS, column_at, row_at, scale_at, scene
from reid_hash.data.walkers.surface import Array
from reid_hash.errors import ConfigError
from reid_hash.utils.files import write_text
from reid_hash.utils.mp4 import VideoFile

FIRST_IDENTITY = 9000
"""People of the videos are none of the data set's."""

_MOST = 500
_ABOVE, _BELOW, _BESIDE = 2.2, 0.3, 0.95  # metres around the feet that a figure may fill
_SMALLEST = 20  # pixels of a person below which there is no box


class Truth(NamedTuple):
    """A person in a frame: a row of a ground-truth file of the MOT challenges.

    Attributes:
        frame: from 1.
        identity: from 1, the same in both cameras.
        left: first column, from 0.
        top: first row, from 0.
        width: of the figure inside the picture, hidden parts included, in pixels.
        height: the same.
        visibility: share of the figure that is inside the picture and not hidden.
    """

    frame: int
    identity: int
    left: int
    top: int
    width: int
    height: int
    visibility: float


@dataclass(frozen=True)
class Film:
    """The frames of one camera; any can be drawn by itself.

    Attributes:
        camera: 1 or 2; of a site, any of its numbers.
        seed: as of `write_video`, and so the rest.
        identities: how many persons.
        seconds: length.
        fps: frames a second.
        size: width and height in pixels.
        eye: the camera; of `CAMERAS` when left out.
        walks: who walks past; planned for `identities` persons when left out.
        first: number of the person whose identity is 1 in the ground truth.

    Example:
        >>> film = Film(camera=1, seconds=2, size=(320, 180))
        >>> picture, truths = film.frame(8)
        >>> len(film), picture.shape, picture.dtype.name, truths[0].frame
        (25, (180, 320, 3), 'uint8', 9)
    """

    camera: int
    seed: int = 0
    identities: int = 12
    seconds: float = 20
    fps: float = 12.5
    size: tuple[int, int] = (640, 360)
    eye: Camera | None = None
    walks: Sequence[Walk] | None = None
    first: int = FIRST_IDENTITY

    def __post_init__(self) -> None:
        width, height = self.size
        for name, value, least, most in (
            ("camera", self.camera, 1, 2 if self.eye is None else 1000),
            ("seed", self.seed, 0, 2**63 - 1),
            ("identities", self.identities, 1, _MOST),
            ("seconds", self.seconds, 0.1, 3600),
            ("fps", self.fps, 1, 120),
            ("width", width, 160, 3840),
            ("height", height, 120, 2160),
        ):
            if not least <= value <= most:
                raise ConfigError(f"walkers video: {name} is {value}, not in {least} to {most}")
        if width % 2 or height % 2:
            raise ConfigError(f"walkers video: width and height must be even, not {width}x{height}")

    def __len__(self) -> int:
        return max(round(self.seconds * self.fps), 1)

    def __iter__(self) -> Iterator[tuple[NDArray[np.uint8], list[Truth]]]:
        return (self.frame(index) for index in range(len(self)))

    def frame(self, index: int, people: bool = True) -> tuple[NDArray[np.uint8], list[Truth]]:
        """Draw a frame.

        Args:
            index: from 0.
            people: whether there are any; the picture is the same apart from them.

        Returns:
            [height, width, 3] uint8 RGB, and the persons in it, the farthest first.
        """
        linear, grey = self._empty
        picture = grey
        truths: list[Truth] = []
        if people:
            linear, picture = linear.copy(), grey.copy()
            owner = np.zeros(linear.shape[1:], np.int32)
            seen = [
                self._stand(walk, index, linear, owner, number)
                for number, walk in enumerate(self._present(index), 1)
            ]
            for box, _, _ in seen:
                picture[:, *box] = expose(linear[:, *box].copy(), self._eye)
            visible = np.bincount(owner.reshape(-1), minlength=len(seen) + 1)[1:]
            for (_, row, area), left in zip(seen, visible, strict=True):
                if row is not None:
                    truths.append(row._replace(visibility=round(float(left) / area, 3)))
        return self._finish(picture, index), truths

    def _present(self, index: int) -> list[Walk]:
        """Who is there, the farthest first."""
        found = [(place[1], walk) for walk in self._walks if (place := walk.at(index / self.fps))]
        return [walk for _, walk in sorted(found, key=lambda pair: -pair[0])]

    def _stand(
        self, walk: Walk, index: int, linear: Array, owner: NDArray[np.int32], number: int
    ) -> tuple[tuple[slice, slice], Truth | None, int]:
        """Draw one person; gives the rectangle drawn on, the true box, and the figure's area."""
        height, width = linear.shape[1:]
        eye, time = self._eye, index / self.fps
        aside, away = walk.at(time) or (0.0, 0.0)
        x, y = column_at(aside, away, height, width), row_at(away, height)
        pixels = scale_at(y, height)
        left, top = math.floor(x - _BESIDE * pixels), math.floor(y - _ABOVE * pixels)
        size = (round((_ABOVE + _BELOW) * pixels), round(2 * _BESIDE * pixels))
        who, pose = person(self.seed, walk.identity), walk.pose(time, eye.tilt)
        layer = figure(who, pose, size, (x - left, y - top), pixels, eye.light)
        area = int(np.count_nonzero(layer[3] > 0.5))
        rows = slice(max(top, 0), max(min(top + size[0], height), 0))
        columns = slice(max(left, 0), max(min(left + size[1], width), 0))
        box = (rows, columns)
        layer = layer[:, rows.start - top : rows.stop - top, columns.start - left :]
        layer = layer[:, :, : max(columns.stop - columns.start, 0)]
        target = linear[:, *box]
        if not target.size:
            return (slice(0), slice(0)), None, area
        # The contact shadow is faint and no wider than a step: boxes found by background
        # subtraction should be those of people.
        gx = (np.arange(columns.start, columns.stop, dtype=np.float32) - x) / (0.22 * pixels)
        gy = (np.arange(rows.start, rows.stop, dtype=np.float32) - y) / (0.06 * pixels)
        target *= 1 - 0.3 * np.exp(-gx * gx) * np.exp(-gy * gy)[:, None]
        target *= 1 - layer[3]
        target += layer[:3]
        mask = layer[3] > 0.5
        owner[box][mask] = number
        if np.count_nonzero(mask) < _SMALLEST:
            return box, None, area
        down, over = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        truth = Truth(
            frame=index + 1,
            identity=walk.identity - self.first + 1,
            left=int(over[0]) + columns.start,
            top=int(down[0]) + rows.start,
            width=int(over[-1] - over[0]) + 1,
            height=int(down[-1] - down[0]) + 1,
            visibility=0.0,
        )
        return box, truth, area

    def _finish(self, picture: Array, index: int) -> NDArray[np.uint8]:
        """Blur and noise; the noise is weaker than in crops, so that the place stands still."""
        eye, grain = self._eye, self._grain
        image = cv2.merge(list(picture)).astype(np.uint8)
        image = cv2.GaussianBlur(image, (0, 0), 0.8 * eye.blur * self.size[1] / 360)
        rng = np.random.default_rng(np.random.SeedSequence((self.seed, self.camera, index, 6)))
        y, x = rng.integers(0, 64, 2)
        noise = grain[y : y + image.shape[0], x : x + image.shape[1]]
        return np.asarray(cv2.addWeighted(image, 1, noise, 1, -128), np.uint8)

    @property
    def _eye(self) -> Camera:
        return self.eye or CAMERAS[self.camera]

    @functools.cached_property
    def _walks(self) -> Sequence[Walk]:
        if self.walks is not None:
            return self.walks
        people = range(FIRST_IDENTITY, FIRST_IDENTITY + self.identities)
        slope = self.size[0] / 2 / (FOCUS * self.size[1])
        return routes(self.seed, people, self.seconds, slope)[self.camera]

    @functools.cached_property
    def _empty(self) -> tuple[Array, Array]:
        """The place without people, linear and as grey levels."""
        place = scene(self.seed, self.camera, self.size[1], self.size[0])
        linear = (np.array(cv2.split(place), np.float32) / 255) ** 2
        return linear, expose(linear.copy(), self._eye)

    @functools.cached_property
    def _grain(self) -> NDArray[np.uint8]:
        rng = np.random.default_rng(np.random.SeedSequence((self.seed, self.camera, 7)))
        shape = (self.size[1] + 64, self.size[0] + 64, 3)
        noise = 128 + 0.4 * self._eye.noise * rng.standard_normal(shape, np.float32)
        return np.round(noise).astype(np.uint8)


class Filmed(NamedTuple):
    """What one camera has filmed: the video, and its ground truth."""

    video: Path
    truth: Path


def write_video(
    folder: str | os.PathLike[str],
    seed: int = 0,
    identities: int = 12,
    seconds: float = 20,
    fps: float = 12.5,
    size: tuple[int, int] = (640, 360),
) -> tuple[Filmed, Filmed]:
    """Film people who walk past both cameras, and write down where they are.

    Writes `camera1.mp4`, `camera1.txt`, `camera2.mp4`, `camera2.txt`. A text file has a row for
    each person in each frame, in the format of the MOT challenges: frame, identity, left, top,
    width, height, 1, 1 (the class of pedestrians), visibility. Frames count from 1, pixels from 0.

    Args:
        folder: where to; created if missing.
        seed: as of `walkers`; the persons are others than in the data set of this seed.
        identities: how many persons, 1 to 500.
        seconds: length, 0.1 to 3600.
        fps: frames a second, 1 to 120.
        size: width and height in pixels, even, at least 160 × 120.

    Returns:
        The paths of camera 1 and of camera 2.

    Raises:
        ConfigError: a number is out of range.
        ReidHashError: the files cannot be written.
    """
    films = [Film(camera, seed, identities, seconds, fps, size) for camera in (1, 2)]
    return write_film(films[0], Path(folder)), write_film(films[1], Path(folder))


def write_film(film: Film, folder: Path) -> Filmed:
    """Write a film as `cameraN.mp4` and its ground truth as `cameraN.txt`; see `write_video`."""
    files = Filmed(folder / f"camera{film.camera}.mp4", folder / f"camera{film.camera}.txt")
    rows: list[str] = []
    with VideoFile(files.video, film.size, film.fps) as video:
        for picture, truths in film:
            video.write(np.ascontiguousarray(picture[..., ::-1]))
            rows += [
                ",".join(map(str, (*row[:6], 1, 1, f"{row.visibility:.3f}"))) for row in truths
            ]
    write_text(files.truth, "".join(row + "\n" for row in rows))
    return files
