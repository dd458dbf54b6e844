"""People made unrecognisable in pictures: as a whole, or their heads.

A part is averaged down to a few coarse blocks, so that what was there cannot be computed from what
is left, as it could from a picture that is merely out of focus.
"""

from typing import Literal

import cv2
import numpy as np

from reid_hash.video.types import BgrFrame, Boxes

Blur = Literal["people", "heads"]
"""What is made unrecognisable: whole boxes of people, or the upper parts of them."""

_HEAD = 0.28  # share of a box, from its top: a head is an eighth of a person who stands
_MARGIN = 0.1  # of a box that is blurred around it: detectors cut off hair and elbows
_BLOCKS = {"people": (10, 5), "heads": (3, 3)}  # rows and columns that are left


def blur_boxes(picture: BgrFrame, boxes: Boxes, what: Blur) -> None:
    """Blur people in a picture, in place.

    Args:
        picture: [height, width, 3] uint8 BGR.
        boxes: [n, 4] of people: left, top, right, bottom, in pixels; parts outside are ignored.
        what: people, or heads.
    """
    height, width = picture.shape[:2]
    for left, top, right, bottom in boxes.astype(float):
        wide, high = _MARGIN * (right - left), _MARGIN * (bottom - top)
        end = top + _HEAD * (bottom - top) if what == "heads" else bottom + high
        x0, x1 = np.clip([np.floor(left - wide), np.ceil(right + wide)], 0, width).astype(int)
        y0, y1 = np.clip([np.floor(top - high), np.ceil(end)], 0, height).astype(int)
        part = picture[y0:y1, x0:x1]
        if part.size == 0:
            continue
        rows, columns = (min(n, m) for n, m in zip(_BLOCKS[what], part.shape, strict=False))
        few = cv2.resize(part, (columns, rows), interpolation=cv2.INTER_AREA)
        part[:] = cv2.resize(few, (x1 - x0, y1 - y0), interpolation=cv2.INTER_NEAREST)


def blurred_crop(crop: BgrFrame, what: Blur) -> BgrFrame:
    """A copy of the crop of one person, blurred; see `blur_boxes`."""
    picture = crop.copy()
    height, width = picture.shape[:2]
    blur_boxes(picture, np.array([[0, 0, width, height]], np.float32), what)
    return picture
