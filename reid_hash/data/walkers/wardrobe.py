"""Paints: what garments, heads, and bags look like at each point of their surface."""

import numpy as np

from reid_hash.data.walkers.palette import Colour, shade
from reid_hash.data.walkers.person import Cloth, Person
from reid_hash.data.walkers.surface import Array, Paint, Surface, mix, plane, unit

_TORSO = 0.16  # metres; radius by which an angle around the torso becomes a length


def cloth(fabric: Cloth, radius: float, start: float = 0.0) -> Paint:
    """The paint of a limb or torso of this radius; `start` metres of cloth lie above it."""
    if fabric.pattern == "plain":
        return fabric.colour
    return lambda at: mix(fabric.colour, fabric.second, _pattern(fabric, at, radius, start))


def trousers(fabric: Cloth, radius: float, start: float, stripe: bool, side: int) -> Paint:
    """The paint of a trouser leg; a `stripe` runs down the outside, `side` ±1."""
    ground = cloth(fabric, radius, start)
    if not stripe:
        return ground

    def paint(at: Surface) -> Array:
        away = np.abs(at.angle - side * np.pi / 2) * radius
        below = ground if isinstance(ground, tuple) else ground(at)
        return mix(below, fabric.second, at.inside(away - 0.018))

    return paint


def top(person: Person, height: float, hip: float) -> Paint:
    """The paint of the torso: shirt, coat, print, neckline, and the straps of a bag.

    Args:
        person: the wearer.
        height: from the neck to the hem in metres.
        hip: from the neck to the hip joint in metres.
    """
    shirt, coat, bag = person.top, person.coat, person.bag
    plain = coat is None and shirt.pattern == "plain" and bag.kind in ("none", "handbag")

    def paint(at: Surface) -> Array:
        angle, down = at.angle, at.down
        around = np.abs(angle) * _TORSO
        colour: Array | Colour = shirt.colour
        if shirt.pattern != "plain":
            colour = mix(colour, shirt.second, _pattern(shirt, at, _TORSO, 0.0))
        neckline = 0.085 - down * 0.8  # a V; negative below its tip
        colour = mix(colour, person.skin, at.inside(around - neckline))
        if coat is not None:
            if person.opening and person.hem > 0.14:  # under a long coat the trousers show too
                legs = shirt.colour if person.bottom == "dress" else person.bottom_cloth.colour
                colour = mix(colour, legs, at.inside(hip + 0.02 - down))
            colour = _coat(coat, person.opening, height, at, around, colour)
        if person.logo is not None:
            colour = _logo(person, at, angle, colour)
        if bag.kind == "backpack":
            strap = np.abs(around - 0.095) - 0.021
            strap = np.maximum(strap, down - 0.62 * hip)
            strap = np.maximum(strap, np.abs(angle) * 0.1 - 0.157)
            colour = mix(colour, bag.second, at.inside(strap))
        elif bag.kind == "messenger":
            line = bag.side * (down / hip * 1.7 - 0.75)
            away = np.abs(np.sin(angle) - line) * (0.62 * _TORSO)
            colour = mix(colour, bag.second, at.inside(away - 0.02))
        return plane(colour)

    if plain and person.logo is None and person.scarf is not None:
        return shirt.colour  # a scarf hides the neckline
    return paint


def _coat(
    coat: Cloth, opening: float, height: float, at: Surface, around: Array, below: Array
) -> Array:
    outside: Array | Colour = coat.colour
    if coat.pattern != "plain":
        outside = mix(outside, coat.second, _pattern(coat, at, _TORSO, 0.0))
    edge = around - max(opening, 0.03) * _TORSO * (0.75 + 0.6 * at.down / height)
    if not opening:  # buttoned up to a small lapel
        edge = around - np.clip(1 - at.down / 0.16, 0.04, None) * 0.09
    hem = shade(coat.colour, 0.45, 0.45, 0.45)
    lapel = mix(outside, hem, at.inside(np.abs(edge) - 0.012))
    return mix(lapel, below, at.inside(edge))


def _logo(person: Person, at: Surface, angle: Array, below: Array) -> Array:
    logo = person.logo
    assert logo is not None
    from_middle = angle - np.pi * np.sign(angle) if logo.back else angle
    x = from_middle * _TORSO - logo.side
    y = at.down - (0.1 * person.height + 0.03)
    if logo.shape == "bar":
        away = np.maximum(np.abs(x) - logo.size * 1.1, np.abs(y) - logo.size * 0.36)
    else:
        away = _norm(x, y) - logo.size
        if logo.shape == "ring":
            away = np.abs(away + 0.02) - 0.02
    return mix(below, logo.colour, at.inside(away))


def head(person: Person) -> Paint:
    """Face, hair, and hat; the face is in front, that is, around angle 0."""
    dark, lips = shade(person.skin, 0.22, 0.22, 0.22), shade(person.skin, 0.75, 0.5, 0.5)
    hooded = person.hat == "hood" and person.coat is not None
    style = "bald" if person.hat == "beanie" and person.hair_style == "short" else person.hair_style
    hairline = {"bald": 0.14, "short": 0.27, "bun": 0.25, "ponytail": 0.25}.get(style, 0.29)
    cover = person.coat.colour if person.coat and hooded else person.hat_colour

    def paint(at: Surface) -> Array:
        angle, t = np.abs(at.angle), at.t
        size = 0.13 * person.height
        colour = mix(person.skin, dark, at.inside(_eye(angle, t, size)))
        mouth = np.maximum(np.abs(t - 0.78) * size - 0.005, angle * 0.07 - 0.017)
        colour = mix(colour, lips, at.inside(mouth))
        if person.beard:
            beard = np.maximum((0.7 - t) * size, (angle - 1.5) * 0.08)
            colour = mix(colour, person.hair, at.inside(beard) * 0.8)
        # Hair grows behind the ears and above the brow; bald heads keep a ring of it.
        behind = (1.12 if style in ("long", "bob") else 1.45) - angle
        nape = (t - (1.1 if style in ("long", "bob") else 0.86)) * size
        grown = np.minimum(behind * 0.085, (t - hairline) * size)
        if style == "bald":
            grown = np.maximum(behind * 0.085, (0.36 - t) * size)
        hair = at.inside(np.maximum(grown, nape))
        shine = 1 + 0.5 * np.clip(np.sin(t * 9), 0, 1) * at.facing
        colour = mix(colour, plane(person.hair) * shine, hair)
        if hooded:
            face = np.maximum((angle - 0.95) * 0.085, (0.2 - t) * size)
            colour = mix(cover, colour, at.inside(face))
        elif person.hat in ("cap", "beanie"):
            rim = 0.36 if person.hat == "cap" else 0.34
            colour = mix(colour, cover, at.inside((t - rim) * size))
            if person.hat == "beanie":
                band = np.abs(t - 0.29) * size - 0.013
                colour = mix(colour, shade(cover, 0.6, 0.6, 0.6), at.inside(band))
        return colour

    return paint


def _eye(angle: Array, t: Array, size: float) -> Array:
    """Distance in metres from the nearer eye; flat, as eyes are."""
    x = (angle - 0.42) * 0.078
    y = (t - 0.53) * size * 1.5
    return _norm(x, y) - 0.0105


def backpack(person: Person) -> Paint:
    """A pocket on the outside, and a lid."""
    bag = person.bag

    def paint(at: Surface) -> Array:
        back = np.pi - np.abs(at.angle)
        pocket = np.maximum(back - 0.95, 0.5 - at.t)
        pocket = np.maximum(pocket, at.t - 0.9) * 0.15
        seam = np.abs(at.t - 0.27) * 0.4 - 0.008
        colour = mix(bag.colour, shade(bag.colour, 0.4, 0.4, 0.4), at.inside(seam))
        return mix(colour, bag.second, at.inside(pocket))

    return paint


def flap(person: Person) -> Paint:
    """A shoulder bag or handbag: the flap has the second colour."""
    bag = person.bag
    return lambda at: mix(bag.colour, bag.second, at.inside((at.t - 0.42) * 0.25))


def shoe(person: Person, points_right: bool, sideways: bool) -> Paint:
    """A shoe; from the side its sole shows."""
    if not sideways:
        return person.shoes
    sign = -1 if points_right else 1
    edge, radius = 0.42, 0.04
    return lambda at: mix(person.shoes, person.sole, at.inside((edge - sign * at.across) * radius))


def _pattern(fabric: Cloth, at: Surface, radius: float, start: float) -> Array:
    """Where the second colour shows, [h, w] in [0, 1]."""
    pitch = fabric.pitch
    sharp = max(fabric.pitch * at.pixels / 2, 0.5)

    def bands(along: Array, share: float) -> Array:
        phase = along / pitch
        saw = np.abs(phase - np.round(phase)) * 2  # 0 amid a band, 1 between two
        return unit((share - saw) * sharp + 0.5)

    down = at.down + start
    if fabric.pattern == "stripes":
        return bands(down, 0.48)
    around = at.angle * radius
    if fabric.pattern == "pinstripes":
        return bands(around, 0.4)
    if fabric.pattern == "checks":
        return (bands(down, 0.5) + bands(around, 0.5)) * 0.5
    x, y = around / pitch, down / pitch
    distance = _norm(x - np.round(x), y - np.round(y))
    return unit((0.3 - distance) * (2 * sharp) + 0.5)


def _norm(x: Array, y: Array) -> Array:
    length: Array = np.sqrt(x * x + y * y)
    return length
