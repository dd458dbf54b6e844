"""Drawn pictures with several labels each, in the layout of NUS-WIDE's lists.

NUS-WIDE's images are no longer available. These pictures replace them for trying out and testing
what supports NUS-WIDE: the reader, the multi-label losses, figure 3. Figures measured on them say
nothing about photographs.
"""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from reid_hash.data.dataset import RgbImage
from reid_hash.errors import ReidHashError
from reid_hash.utils.files import replacing

SIDE = 64
"""Height and width of a picture, in pixels."""

COLOURS = {
    "red": (214, 48, 49),
    "green": (46, 160, 67),
    "blue": (48, 98, 214),
    "yellow": (240, 196, 15),
    "white": (240, 240, 240),
    "black": (24, 24, 24),
}
"""Possible colours of a shape, RGB."""

FORMS = ("circle", "square", "triangle", "star", "ring", "cross")

CONCEPTS = (*FORMS, *COLOURS)
"""Possible labels of a picture, in the order of the columns."""

PARTS = {"train": 2000, "test": 500, "database": 4000}
"""Number of pictures in each list; those of "train" are in the database too, as in NUS-WIDE."""


def draw_picture(seed: int, number: int) -> tuple[RgbImage, NDArray[np.bool_]]:
    """Draw one picture: one to three coloured shapes on a noisy background.

    Args:
        seed: seed of the data set.
        number: number of the picture, which with the seed determines everything in it.

    Returns:
        (picture [SIDE, SIDE, 3] uint8 RGB, labels [len(CONCEPTS)] bool).
    """
    random = np.random.default_rng((seed, number))
    coarse = random.integers(90, 190, (4, 4, 3)).astype(np.float32)
    ground = cv2.resize(coarse, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    picture = np.clip(ground, 0, 255).astype(np.uint8)
    labels = np.zeros(len(CONCEPTS), np.bool_)
    for _ in range(int(random.integers(1, 4))):
        form, name = str(random.choice(FORMS)), str(random.choice(list(COLOURS)))
        shade = random.integers(-18, 19, 3)
        colour = tuple(int(v) for v in np.clip(np.array(COLOURS[name]) + shade, 0, 255))
        size = float(random.uniform(9, 17))
        middle = random.uniform(size, SIDE - size, 2)
        _draw(picture, form, colour, middle, size, float(random.uniform(0, 2 * np.pi)))
        labels[[CONCEPTS.index(form), CONCEPTS.index(name)]] = True
    noisy = picture + random.normal(0, 9, picture.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8), labels


def _draw(
    picture: RgbImage,
    form: str,
    colour: tuple[int, ...],
    middle: NDArray[np.float64],
    size: float,
    turn: float,
) -> None:
    """Draw a shape in place."""
    centre = (round(middle[0]), round(middle[1]))
    if form == "circle":
        cv2.circle(picture, centre, round(size), colour, -1, cv2.LINE_AA)
    elif form == "ring":
        cv2.circle(picture, centre, round(size), colour, max(3, round(size / 3)), cv2.LINE_AA)
    elif form == "cross":
        for angle in (turn, turn + np.pi / 2):
            arm = size * np.array([np.cos(angle), np.sin(angle)])
            ends = [tuple(int(v) for v in np.round(middle + s * arm)) for s in (-1, 1)]
            cv2.line(picture, ends[0], ends[1], colour, max(4, round(size / 2.5)), cv2.LINE_AA)
    else:
        corners = {"triangle": 3, "square": 4, "star": 10}[form]
        angles = turn + 2 * np.pi * np.arange(corners) / corners
        radius = np.full(corners, size)
        if form == "star":
            radius[1::2] *= 0.45
        points = middle + radius[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
        cv2.fillPoly(picture, [np.round(points).astype(np.int32)], colour, cv2.LINE_AA)


def write_shapes(
    folder: Path,
    seed: int = 0,
    parts: dict[str, int] | None = None,
    progress: Callable[[int], object] | None = None,
) -> list[Path]:
    """Write pictures and three lists that the data set `nuswide` can be read from.

    Args:
        folder: folder in which to make `nuswide/`.
        seed: seed of the pictures.
        parts: number of pictures in each list. Default: `PARTS`.
        progress: called with the number of pictures written since the last call.

    Returns:
        The lists that were written.

    Raises:
        ReidHashError: the folder already contains a `nuswide`.
    """
    parts = PARTS if parts is None else parts
    place = folder / "nuswide"
    if place.exists():
        raise ReidHashError(f"{place} is there already; name another folder")
    (place / "images").mkdir(parents=True)
    whole = parts["test"] + max(parts["database"], parts["train"])
    lines = []
    for number in range(whole):
        picture, labels = draw_picture(seed, number)
        name = f"images/{number:05d}.png"
        done, data = cv2.imencode(".png", np.ascontiguousarray(picture[..., ::-1]))
        if not done:
            raise ReidHashError(f"{place / name} could not be encoded")
        (place / name).write_bytes(data.tobytes())
        lines.append(f"{name} {' '.join(str(int(mark)) for mark in labels)}\n")
        if progress is not None:
            progress(1)
    others = lines[parts["test"] :]
    lists = {
        "train": others[: parts["train"]],
        "test": lines[: parts["test"]],
        "database": others[: parts["database"]],
    }
    written = []
    for part, chosen in lists.items():
        with replacing(place / f"{part}.txt") as temporary:
            temporary.write_text("".join(chosen), encoding="utf-8")
        written.append(place / f"{part}.txt")
    return written
