"""Draw a person in a pose: the body, and head, hair, hat and bags."""

import math

import numpy as np

from reid_hash.data.walkers import wardrobe
from reid_hash.data.walkers.body import (
    ARM,
    BEHIND,
    FAR_ARM,
    HEAD,
    OVER,
    Body,
    between,
    lift,
)
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


def head(body: Body) -> list[Part]:
    """Head, hair, and hat."""
    person, tall, j = body.person, body.person.height, body.joints
    turn = body.pose.turn + body.pose.head
    facing, ahead = math.cos(turn), math.sin(turn)
    hood = 0.012 * tall if person.hat == "hood" else 0.0
    hair = 0.0 if person.hair_style == "bald" else 0.003 * tall
    wide = body.across(0.046 * tall + hair, 0.057 * tall + hair, turn) + hood
    crown, chin = lift(j.crown, 0.012 * tall + hood), j.chin[:2]
    found = [Part(crown, chin, (wide,), wardrobe.head(person), HEAD, turn, "ball")]
    back = -0.05 * tall * ahead  # where the back of the head is, to the right
    layer = BEHIND if facing > 0.35 else OVER if facing < -0.3 else HEAD - 0.5
    style = "none" if hood else person.hair_style
    if style in ("bob", "long"):
        low = 0.155 if style == "bob" else 0.23
        wide = body.across(0.054 * tall, 0.028 * tall, turn)
        start = (crown[0] + 0.6 * back, crown[1] - 0.06 * tall)
        end = (j.crown[0] + 0.75 * back, j.crown[1] - low * tall)
        widths = (wide * 0.8, wide, wide * 1.05, wide * 0.9)
        found.append(Part(start, end, widths, person.hair, layer, turn, folds=0.3))
    elif style == "ponytail":
        start = (crown[0] + 1.15 * back, crown[1] - 0.045 * tall)
        end = (j.crown[0] + 1.35 * back, j.crown[1] - 0.2 * tall)
        widths = (0.011 * tall, 0.021 * tall, 0.019 * tall, 0.006 * tall)
        found.append(Part(start, end, widths, person.hair, layer, folds=0.2))
    elif style == "bun" and person.hat == "none":
        x, y = crown[0] + 0.8 * back, crown[1] - 0.012 * tall
        radius = 0.024 * tall
        found.append(
            Part((x, y + radius), (x, y - radius), (radius,), person.hair,
                 min(layer, HEAD - 0.1) if facing > 0 else layer, ends="ball")
        )  # fmt: skip
    if person.hat == "cap":
        x, y = crown[0] + 0.045 * tall * ahead, crown[1] - 0.052 * tall - 0.006 * facing * tall
        tip = (x + 0.042 * tall * ahead, y - 0.014 * tall * facing)
        layer = OVER if facing > -0.2 else HEAD - 0.1
        radius = 0.008 * tall + 0.026 * tall * max(facing, 0) * 0.5
        found.append(Part((x, y), tip, (radius, radius * 0.8), person.hat_colour, layer))
    return found


def bags(body: Body) -> list[Part]:
    """What is carried."""
    person, tall, j, bag = body.person, body.person.height, body.joints, body.person.bag
    sine, size = math.sin(body.pose.turn), bag.size
    if bag.kind == "backpack":
        wide, deep = 0.082 * tall * size, 0.05 * tall * size
        x = -(0.055 * tall + deep) * sine
        y = (0.055 * tall + deep) * body.facing * math.sin(body.pose.tilt)
        seen = body.across(wide, deep)
        widths = tuple(seen * f for f in (0.55, 0.86, 0.98, 1, 1, 1, 1, 1, 0.97, 0.9))
        layer = BEHIND if body.facing > 0.3 else ARM - 0.5
        layer = HEAD - 1 if body.facing < -0.3 else layer
        high, low = between(j.hips, j.neck, 0.98), between(j.hips, j.neck, 0.98 - 0.74 * size)
        return [
            Part((high[0] + x, high[1] + y), (low[0] + x, low[1] + y), widths,
                 wardrobe.backpack(person), layer, body.pose.turn, "flat", folds=0.06,
                 bulge=deep * math.sin(body.pose.tilt))
        ]  # fmt: skip
    if bag.kind == "messenger":
        x, wide = bag.side * 0.115 * tall * body.facing, body.across(0.022 * tall, 0.075 * tall)
        near = -bag.side * sine > -0.35
        top, low = lift(j.hips, 0.035 * tall), lift(j.hips, -0.075 * tall * size)
        return [
            Part((top[0] + x, top[1]), (low[0] + x, low[1]), (wide * size, wide * size * 1.06),
                 wardrobe.flap(person), ARM - 0.5 if near else FAR_ARM - 0.2,
                 body.pose.turn, "flat", 0.012)
        ]  # fmt: skip
    if bag.kind == "handbag":
        i = 1 if bag.side > 0 else 0
        x, y = j.hand[i][0], j.hand[i][1] - 0.035 * tall
        wide = body.across(0.022 * tall, 0.06 * tall) * size
        depth = body.arm_depth(i, bag.side) - 1e-3
        return [
            Part((x, y), (x, y - 0.115 * tall * size), (wide * 0.85, wide),
                 wardrobe.flap(person), depth, body.pose.turn, "flat", 0.012)
        ]  # fmt: skip
    return []
