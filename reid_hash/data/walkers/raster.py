"""The rasteriser: draws parts, shaded and anti-aliased, over one another.

For each pixel near a part this file finds how far it is outside the outline, which gives the
coverage, and where on the surface it lies, which gives shading and pattern, so that there is no
supersampling to pay for. At the size of a crop a part has a few hundred pixels, and a call of
NumPy costs more than its arithmetic: the pixels near all parts are therefore laid end to end, and
most of the work is done for all parts at once.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reid_hash.data.walkers.surface import Array, Part, Surface, plane, unit

Light = tuple[float, float, float]

_HALO = 0.045  # metres around a part within which what lies behind it is shadowed
_HALO_DARK = 0.42  # how much of its light it loses there
_AMBIENT, _WRAP, _GAIN = 0.42, 0.24, 0.61  # light on a surface: from all sides, and directed
_TABLE = 28  # steps of a part's outline
_EVEN = np.linspace(0, 1, _TABLE + 1, dtype=np.float32)
_FAR = 1e6  # farther than any pixel


@dataclass(slots=True)
class _Patch:
    """A part in pixels: its rectangle of the canvas and its axis, from (x, y), length 1."""

    part: Part
    left: int
    right: int
    upper: int
    lower: int
    x: float
    y: float
    length: float
    axis: tuple[float, float]

    @property
    def area(self) -> int:
        return (self.right - self.left) * (self.lower - self.upper)

    @property
    def shape(self) -> tuple[int, int]:
        return self.lower - self.upper, self.right - self.left


@dataclass(slots=True)
class _Pixels:
    """For the pixels near all parts, end to end: see `Surface`, and light and coverage."""

    t: Array
    along: Array
    across: Array
    facing: Array
    shade: Array
    alpha: Array
    halo: Array


def draw(
    canvas: Array, parts: list[Part], origin: tuple[float, float], pixels: float, light: Light
) -> None:
    """Draw parts on the canvas, over what is there.

    Args:
        canvas: [4, height, width] float32, linear RGB multiplied by alpha, and alpha; changed.
        parts: what to draw, the hindmost first.
        origin: pixel (x, y) of the point (0, 0), fractions allowed.
        pixels: in a metre.
        light: direction to the light: x right, y down, z towards the camera; length 1.
    """
    size = canvas.shape[1:]
    patches = [found for part in parts if (found := _patch(part, size, origin, pixels))]
    if not patches:
        return
    at = _pixels(patches, pixels, light)
    total = len(at.t)
    keep, add = np.empty((4, total), np.float32), np.empty((4, total), np.float32)
    np.subtract(1, at.alpha, out=keep[3])
    np.multiply(keep[3], at.halo, out=keep[:3])
    at.shade *= at.alpha
    add[3] = at.alpha
    end = 0
    for patch in patches:
        start, end, shape, part = end, end + patch.area, patch.shape, patch.part
        if isinstance(part.paint, tuple):
            colour = plane(part.paint)
        else:
            t, along, across, facing = (
                values[start:end].reshape(shape)
                for values in (at.t, at.along, at.across, at.facing)
            )
            colour = part.paint(Surface(t, along, across, facing, part.turn, pixels))
        light_on = at.shade[start:end].reshape(shape)
        flat = add[:, start:end].reshape(4, *shape)
        np.multiply(colour, light_on, out=flat[:3])
        target = canvas[:, patch.upper : patch.lower, patch.left : patch.right]
        target *= keep[:, start:end].reshape(4, *shape)
        target += flat


def _patch(
    part: Part, size: tuple[int, ...], origin: tuple[float, float], pixels: float
) -> _Patch | None:
    x0, y0 = origin[0] + part.top[0] * pixels, origin[1] - part.top[1] * pixels
    x1, y1 = origin[0] + part.bottom[0] * pixels, origin[1] - part.bottom[1] * pixels
    halo = max(_HALO * pixels, 1.0) if part.halo else 1.0
    margin = (max(part.widths) + part.bulge) * pixels + halo
    left, right = max(int(min(x0, x1) - margin), 0), min(int(max(x0, x1) + margin) + 2, size[1])
    upper, lower = max(int(min(y0, y1) - margin), 0), min(int(max(y0, y1) + margin) + 2, size[0])
    if left >= right or upper >= lower:
        return None
    length = max(math.hypot(x1 - x0, y1 - y0), 1e-3)
    axis = ((x1 - x0) / length, (y1 - y0) / length)
    return _Patch(part, left, right, upper, lower, x0, y0, length, axis)


def _pixels(patches: list[_Patch], pixels: float, light: Light) -> _Pixels:
    areas = [patch.area for patch in patches]
    along, aside = np.empty(sum(areas), np.float32), np.empty(sum(areas), np.float32)
    columns = np.arange(max(patch.right for patch in patches), dtype=np.float32) + 0.5
    rows = np.arange(max(patch.lower for patch in patches), dtype=np.float32)[:, None] + 0.5
    constants = []
    end = 0
    for patch, area in zip(patches, areas, strict=True):
        part, (ax, ay) = patch.part, patch.axis  # (ay, -ax) points to the right of the axis
        px, py = columns[patch.left : patch.right], rows[patch.upper : patch.lower]
        start, end = end, end + area
        here, shape = slice(start, end), patch.shape
        offset = ax * patch.x + ay * patch.y
        np.add(px * ax, py * ay - offset, out=along[here].reshape(shape))
        offset = ay * patch.x - ax * patch.y
        np.subtract(px * ay, py * ax + offset, out=aside[here].reshape(shape))
        constants.append(
            (
                patch.length,
                _FAR if part.ends != "flat" else 0.0,
                _FAR if part.ends == "round" else patch.length,
                _GAIN * (ay * light[0] - ax * light[1]),
                part.folds,
                patch.length / pixels * 30,
                part.bulge * pixels,
                -_HALO_DARK if part.halo else 0.0,
            )
        )
    tables = _outlines([patch.part.widths for patch in patches])
    tables *= pixels
    np.maximum(tables, 1e-3, out=tables)
    spread = np.repeat(np.array(constants, np.float32).T, areas, axis=1)
    first = np.repeat(np.arange(0, tables.size, _TABLE + 1, dtype=np.int32), areas)
    found, outside = _revolved(along, aside, spread, tables.reshape(-1), first, light)
    end = 0
    for i, patch in enumerate(patches):
        start, end = end, end + areas[i]
        if patch.part.ends == "ball":
            _ball(patch, slice(start, end), aside, found, outside, pixels, light)
    found.alpha = unit(0.5 - outside)
    outside *= 1 / max(_HALO * pixels, 1.0)
    dark = unit(1 - outside)
    dark *= dark
    dark *= spread[7]
    dark += 1
    found.halo = dark
    return found


def _outlines(widths: list[tuple[float, ...]]) -> Array:
    """[parts, steps + 1] half-widths at even steps along the axes."""
    ends = np.array([(of[0], of[-1]) for of in widths], np.float32)
    tables = ends[:, :1] + (ends[:, 1:] - ends[:, :1]) * _EVEN
    for i, of in enumerate(widths):
        if len(of) > 2:
            tables[i] = np.interp(_EVEN * (len(of) - 1), range(len(of)), of)
    return tables


def _revolved(
    along: Array, aside: Array, spread: Array, table: Array, first: NDArray[np.int32], light: Light
) -> tuple[_Pixels, Array]:
    """Bodies of revolution; also gives the pixels by which a point is outside."""
    length, upper, lower, lit, folds, metres, bulge = spread[:7]
    inverse = 1 / length
    t = unit(along * inverse)
    step = t * (_TABLE - 1e-3)  # so that there is a next entry
    entry = step.astype(np.int32)
    step -= entry
    entry += first
    half = table[entry]
    half += (table[entry + 1] - half) * step
    across = aside / half
    facing = np.sqrt(np.maximum(1 - across * across, 0))
    along -= bulge * facing
    t = unit(along * inverse)
    beyond = along - t * length
    outside = np.sqrt(aside * aside + beyond * beyond) - half
    np.maximum(outside, along - lower, out=outside)
    np.maximum(outside, -along - upper, out=outside)
    shade = across * lit
    shade += facing * (_GAIN * light[2])
    shade += _AMBIENT + _WRAP
    np.maximum(shade, _AMBIENT, out=shade)
    # Slanted folds, closer to one another further down; and less light there.
    wave = t * metres * (t + 0.7)
    wave += across * 2.6
    wave = np.sin(wave) * folds
    wave -= t * 0.12
    wave += 1.05
    shade *= wave
    return _Pixels(t, along, across, facing, shade, outside, outside), outside


def _ball(
    patch: _Patch,
    here: slice,
    aside: Array,
    found: _Pixels,
    outside: Array,
    pixels: float,
    light: Light,
) -> None:
    """An ellipsoid, over what `_revolved` made of it; its t is linear in the height."""
    (ax, ay), a, b = patch.axis, patch.part.widths[0] * pixels, patch.length / 2
    x, y = aside[here] / a, found.along[here] / b - 1
    level = y * y
    square = x * x + level
    outside[here] = (np.sqrt(square) - 1) * min(a, b)
    facing = np.sqrt(np.maximum(1 - square, 0))
    shade = x * (_GAIN * (ay * light[0] - ax * light[1]))
    shade += y * (_GAIN * (ax * light[0] + ay * light[1]))
    shade += facing * (_GAIN * light[2])
    shade += _AMBIENT + _WRAP
    found.shade[here] = np.maximum(shade, _AMBIENT)
    found.facing[here] = facing
    found.across[here] = x / np.sqrt(np.maximum(1 - level, 0.02))
