"""Detectors of other people's packages, and detections that were made before."""

from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from reid_hash.errors import ConfigError, DataError, one_line
from reid_hash.video.detectors.detector import LEAST, suppress
from reid_hash.video.mot import MotFile, read_mot
from reid_hash.video.types import BgrFrame, Detections

_PEOPLE = {"ultralytics": 0, "rfdetr": 1}
"""What each package numbers people by, in networks trained on COCO."""

_RFDETR = {
    "nano": "RFDETRNano",
    "small": "RFDETRSmall",
    "medium": "RFDETRMedium",
    "base": "RFDETRBase",
    "large": "RFDETRLarge",
}


class Predicting:
    """A detector that gives supervision's detections, as those of most packages can.

    Args:
        predict: picture [height, width, 3] uint8 BGR → `supervision.Detections`.
        people: number of the class of people; None where all are people.
    """

    shapes = False

    def __init__(self, predict: Callable[[BgrFrame], Any], people: int | None = None) -> None:
        self._predict, self._people = predict, people

    def detect(self, picture: BgrFrame) -> Detections:
        """See `Detector`."""
        found = Detections.from_supervision(self._predict(picture), self._people)
        return suppress(found.boxes, found.scores, picture.shape)

    def another(self) -> "Predicting":
        """See `Detector`: networks of other packages keep nothing of a camera."""
        return self


class Given:
    """Detections that are in a file of a MOT challenge, one file a camera.

    Args:
        files: of the cameras in order; the frames of each are asked for from the first on.
        camera: index of this one's.

    Raises:
        DataError: a file cannot be read.
    """

    shapes = False

    def __init__(self, files: Sequence[MotFile], camera: int = 0) -> None:
        if camera >= len(files):
            raise ConfigError(
                f"detections are given for {len(files)} sources, and there are more: name a file "
                "for each, separated by commas"
            )
        self._files, self._camera, self._frame = files, camera, 0
        self._given = camera

    def detect(self, picture: BgrFrame) -> Detections:
        """See `Detector`: what the file has of the next frame."""
        file = self._files[self._camera]
        rows = file.of(self._frame)
        self._frame += 1
        scores = file.scores[rows].astype(np.float32)
        scores = np.where(scores < 0, 1, np.clip(scores, LEAST, 1)).astype(np.float32)
        return suppress(file.boxes[rows], scores, picture.shape, overlap=1.0)

    def another(self) -> "Given":
        """See `Detector`: of the next camera."""
        self._given += 1
        return Given(self._files, self._given)


def open_given(names: str) -> Given:
    """Detections of files of MOT challenges, separated by commas.

    Raises:
        DataError: a file cannot be read.
    """
    return Given([read_mot(Path(name.strip())) for name in names.split(",")])


def open_foreign(package: str, model: str, device: str) -> Predicting:
    """A detector of a package that is installed.

    Args:
        package: "ultralytics" or "rfdetr".
        model: a file of weights, or of rfdetr a size such as "base".
        device: where it computes.

    Raises:
        ConfigError: the package is not installed.
        DataError: the model cannot be opened.
    """
    try:
        module = import_module(package)
    except ImportError as error:
        raise ConfigError(
            f"detector {package}:{model} needs the package {package}: pip install {package}"
        ) from error
    import supervision

    try:
        if package == "ultralytics":
            network = module.YOLO(model)

            def predict(picture: BgrFrame) -> Any:
                (result,) = network.predict(picture, conf=LEAST, device=device, verbose=False)
                return supervision.Detections.from_ultralytics(result)

        else:
            size = _RFDETR.get(model)
            given = {} if size else {"pretrain_weights": model}
            detr = getattr(module, size or _RFDETR["base"])(**given)

            def predict(picture: BgrFrame) -> Any:
                rgb = np.ascontiguousarray(picture[..., ::-1])
                return detr.predict(rgb, threshold=LEAST)

    except Exception as error:
        raise DataError(f"cannot open {model} with {package}: {one_line(error)}") from error
    return Predicting(predict, _PEOPLE[package])
