"""Videos of the same people before two fixed cameras, with their ground truth."""

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from reid_hash.data.walkers.film import Film
from reid_hash.utils.files import write_text
from reid_hash.utils.mp4 import VideoFile


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
    return _write(films[0], Path(folder)), _write(films[1], Path(folder))


def _write(film: Film, folder: Path) -> Filmed:
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
