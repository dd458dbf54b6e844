"""OpenCV's people detector, histograms of gradients (Dalal and Triggs 2005): no download."""

import cv2
import numpy as np

from reid_hash.video.detectors.detector import suppress
from reid_hash.video.types import Detections, Picture

_ROWS = 864  # frames are enlarged to about this height: people must be some 100 pixels high
_MOST = 2.0  # enlarged at most so much
_WINDOW = (64, 128)
# what of the window a person fills, as shares of its sides: left, top, right, bottom
_PERSON = np.array([0.19, 0.10, 0.81, 0.85], np.float32)


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

    def another(self) -> "Hog":
        """See `Detector`: it keeps nothing between frames."""
        return self

    def detect(self, picture: Picture) -> Detections:
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
