"""What every detector offers, what several of them need, and the one that a name or file means."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from reid_hash.errors import ConfigError, DataError
from reid_hash.video.types import BgrFrame, Boxes, Detections

NAMES = ("auto", "torchvision", "hog", "motion")
"""What --detector takes besides files and PACKAGE:MODEL."""

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

    def detect(self, picture: BgrFrame) -> Detections:
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


def open_detector(
    name: str, device: str = "cpu", threads: int | None = None, say: Callable[[str], object] = print
) -> Detector:
    """Open a detector by its name, an ONNX file in YOLOX form, or detections that were made before.

    Args:
        name: one of `NAMES`, "torchvision:MODEL", "ultralytics:FILE", "rfdetr:SIZE", or a file:
            .onnx, or .txt of a MOT challenge; several of the latter separated by commas.
        device: where a network of torchvision computes.
        threads: of an ONNX network; all cores when left out.
        say: told in a line which detector it is, and for "auto" why.

    Raises:
        ConfigError: there is no detector of that name.
        DataError: the file cannot be used, or weights are not to be had.
    """
    if name == "auto":
        return _auto(device, say)
    if name == "hog":
        from reid_hash.video.detectors.classical import Hog

        say("detector: hog, OpenCV's; upright people some 60 pixels high or more")
        return Hog()
    if name == "motion":
        from reid_hash.video.detectors.classical import Motion

        say("detector: motion; whatever moves before a fixed camera and has a person's shape")
        return Motion()
    if name.split(":")[0] == "torchvision":
        from reid_hash.video.detectors.coco import USUAL, Coco

        model = name.partition(":")[2] or USUAL
        detector = Coco(model, device)
        say(f"detector: {model} of torchvision, trained on COCO")
        return detector
    package, _, of = name.partition(":")
    if package in ("ultralytics", "rfdetr") and of:
        from reid_hash.video.detectors.foreign import open_foreign

        other = open_foreign(package, of, device)
        say(f"detector: {of} of {package}, class of people as in COCO")
        return other
    if Path(name).suffix.lower() == ".txt":
        from reid_hash.video.detectors.foreign import open_given

        given = open_given(name)
        say(f"detector: what {name} gives, in the format of the MOT challenges")
        return given
    if Path(name).suffix.lower() != ".onnx" and not Path(name).is_file():
        raise ConfigError(
            f"there is no detector {name}; choose {', '.join(NAMES)}, torchvision:MODEL, "
            "ultralytics:FILE, rfdetr:SIZE, an ONNX file in YOLOX form, or a .txt of a MOT "
            "challenge"
        )
    from reid_hash.video.detectors.yolox import Yolox

    found = Yolox(Path(name), threads)
    say(f"detector: {Path(name).name} in YOLOX form, run by {found.engine}")
    return found


def _auto(device: str, say: Callable[[str], object]) -> Detector:
    from reid_hash.video.detectors.coco import USUAL, Coco, cached_file

    there = cached_file().is_file()
    if not there:
        say(f"detector: auto looks for the weights of torchvision's {USUAL} …")
    try:
        detector = Coco(USUAL, device)
    except DataError:
        from reid_hash.video.detectors.classical import Hog

        say(
            "detector: auto chose hog, OpenCV's, because torchvision's weights are neither on this "
            f"machine ({cached_file()}) nor to be downloaded; a file in YOLOX form (--detector "
            "FILE.onnx) finds more, and for a fixed camera --detector motion is quicker"
        )
        return Hog()
    why = "are on this machine" if there else "could be downloaded"
    say(f"detector: auto chose {USUAL} of torchvision, because its weights {why}")
    return detector
