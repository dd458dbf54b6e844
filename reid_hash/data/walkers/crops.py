"""One crop of one person: figure, background, what stands in the way, and the camera."""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from reid_hash.data.walkers.camera import CAMERAS, Camera, Exposure, degrade, expose
from reid_hash.data.walkers.figure import parts
from reid_hash.data.walkers.person import Person, person
from reid_hash.data.walkers.pose import Pose
from reid_hash.data.walkers.raster import draw
from reid_hash.data.walkers.scene import row_at, scale_at, scene
from reid_hash.data.walkers.surface import Array, plane

PASSERS_BY = range(9500, 9532)
"""Identities of those who only get in the way."""

_SCENE = (720, 1280)  # drawn finely enough for a crop of twice the usual size
_CROWDED = 0.2  # share of crops with another person in them
_POLES = ((0.1, 0.11, 0.11), (0.3, 0.31, 0.32), (0.06, 0.16, 0.1))
_HIDDEN = 0.12  # share of crops with a pole or a bin before the person


def crop(
    seed: int,
    identity: int,
    camera: int | Camera,
    index: int,
    height: int,
    width: int,
    visit: int = 0,
) -> NDArray[np.uint8]:
    """Draw a crop; the same numbers give the same image.

    Args:
        seed: of the whole data set, ≥ 0.
        identity: number of the person, ≥ 0.
        camera: 1 or 2, or another one.
        index: which image of the person in this camera, ≥ 0.
        height: in pixels.
        width: in pixels.
        visit: of the person before the camera: another one has another heading and light.

    Returns:
        [height, width, 3] uint8 RGB.
    """
    eye = CAMERAS[camera] if isinstance(camera, int) else camera
    who, visits = person(seed, identity), (visit,) if visit else ()
    entropy = (seed, identity, eye.number, *visits)
    track = np.random.default_rng(np.random.SeedSequence((*entropy, 2)))
    rng = np.random.default_rng(np.random.SeedSequence((*entropy, index, 3)))
    heading = _heading(eye, track)
    mood = math.exp(0.12 * track.standard_normal())

    # The box is never exact: it is a little too large or too small, and beside the person.
    pixels = height * rng.uniform(0.8, 0.95) / (who.height * math.cos(eye.tilt) + 0.03)
    middle = width * (0.5 + 0.055 * rng.standard_normal())
    feet = (middle, height * (0.955 + 0.02 * rng.standard_normal()))
    ground = _background(seed, eye, pixels, feet, (height, width), rng)
    _shadow(ground, eye, feet, pixels)

    layer = np.zeros((4, height, width), np.float32)
    light = _light(eye, track)
    crowd = rng.random()
    if crowd < 0.5 * _CROWDED:
        _passer_by(layer, seed, eye, feet, pixels * rng.uniform(0.75, 0.95), light, rng)
    draw(layer, parts(who, _pose(heading, eye, rng)), feet, pixels, light)
    if 0.5 * _CROWDED <= crowd < _CROWDED:
        _passer_by(layer, seed, eye, feet, pixels * rng.uniform(1.02, 1.2), light, rng)
    picture = ground
    picture *= 1 - layer[3]
    picture += layer[:3]
    if rng.random() < _HIDDEN:
        _obstacle(picture, middle, pixels, rng)
    white = np.exp(0.035 * rng.standard_normal(3)).tolist()
    exposure = Exposure(mood * math.exp(0.07 * rng.standard_normal()), (white[0], 1.0, white[2]))
    return degrade(expose(picture, eye, exposure), eye, float(rng.uniform(1.0, 1.5)), rng)


def _heading(eye: Camera, rng: np.random.Generator) -> float:
    side = 1 if rng.random() < 0.5 else -1
    return eye.turn + side * float(rng.uniform(*eye.spread))


def _pose(heading: float, eye: Camera, rng: np.random.Generator) -> Pose:
    phone = int(rng.choice((-1, 1))) if rng.random() < 0.06 else 0
    return Pose(
        phase=float(rng.uniform(0, 2 * math.pi)),
        turn=heading + 0.12 * float(rng.standard_normal()),
        tilt=eye.tilt + 0.03 * float(rng.standard_normal()),
        swing=float(rng.uniform(0.55, 1.05)),
        head=0.25 * float(rng.standard_normal()),
        phone=phone,
    )


def _light(eye: Camera, rng: np.random.Generator) -> tuple[float, float, float]:
    x, y, z = np.array(eye.light) + 0.15 * rng.standard_normal(3)
    length = math.sqrt(x * x + y * y + z * z)
    return float(x / length), float(y / length), float(z / length)


def _passer_by(
    layer: Array,
    seed: int,
    eye: Camera,
    feet: tuple[float, float],
    pixels: float,
    light: tuple[float, float, float],
    rng: np.random.Generator,
) -> None:
    """Somebody else at the edge of the box; farther away is higher up in the picture."""
    other: Person = person(seed, int(rng.choice(PASSERS_BY)))
    side = 1 if rng.random() < 0.5 else -1
    x = feet[0] + side * float(rng.uniform(0.44, 0.7)) * pixels
    y = feet[1] + (pixels * other.height - 0.86 * layer.shape[1]) * 0.35
    draw(layer, parts(other, _pose(_heading(eye, rng), eye, rng)), (x, y), pixels, light)


def _background(
    seed: int,
    eye: Camera,
    pixels: float,
    feet: tuple[float, float],
    size: tuple[int, int],
    rng: np.random.Generator,
) -> Array:
    """What is behind somebody who stands at a random place of the scene: [3, h, w], linear."""
    picture = scene(seed, eye.number, *_SCENE)
    row = rng.uniform(row_at(10.5, _SCENE[0]), row_at(4.4, _SCENE[0]))
    column = rng.uniform(0.08, 0.92) * _SCENE[1]
    ratio = scale_at(row, _SCENE[0]) / pixels
    mirror = -1 if rng.random() < 0.5 else 1
    window = np.array(
        [[mirror * ratio, 0, column - mirror * feet[0] * ratio], [0, ratio, row - feet[1] * ratio]]
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    seen = cv2.warpAffine(
        picture, window, (size[1], size[0]), flags=flags, borderMode=cv2.BORDER_REFLECT
    )
    linear = np.array(cv2.split(seen), np.float32)
    linear *= 1 / 255
    linear *= linear
    return linear


def _shadow(ground: Array, eye: Camera, feet: tuple[float, float], pixels: float) -> None:
    """A soft shadow around the feet and away from the light; changes the ground."""
    top = max(int(feet[1] - 0.4 * pixels), 0)
    y = np.arange(top, ground.shape[1], dtype=np.float32)[:, None] - feet[1]
    x = np.arange(ground.shape[2], dtype=np.float32) - feet[0]
    x += math.copysign(0.25 * pixels, eye.light[0])
    x /= 0.42 * pixels
    y /= 0.13 * pixels
    ground[:, top:] *= 1 - 0.5 * np.exp(-x * x) * np.exp(-y * y)


def _obstacle(picture: Array, middle: float, pixels: float, rng: np.random.Generator) -> None:
    """A pole or a bin before the person; changes the picture."""
    height, width = picture.shape[1:]
    half = float(rng.uniform(0.05, 0.09) if rng.random() < 0.6 else rng.uniform(0.2, 0.3)) * pixels
    centre = middle + float(rng.uniform(-0.3, 0.3)) * pixels
    top = 0 if half < 0.15 * pixels else int(height * rng.uniform(0.68, 0.82))
    x = (np.arange(width, dtype=np.float32) + (0.5 - centre)) / half
    alpha = np.clip((1 - np.abs(x)) * half + 0.5, 0, 1)
    colour = _POLES[int(rng.integers(len(_POLES)))]
    shade = 0.45 + 0.75 * np.sqrt(np.maximum(1 - x * x, 0)) * (1 - 0.3 * x)
    below = picture[:, top:]
    below *= 1 - alpha
    below += plane(colour) * (alpha * shade)
