"""Frames with the people in them marked: one colour an identity, the same for ever."""

import colorsys
from collections.abc import Callable

import cv2
import numpy as np

from reid_hash.video.draw import text
from reid_hash.video.draw.blur import Blur, blur_boxes
from reid_hash.video.draw.text import Colour
from reid_hash.video.types import BgrFrame, Scene

UNKNOWN: Colour = (170, 170, 170)
ALARM: Colour = (40, 40, 235)
INK: Colour = (235, 235, 235)
QUIET: Colour = (160, 160, 160)
GROUND: Colour = (34, 30, 28)

_GOLDEN = 0.618033988749895  # steps of it around the circle of hues keep neighbours far apart


def identity_colour(identity: int | None) -> Colour:
    """The colour of an identity, from its number alone: the same in every run.

    Example:
        >>> identity_colour(3) == identity_colour(3) != identity_colour(4)
        True
    """
    if identity is None:
        return UNKNOWN
    # three shades, so that hues that come near each other again differ otherwise
    strength, light = ((0.72, 0.97), (0.50, 1.0), (0.95, 0.80))[identity % 3]
    red, green, blue = colorsys.hsv_to_rgb(identity * _GOLDEN % 1.0, strength, light)
    return round(255 * blue), round(255 * green), round(255 * red)


def ink_on(colour: Colour) -> Colour:
    """Black or white, whichever is read more easily on a colour."""
    blue, green, red = colour
    return (20, 20, 20) if 0.11 * blue + 0.59 * green + 0.30 * red > 128 else (255, 255, 255)


def draw_scene(
    scene: Scene, size: tuple[int, int], label: Callable[[int], str], blur: Blur | None = None
) -> BgrFrame:
    """A frame at another size with a box and a label for each person.

    Args:
        scene: frame and people; stays as it is.
        size: width and height of the result, in pixels.
        label: what an identity is called.
        blur: what of the people is made unrecognisable; None for nothing.

    Returns:
        [height, width, 3] uint8 BGR.
    """
    picture = scene.frame.picture
    width, height = size
    scale = np.array([width / picture.shape[1], height / picture.shape[0]] * 2, np.float32)
    shrinks = scale[0] < 1
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    canvas: BgrFrame = np.array(cv2.resize(picture, size, interpolation=how), np.uint8)
    if blur is not None:
        blur_boxes(canvas, scene.boxes * scale, blur)
    # whoever stands nearer is drawn later, and not hidden
    for i in np.argsort(scene.boxes[:, 3]) if len(scene.boxes) else ():
        track = scene.people[int(i)]
        left, top, right, bottom = (int(v) for v in np.round(scene.boxes[i] * scale))
        colour = identity_colour(track.identity)
        line = cv2.LINE_AA
        cv2.rectangle(canvas, (left, top), (right, bottom), (20, 20, 20), 4, line)
        cv2.rectangle(canvas, (left, top), (right, bottom), colour, 2, line)
        if track.watched:
            cv2.rectangle(canvas, (left - 5, top - 5), (right + 5, bottom + 5), ALARM, 3, line)
        name = "…" if track.identity is None else label(track.identity)
        tag(canvas, name, left - 1, top, colour)
        if track.watched:
            tag(canvas, f"watch: {track.watched}", left - 6, bottom + 24, ALARM)
    return canvas


def tag(canvas: BgrFrame, name: str, left: int, bottom: int, colour: Colour) -> None:
    """A filled label with its lower left corner at a place, moved into the picture."""
    size = 14
    wide, high = text.width(name, size, bold=True) + 8, size + 7
    left = min(max(left, 0), max(canvas.shape[1] - wide, 0))
    top = min(max(bottom - high, 0), max(len(canvas) - high, 0))
    canvas[top : top + high, left : left + wide] = colour
    text.put(canvas, name, left + 4, top + 1, ink_on(colour), size, bold=True)
