"""The places that the two cameras look at, drawn once from a seed."""

import functools

import cv2
import numpy as np
from numpy.typing import NDArray

from reid_hash.data.walkers.surface import Array

CAMERA_HEIGHT = 2.76  # metres above the ground
HORIZON = 0.055  # row of the horizon as a share of the picture's height
FOCUS = 1.39  # focal length as a share of the picture's height
_WALL = 13.0  # metres from the camera to the wall or hedge behind


def scale_at(row: float, height: int) -> float:
    """Pixels in a metre for somebody whose feet are at this row of a picture of this height."""
    return (row - HORIZON * height) / CAMERA_HEIGHT


def row_at(distance: float, height: int) -> float:
    """Row at which the ground is so many metres away from the camera."""
    return (HORIZON + FOCUS * CAMERA_HEIGHT / distance) * height


def column_at(aside: float, distance: float, height: int, width: int) -> float:
    """Column of what is `aside` metres right of the middle and `distance` metres away."""
    return width / 2 + aside * FOCUS * height / distance


@functools.lru_cache(maxsize=16)
def scene(seed: int, camera: int, height: int, width: int) -> NDArray[np.uint8]:
    """The empty place before one camera.

    Args:
        seed: of the whole data set.
        camera: number, from 1: odd ones are paved squares before houses, even ones paths through
            parks.
        height: in pixels.
        width: in pixels.

    Returns:
        [height, width, 3] uint8: 255 times the square root of the linear reflectance, RGB.
        Shared between callers and not writeable.
    """
    rng = np.random.default_rng(np.random.SeedSequence((seed, camera, 4)))
    base = int(row_at(_WALL, height))
    rows = np.arange(base, height, dtype=np.float32)[:, None] + np.float32(0.5)
    distance = np.float32(FOCUS * CAMERA_HEIGHT * height) / (rows - np.float32(HORIZON * height))
    columns = np.arange(width, dtype=np.float32) + np.float32(0.5 - width / 2)
    aside = columns * distance / np.float32(FOCUS * height)
    wall_x = np.broadcast_to(columns * np.float32(_WALL / (FOCUS * height)), (base, width))
    up = np.arange(base, 0, -1, dtype=np.float32)[:, None] * np.float32(_WALL / (FOCUS * height))
    wall_y = np.broadcast_to(up, (base, width))
    distance = np.broadcast_to(distance, aside.shape)
    if camera % 2:
        upper, ground = _house(rng, wall_x, wall_y), _paving(rng, aside, distance)
    else:
        upper, ground = _hedge(rng, wall_x, wall_y), _park(rng, aside, distance)
    ground *= 1 - 0.35 * np.exp(-((distance[:, :1, None] - _WALL) ** 2) / 0.5)  # by the wall
    picture = np.concatenate([upper, ground])
    picture *= (1 + 0.05 * rng.standard_normal((height, width, 1))).astype(np.float32)
    picture = cv2.GaussianBlur(picture, (0, 0), height / 900)
    done: NDArray[np.uint8] = np.round(255 * np.clip(picture, 0, 1)).astype(np.uint8)
    done.flags.writeable = False
    return done


def _noise(rng: np.random.Generator, shape: tuple[int, ...], grain: tuple[int, int]) -> Array:
    """Smooth noise in about [-1, 1] with `grain` (rows, columns) bumps across the picture."""
    small = rng.uniform(-1, 1, grain).astype(np.float32)
    smooth = cv2.resize(small, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)
    return np.asarray(smooth, np.float32)


def _tiles(rng: np.random.Generator, x: Array, y: Array, joint: float) -> tuple[Array, Array]:
    """A tone in [-1, 1] for each unit tile, and 1 where the joint between two is."""
    tones = rng.uniform(-1, 1, (64, 64)).astype(np.float32)
    column, row = np.floor(x), np.floor(y)
    tone = tones[row.astype(np.intp) % 64, column.astype(np.intp) % 64]
    near = np.minimum(0.5 - np.abs(x - column - 0.5), 0.5 - np.abs(y - row - 0.5))
    return tone, np.clip(1.5 - near / joint, 0, 1).astype(np.float32)


def _coloured(tone: Array, colour: tuple[int, int, int]) -> Array:
    return tone[..., None] * (np.array(colour, np.float32) / 255)


def _paving(rng: np.random.Generator, x: Array, z: Array) -> Array:
    size = rng.uniform(0.55, 0.8)
    shift = 0.5 * (np.floor(z / size) % 2)
    tone, joint = _tiles(rng, x / size + shift, z / size, 0.03)
    stains = _noise(rng, x.shape, (9, 16)) + 0.6 * _noise(rng, x.shape, (40, 70))
    value = 1 + 0.09 * tone + 0.07 * stains - 0.22 * joint
    ground = _coloured(value.astype(np.float32), (172, 166, 158))
    band = (np.abs(z - 8.2) < 0.4)[..., None]  # a row of darker slabs along the house
    return np.where(band, ground * np.float32(0.74), ground)


def _house(rng: np.random.Generator, x: Array, y: Array) -> Array:
    shift = 0.5 * (np.floor(y / 0.16) % 2)
    tone, joint = _tiles(rng, x / 0.42 + shift, y / 0.16, 0.08)
    value = 1 + 0.12 * tone - 0.16 * joint + 0.06 * _noise(rng, x.shape, (6, 14))
    wall = _coloured(value.astype(np.float32), (158, 112, 92))
    plinth = (y < 0.45)[..., None]
    wall = np.where(plinth, _coloured(1 + 0.05 * tone, (138, 134, 130)), wall)
    start = rng.uniform(-6.5, -5.5)
    for i in range(5):
        left = start + 2.7 * i
        door = i == 2
        low, high, wide = (0.0, 2.35, 1.15) if door else (1.0, 2.5, 1.35)
        frame = (x > left - 0.1) & (x < left + wide + 0.1) & (y > low - 0.1) & (y < high + 0.1)
        wall[frame] = np.array((206, 202, 194), np.float32) / 255
        pane = (x > left) & (x < left + wide) & (y > low) & (y < high)
        glass = np.array((70, 58, 50) if door else (78, 92, 104), np.float32) / 255
        sheen = 1 + 0.35 * np.clip(np.sin(2.2 * (x[pane] + y[pane])), 0, 1)
        wall[pane] = glass * sheen[:, None]
        if not door:
            bar = pane & (np.abs(x - left - wide / 2) < 0.035)
            wall[bar] = np.array((206, 202, 194), np.float32) / 255
    return wall


def _park(rng: np.random.Generator, x: Array, z: Array) -> Array:
    blades = 0.6 * _noise(rng, x.shape, (160, 300)) + 0.5 * _noise(rng, x.shape, (50, 60))
    patches = _noise(rng, x.shape, (8, 10))
    grass = _coloured((1 + 0.16 * blades + 0.12 * patches).astype(np.float32), (106, 122, 72))
    grit = 0.5 * _noise(rng, x.shape, (190, 330)) + _noise(rng, x.shape, (12, 16))
    path = _coloured((1 + 0.07 * grit).astype(np.float32), (176, 162, 138))
    middle = 0.22 * (z - 7) + rng.uniform(-0.6, 0.6)
    edge = np.abs(x - middle) - 2.3 + 0.12 * _noise(rng, x.shape, (30, 20))
    on_path = np.clip(0.5 - edge * 8, 0, 1)[..., None]
    mixed: Array = (grass + (path - grass) * on_path).astype(np.float32)
    return mixed


def _hedge(rng: np.random.Generator, x: Array, y: Array) -> Array:
    leaves = _noise(rng, x.shape, (70, 330)) + 0.8 * _noise(rng, x.shape, (22, 90))
    value = 0.85 + 0.2 * leaves + 0.16 * np.clip(y, 0, 2)
    hedge = _coloured(value.astype(np.float32), (70, 88, 56))
    top = 1.75 + 0.12 * _noise(rng, x.shape, (1, 40))
    behind = _noise(rng, x.shape, (10, 24)) + 0.7 * _noise(rng, x.shape, (30, 70))
    trees = _coloured((1 + 0.22 * behind).astype(np.float32), (138, 148, 128))
    picture = np.where((y > top)[..., None], trees, hedge)
    for left in rng.uniform(-6.5, 6.5, 5):
        wide = rng.uniform(0.16, 0.3)
        trunk = np.abs(x - left - 0.06 * y) < wide
        round_ = np.sqrt(np.clip(1 - ((x - left - 0.06 * y) / wide) ** 2, 0, 1))
        picture[trunk] = _coloured(0.5 + 0.6 * round_[trunk], (92, 76, 62))
    rails = (np.abs(y - 0.95) < 0.045) | (np.abs(y - 0.5) < 0.04)
    rails |= ((x % 1.9) < 0.09) & (y < 1.1)
    picture[rails] = np.array((150, 140, 126), np.float32) / 255
    return picture
