"""Colours that people are drawn with, and how often each is worn."""

import numpy as np

Colour = tuple[float, float, float]
"""Linear reflectance in [0, 1], RGB."""

Palette = dict[str, tuple[float, tuple[int, int, int]]]
"""For each name how often it is worn, and the colour, sRGB in [0, 255]."""

# Most people wear dark, grey, or blue: many identities share a colour, and details decide.
# name: (how often, sRGB)
GARMENTS: Palette = {
    "black": (15, (38, 38, 42)),
    "charcoal": (10, (72, 74, 80)),
    "grey": (9, (132, 134, 138)),
    "silver": (4, (182, 184, 186)),
    "white": (10, (232, 231, 226)),
    "navy": (12, (40, 50, 92)),
    "blue": (6, (58, 98, 170)),
    "sky": (3, (140, 178, 216)),
    "beige": (5, (196, 174, 138)),
    "brown": (5, (108, 76, 52)),
    "olive": (5, (98, 104, 62)),
    "green": (2, (52, 128, 86)),
    "teal": (2, (44, 122, 132)),
    "burgundy": (3, (122, 36, 54)),
    "red": (4, (196, 52, 50)),
    "orange": (1, (222, 124, 52)),
    "mustard": (2, (208, 162, 54)),
    "pink": (2, (222, 150, 166)),
    "purple": (1, (112, 78, 142)),
}
TROUSERS: Palette = {
    "black": (16, (40, 40, 44)),
    "charcoal": (9, (74, 76, 82)),
    "denim": (16, (58, 80, 124)),
    "dark denim": (11, (44, 54, 84)),
    "light denim": (7, (122, 150, 188)),
    "grey": (6, (128, 130, 134)),
    "khaki": (7, (172, 150, 112)),
    "brown": (3, (104, 78, 58)),
    "olive": (4, (96, 100, 66)),
    "white": (2, (226, 224, 218)),
    "burgundy": (1, (118, 42, 56)),
}
SKIN = ((246, 210, 182), (232, 188, 152), (206, 156, 116), (168, 116, 80), (122, 82, 56))
HAIR = ((30, 26, 26), (46, 36, 32), (82, 56, 40), (126, 88, 56), (202, 166, 106), (160, 158, 158))
HAIR_OFTEN = (0.30, 0.22, 0.20, 0.12, 0.09, 0.07)
SKIN_OFTEN = (0.28, 0.28, 0.2, 0.14, 0.1)


def linear(rgb: tuple[float, float, float]) -> Colour:
    """From sRGB in [0, 255] to linear reflectance, with gamma 2, whose inverse is a square root."""
    r, g, b = (min(max(channel / 255, 0.0), 1.0) ** 2 for channel in rgb)
    return r, g, b


def shade(colour: Colour, red: float, green: float, blue: float) -> Colour:
    """The colour with each channel multiplied by a factor."""
    return colour[0] * red, colour[1] * green, colour[2] * blue


def colour(rng: np.random.Generator, palette: Palette) -> Colour:
    """A colour of the palette, a little changed, as no two dyes are the same."""
    often, colours = zip(*palette.values(), strict=True)
    return jitter(rng, colours[index(rng, often)], 7)


def jitter(rng: np.random.Generator, rgb: tuple[int, int, int], spread: float) -> Colour:
    """A colour near this one, mostly lighter or darker, by `spread` levels of 255."""
    r, g, b = np.array(rgb) + rng.normal(0, spread) + rng.normal(0, spread / 3, 3)
    return linear((float(r), float(g), float(b)))


def index(rng: np.random.Generator, often: tuple[float, ...]) -> int:
    """A number below len(often); k is drawn in proportion to often[k]."""
    return int(np.searchsorted(np.cumsum(often), rng.random() * sum(often), side="right"))


def one(rng: np.random.Generator, options: tuple[str, ...], often: tuple[float, ...]) -> str:
    """One of the options, each in proportion to how often it occurs."""
    return options[index(rng, often)]
