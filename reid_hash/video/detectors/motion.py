"""What moves before a camera that does not: background subtraction (Zivkovic 2004)."""

import cv2
import numpy as np
from cv2.typing import MatLike

from reid_hash.video.detectors.detector import suppress
from reid_hash.video.types import Detections, Picture

_LEAST_ROWS = 0.06  # height of a person at least, as a share of the frame's
_SCALE_ROWS = 360  # frames are scaled down to about this height: outlines need no more
_SHADOW = 127  # how the background model marks a shadow
_FAINT = 0.7  # what is darkened more than that is no shadow: dark clothes on the same ground


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

    def another(self) -> "Motion":
        """See `Detector`: another camera has another background."""
        return Motion()

    def detect(self, picture: Picture) -> Detections:
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
