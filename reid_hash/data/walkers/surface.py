"""Round shapes, what is painted on them, and where on them a pixel lies.

A figure is a list of parts. Each is a body of revolution with an axis in the picture plane and a
half-width along it (limbs, torso, skirt), or an ellipsoid (head).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reid_hash.data.walkers.palette import Colour

Array = NDArray[np.floating]
"""Of float32 wherever it has as many values as a picture has pixels."""


@dataclass(slots=True)
class Surface:
    """Where on a part each pixel of a patch lies; all arrays are [h, w] float32.

    Attributes:
        t: from 0 at the top to 1 at the bottom of the axis.
        along: the same in pixels, not clipped to the axis.
        across: -1 at the left to 1 at the right edge of what is seen, beyond it outside.
        facing: 1 where the surface faces the camera, 0 at the outline.
        turn: by how much the body is turned, radians.
        pixels: in a metre.
    """

    t: Array
    along: Array
    across: Array
    facing: Array
    turn: float
    pixels: float

    @property
    def down(self) -> Array:
        """Metres from the top of the axis."""
        return self.along * (1 / self.pixels)

    @property
    def angle(self) -> Array:
        """Angle around the body in (-π, π]: 0 is the front, π/2 the wearer's left."""
        seen = np.minimum(np.maximum(self.across, -1), 1)
        angle = np.arcsin(seen) - self.turn
        return angle - 2 * np.pi * np.round(angle / (2 * np.pi))

    def inside(self, distance: Array) -> Array:
        """1 where a distance in metres is negative, 0 where positive, soft over a pixel."""
        return unit(0.5 - distance * self.pixels)


Paint = Callable[[Surface], Array] | Colour
"""A colour for the whole part, or a function that gives [3, h, w] float32."""


@dataclass(slots=True)
class Part:
    """One round shape. Lengths are in metres: x to the right, y up, depth towards the camera.

    Attributes:
        top: upper end (x, y) of the axis.
        bottom: lower end.
        widths: half-widths at even steps from the top to the bottom; of a ball the one half-width.
        paint: its colour or pattern.
        depth: parts with larger ones hide the others.
        turn: by how much the body is turned, radians.
        ends: "round", "flat", "cuff" (flat at the bottom only), or "ball": an ellipsoid.
        bulge: by how much a flat end curves down in the middle, as seen from above, metres.
        folds: strength of the wrinkles.
        halo: whether it shadows what is behind it.
    """

    top: tuple[float, float]
    bottom: tuple[float, float]
    widths: tuple[float, ...]
    paint: Paint
    depth: float
    turn: float = 0.0
    ends: str = "round"
    bulge: float = 0.0
    folds: float = 0.0
    halo: bool = True


def mix(below: Array | Colour, above: Array | Colour, share: Array) -> Array:
    """Lay a colour over another where `share` [h, w] is 1; gives [3, h, w] float32."""
    ground = plane(below)
    blend: Array = (plane(above) - ground) * share
    blend += ground
    return blend


def plane(colour: Array | Colour) -> Array:
    """A colour as [3, 1, 1], or what is [3, h, w] already."""
    if isinstance(colour, tuple):
        return np.array(colour, np.float32).reshape(3, 1, 1)
    return colour


def unit(values: Array) -> Array:
    """Clip to [0, 1] in place; np.clip itself costs several times as much on small patches."""
    np.maximum(values, 0, out=values)
    return np.minimum(values, 1, out=values)
