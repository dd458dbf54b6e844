"""Detectors that need no network: OpenCV's people detector, and whatever moves.

`Hog` is histograms of gradients (Dalal and Triggs 2005); `Motion` is background subtraction
(Zivkovic 2004), before a camera that does not move.
"""

import cv2
import numpy as np
from cv2.typing import MatLike

from reid_hash.video.detectors.detector import suppress
from reid_hash.video.types import BgrFrame, Detections

_ROWS = 864  # frames are enlarged to about this height: people must be some 100 pixels high
_MOST = 2.0  # enlarged at most so much
_WINDOW = (64, 128)
# what of the window a person fills, as shares of its sides: left, top, right, bottom
_PERSON = np.array([0.19, 0.10, 0.81, 0.85], np.float32)

_LEAST_ROWS = 0.06  # height of a person at least, as a share of the frame's
_SCALE_ROWS = 360  # frames are scaled down to about this height: outlines need no more
_SHADOW = 127  # how the background model marks a shadow
_FAINT = 0.7  # what is darkened more than that is no shadow: dark clothes on the same ground


class Hog:
    """Finds upright people whole in view, some 100 pixels high or more once enlarged.

    Args:
        scale: enlargement of the frames; one that makes them about 864 rows high when left out.
    """

    shapes = False

    def __init__(self, scale: float | None = None) -> None:
        self._scale = scale
        self._hog = cv2.HOGDescriptor()
        self._hog.setSVMDetector(np.array(cv2.HOGDescriptor.getDefaultPeopleDetector()))

    def __repr__(self) -> str:
        return "Hog()"

    def another(self) -> "Hog":
        """See `Detector`: it keeps nothing between frames."""
        return self

    def detect(self, picture: BgrFrame) -> Detections:
        """See `Detector`."""
        height, width = picture.shape[:2]
        scale = self._scale or min(max(_ROWS / height, 1.0), _MOST)
        # smaller than the window it would find nothing, and say so with an exception
        size = (max(round(width * scale), _WINDOW[0]), max(round(height * scale), _WINDOW[1]))
        grown = cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR)
        windows, margins = self._hog.detectMultiScale(
            grown, winStride=(8, 8), padding=(16, 16), scale=1.05, groupThreshold=0
        )
        if not len(windows):
            return Detections.none()
        rectangles = np.asarray(windows, np.float32)
        sides = np.tile(rectangles[:, 2:], 2)
        boxes = np.tile(rectangles[:, :2], 2) + sides * _PERSON
        boxes /= np.array([size[0] / width, size[1] / height] * 2, np.float32)
        # a margin of 0.5 of the support vector machine is about as often right as wrong
        scores = 1 / (1 + np.exp(-4 * (np.asarray(margins, np.float32).reshape(-1) - 0.5)))
        return suppress(boxes, scores.astype(np.float32), picture.shape, overlap=0.3)


class Motion:
    """Takes each moving shape that may be a person for one; needs no network and little time.

    Two people who pass each other are one shape for that while. It learns the empty place from
    the first second on; somebody who stands still fades into it after about a minute.
    """

    shapes = True

    def __init__(self) -> None:
        self._model = cv2.createBackgroundSubtractorMOG2(
            history=600, varThreshold=25, detectShadows=True
        )
        self._model.setShadowThreshold(_FAINT)
        self._seen = 0

    def __repr__(self) -> str:
        return "Motion()"

    def another(self) -> "Motion":
        """See `Detector`: another camera has another background."""
        return Motion()

    def detect(self, picture: BgrFrame) -> Detections:
        """See `Detector`."""
        height, width = picture.shape[:2]
        scale = min(1.0, _SCALE_ROWS / height)
        size = (max(round(width * scale), 1), max(round(height * scale), 1))
        small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        moving = self._model.apply(small)
        self._seen += 1
        mask: MatLike = (moving > _SHADOW).astype(np.uint8)
        unit = max(1, round(size[1] / 120))
        opening = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (unit, unit))
        mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, opening)
        # gaps run across: a belt, or trousers of the ground's colour
        closing = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * unit + 1, 6 * unit + 1))
        mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, closing)
        count, _, shapes, _ = cv2.connectedComponentsWithStats(mask)
        if count < 2:
            return Detections.none()
        left, top, wide, high, area = shapes[1:].T.astype(np.float32)
        person = (high >= _LEAST_ROWS * size[1]) & (high >= 0.9 * wide) & (high <= 8 * wide)
        person &= area >= 0.3 * wide * high
        boxes = np.stack([left, top, left + wide, top + high], axis=1)[person]
        boxes /= np.array([size[0] / width, size[1] / height] * 2, np.float32)
        return suppress(boxes, np.full(len(boxes), 0.9, np.float32), picture.shape)
