"""The drawing of a person in a pose."""

import numpy as np

from reid_hash.data.walkers.body import Body
from reid_hash.data.walkers.extras import bags, head
from reid_hash.data.walkers.person import Person
from reid_hash.data.walkers.pose import Pose, skeleton
from reid_hash.data.walkers.raster import draw
from reid_hash.data.walkers.surface import Array, Part


def figure(
    person: Person,
    pose: Pose,
    size: tuple[int, int],
    feet: tuple[float, float],
    pixels: float,
    light: tuple[float, float, float] = (-0.4, -0.5, 0.77),
) -> Array:
    """Draw a person on a transparent canvas.

    Args:
        person: who.
        pose: how.
        size: height and width of the canvas in pixels.
        feet: pixel (x, y) of the point on the ground below the hips; fractions allowed.
        pixels: in a metre.
        light: direction to the light: x right, y down, z towards the camera; length 1.

    Returns:
        [4, height, width] float32: linear RGB multiplied by alpha, and alpha in [0, 1].
    """
    canvas = np.zeros((4, *size), np.float32)
    draw(canvas, parts(person, pose), feet, pixels, light)
    return canvas


def parts(person: Person, pose: Pose) -> list[Part]:
    """The parts of a figure, the hindmost first."""
    body = Body(person, pose, skeleton(person, pose))
    found = [*body.legs(), *body.torso(), *body.arms(), *head(body), *bags(body)]
    return sorted(found, key=lambda part: part.depth)
