"""What a procedural pedestrian looks like: everything that stays the same from image to image."""

import functools
from dataclasses import dataclass

import numpy as np

from reid_hash.data.walkers.palette import (
    GARMENTS,
    HAIR,
    HAIR_OFTEN,
    SKIN,
    SKIN_OFTEN,
    TROUSERS,
    Colour,
    Palette,
    colour,
    index,
    jitter,
    linear,
    one,
)


@dataclass(frozen=True)
class Cloth:
    """A fabric.

    Attributes:
        colour: its ground.
        second: colour of the pattern.
        pattern: "plain", "stripes" (around the body), "pinstripes" (along it), "checks", "dots".
        pitch: period of the pattern in metres.
    """

    colour: Colour
    second: Colour
    pattern: str = "plain"
    pitch: float = 0.1


@dataclass(frozen=True)
class Logo:
    """A print on the top.

    Attributes:
        back: whether it is on the back, not on the chest.
        shape: "disc", "bar" or "ring".
        size: radius in metres.
        side: metres to the wearer's left of the middle.
        colour: of the print.
    """

    back: bool
    shape: str
    size: float
    side: float
    colour: Colour


@dataclass(frozen=True)
class Bag:
    """What is carried.

    Attributes:
        kind: "none", "backpack", "messenger" (strap across the body), "handbag".
        side: +1 on the wearer's left, -1 on the right.
        colour: of the bag.
        second: of its pocket and straps.
        size: 1 is usual.
    """

    kind: str
    side: int
    colour: Colour
    second: Colour
    size: float


@dataclass(frozen=True)
class Person:
    """A pedestrian's body and clothes. Lengths are in metres, shares in [0, 1].

    Attributes:
        height: from the ground to the top of the head.
        build: -1 slim to 1 heavy.
        shoulders: factor on the shoulders' width.
        legs: the hip joint's height as a share of `height`.
        skin: colour.
        hair: colour.
        hair_style: "bald", "short", "bob", "long", "ponytail", "bun".
        hat: "none", "cap", "beanie", "hood".
        hat_colour: of the hat; a hood has its jacket's colour.
        beard: whether the chin has hair.
        top: the shirt.
        sleeve: sleeve's share of the arm's length; 0 none, 1 down to the wrist.
        logo: print on the top, or None.
        coat: jacket or coat over the shirt, or None.
        opening: half the angle by which the coat is open in front, radians; 0 is closed.
        hem: how far the outermost top reaches below the hip joint.
        bottom: "trousers", "shorts", "skirt" or "dress"; a dress is made of the top's cloth.
        bottom_cloth: cloth of the trousers or skirt.
        bottom_length: share of the leg that it covers.
        fit: trouser leg's extra radius.
        side_stripe: whether the trousers have a stripe along the outside.
        shoes: colour.
        sole: colour.
        boot: share of the shank that the shoe covers.
        scarf: colour, or None.
        bag: what is carried.
        stride: factor on the length of a step.
    """

    height: float
    build: float
    shoulders: float
    legs: float
    skin: Colour
    hair: Colour
    hair_style: str
    hat: str
    hat_colour: Colour
    beard: bool
    top: Cloth
    sleeve: float
    logo: Logo | None
    coat: Cloth | None
    opening: float
    hem: float
    bottom: str
    bottom_cloth: Cloth
    bottom_length: float
    fit: float
    side_stripe: bool
    shoes: Colour
    sole: Colour
    boot: float
    scarf: Colour | None
    bag: Bag
    stride: float


@functools.lru_cache(maxsize=1024)  # the images of a person are mostly drawn one after another
def person(seed: int, identity: int) -> Person:
    """Draw the looks of one identity.

    Args:
        seed: of the whole data set, ≥ 0.
        identity: number of the person, ≥ 0.

    Returns:
        The same person for the same numbers.

    Example:
        >>> person(0, 7) == person(0, 7), person(0, 7) == person(0, 8)
        (True, False)
    """
    rng = np.random.default_rng(np.random.SeedSequence((seed, identity, 1)))
    feminine = rng.random() < 0.5
    top, bottom_cloth = _cloth(rng, GARMENTS, 0.42), _cloth(rng, TROUSERS, 0.08)
    coat = _cloth(rng, GARMENTS, 0.12) if rng.random() < 0.42 else None
    kind = one(
        rng,
        ("trousers", "shorts", "skirt", "dress"),
        (0.62, 0.1, 0.15, 0.13) if feminine else (0.82, 0.18, 0.0, 0.0),
    )
    length = {
        "trousers": 1.0 if rng.random() < 0.85 else rng.uniform(0.78, 0.9),
        "shorts": rng.uniform(0.3, 0.55),
        "skirt": rng.uniform(0.36, 0.75),
        "dress": rng.uniform(0.36, 0.72),
    }[kind]
    styles = ("bald", "short", "bob", "long", "ponytail", "bun")
    style = one(
        rng, styles, (0, 0.12, 0.24, 0.32, 0.2, 0.12) if feminine else (0.14, 0.86, *[0] * 4)
    )
    hats = ("none", "cap", "beanie", "hood")
    hat = one(rng, hats, (0.8, 0.09, 0.08, 0.03 if coat else 0.0))
    long_coat = coat is not None and rng.random() < 0.35
    return Person(
        height=float(rng.normal(1.66 if feminine else 1.77, 0.06)),
        build=float(np.clip(rng.normal(0, 0.5), -1, 1)),
        shoulders=float(rng.normal(0.95 if feminine else 1.06, 0.04)),
        legs=float(np.clip(rng.normal(0.515, 0.016), 0.475, 0.55)),
        skin=jitter(rng, SKIN[index(rng, SKIN_OFTEN)], 8),
        hair=jitter(rng, HAIR[index(rng, HAIR_OFTEN)], 8),
        hair_style=style,
        hat=hat,
        hat_colour=colour(rng, GARMENTS),
        beard=not feminine and rng.random() < 0.28,
        top=top,
        sleeve=1.0 if coat or rng.random() < 0.4 else float(rng.uniform(0.2, 0.34)),
        logo=_logo(rng) if rng.random() < 0.34 else None,
        coat=coat,
        opening=float(rng.uniform(0.22, 0.6)) if rng.random() < 0.62 else 0.0,
        hem=float(rng.uniform(0.22, 0.48) if long_coat else rng.uniform(0.02, 0.12)),
        bottom=kind,
        bottom_cloth=bottom_cloth,
        bottom_length=float(length),
        fit=float(rng.uniform(0.0, 0.022)),
        side_stripe=kind != "skirt" and rng.random() < 0.09,
        shoes=colour(rng, GARMENTS),
        sole=linear((225, 225, 220)) if rng.random() < 0.5 else linear((50, 46, 44)),
        boot=float(rng.uniform(0.3, 0.75)) if feminine and rng.random() < 0.25 else 0.0,
        scarf=colour(rng, GARMENTS) if rng.random() < 0.12 else None,
        bag=_bag(rng, feminine),
        stride=float(rng.uniform(0.85, 1.12)),
    )


def _bag(rng: np.random.Generator, feminine: bool) -> Bag:
    kinds = ("none", "backpack", "messenger", "handbag")
    often = (0.42, 0.2, 0.16, 0.22) if feminine else (0.5, 0.28, 0.18, 0.04)
    return Bag(
        kind=one(rng, kinds, often),
        side=1 if rng.random() < 0.5 else -1,
        colour=colour(rng, GARMENTS),
        second=colour(rng, GARMENTS),
        size=float(rng.uniform(0.8, 1.15)),
    )


def _logo(rng: np.random.Generator) -> Logo:
    return Logo(
        back=rng.random() < 0.35,
        shape=one(rng, ("disc", "bar", "ring"), (0.4, 0.35, 0.25)),
        size=float(rng.uniform(0.05, 0.1)),
        side=float(rng.choice([0.0, 0.0, 0.06])),
        colour=colour(rng, GARMENTS),
    )


def _cloth(
    rng: np.random.Generator,
    palette: Palette,
    patterned: float,
) -> Cloth:
    """A cloth of the palette, with a pattern in a share `patterned` of all cases."""
    ground, second = colour(rng, palette), colour(rng, GARMENTS)
    if max(abs(np.sqrt(ground) - np.sqrt(second))) < 0.2:  # a pattern that nobody could see
        second = linear((226, 226, 222)) if sum(ground) < 0.9 else linear((52, 58, 84))
    kinds = ("stripes", "pinstripes", "checks", "dots")
    pattern = one(rng, kinds, (0.42, 0.18, 0.22, 0.18)) if rng.random() < patterned else "plain"
    return Cloth(ground, second, pattern, float(rng.uniform(0.065, 0.15)))
