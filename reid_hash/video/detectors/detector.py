"""What every detector offers, and what several of them need."""

from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from reid_hash.video.types import Boxes, Detections, Picture

SURE = 0.5
"""Detections of at least this score start a track; those below only carry one on (ByteTrack)."""

LEAST = 0.1
"""Detections below this score are dropped."""


class Detector(Protocol):
    """Finds people in the frames of one camera.

    Attributes:
        shapes: whether it finds shapes that several people may share, not single people.
    """

    shapes: bool

    def detect(self, picture: Picture) -> Detections:
        """People in a frame [height, width, 3] uint8 BGR, boxes within it, in no order."""
        ...

    def another(self) -> "Detector":
        """A detector for another camera; what is heavy is shared."""
        ...


def suppress(
    boxes: Boxes, scores: NDArray[np.float32], shape: tuple[int, ...], overlap: float = 0.6
) -> Detections:
    """Cut boxes to the frame, and keep the surest of those that lie on each other.

    Args:
        boxes: [n, 4] left, top, right, bottom.
        scores: [n].
        shape: of the frame, height first.
        overlap: IoU above which two boxes are of one person.
    """
    height, width = shape[:2]
    boxes = np.clip(boxes, 0, np.array([width, height] * 2, np.float32)).astype(np.float32)
    sides = boxes[:, 2:] - boxes[:, :2]
    there = (sides >= 2).all(axis=1) & (scores >= LEAST)
    boxes, sides, scores = boxes[there], sides[there], scores[there]
    if not len(boxes):
        return Detections.none()
    rectangles = np.concatenate([boxes[:, :2], sides], axis=1).tolist()
    kept = np.array(cv2.dnn.NMSBoxes(rectangles, scores.tolist(), LEAST, overlap), np.int64)
    return Detections(boxes[kept.reshape(-1)], scores[kept.reshape(-1)].astype(np.float32))
