"""Text on pictures in any Latin, Greek or Cyrillic script: OpenCV's own has ASCII alone."""

import functools
from pathlib import Path

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from reid_hash.video.types import BgrFrame

Colour = tuple[int, int, int]
"""Blue, green, red, each 0 … 255."""

_FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"  # DejaVu comes with it


def put(
    picture: BgrFrame,
    text: str,
    x: int,
    y: int,
    colour: Colour,
    size: int = 14,
    bold: bool = False,
) -> None:
    """Write a line of text into a picture, in place; what lies outside is cut off.

    Args:
        picture: [height, width, 3] uint8 BGR.
        text: what.
        x: left edge.
        y: upper edge of the line.
        colour: of the letters.
        size: in pixels.
        bold: in bold.
    """
    mask = _mask(text, size, bold)
    top, left = max(y, 0), max(x, 0)
    bottom, right = min(y + mask.shape[0], len(picture)), min(x + mask.shape[1], picture.shape[1])
    if bottom <= top or right <= left:
        return
    alpha = mask[top - y : bottom - y, left - x : right - x, None].astype(np.uint16)
    part = picture[top:bottom, left:right]
    part[:] = (part * (255 - alpha) + np.array(colour, np.uint16) * alpha + 127) // 255


def width(text: str, size: int = 14, bold: bool = False) -> int:
    """Width of a line in pixels."""
    return int(_mask(text, size, bold).shape[1])


def fit(text: str, room: int, size: int = 14, bold: bool = False) -> str:
    """A text, or as much of its beginning as fits into `room` pixels, with an ellipsis."""
    while len(text) > 1 and width(text, size, bold) > room:
        text = text[:-2].rstrip() + "…"
    return text


@functools.lru_cache(maxsize=2048)
def _mask(text: str, size: int, bold: bool) -> NDArray[np.uint8]:
    """[height, width] uint8, how much of each pixel the letters cover."""
    font = _font(size, bold)
    ascent, descent = font.getmetrics()
    image = Image.new("L", (max(1, int(np.ceil(font.getlength(text))) + 1), ascent + descent))
    ImageDraw.Draw(image).text((0, 0), text, fill=255, font=font)
    return np.asarray(image, np.uint8)


@functools.lru_cache(maxsize=16)
def _font(size: int, bold: bool) -> ImageFont.FreeTypeFont:
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(_FONTS / name), size)
