"""Detectors that come with torchvision, trained on COCO."""

import pickle  # nosec B403  # an exception alone
import socket
import urllib.error
from pathlib import Path
from typing import Any

import torch
from torchvision.models import get_model, get_model_weights
from torchvision.models.detection import __name__ as _detection

from reid_hash.errors import DataError
from reid_hash.video.detectors.detector import suppress
from reid_hash.video.types import BgrFrame, Detections

USUAL = "fasterrcnn_mobilenet_v3_large_320_fpn"
"""The quickest of torchvision's that finds people well: some 10 frames a second on two cores."""

_PERSON = 1  # of torchvision's COCO classes; 0 is the background
_PATIENCE = 10.0  # seconds without an answer after which a download is given up


class Coco:
    """A detection model of torchvision by its name there; class 1 is person.

    Args:
        name: such as "fasterrcnn_resnet50_fpn_v2" or "retinanet_resnet50_fpn".
        device: where to compute.

    Raises:
        DataError: there is no such model, or its weights are neither here nor to be had.
    """

    shapes = False

    def __init__(self, name: str = USUAL, device: torch.device | str = "cpu") -> None:
        try:
            weights = get_model_weights(name).DEFAULT
        except ValueError as error:
            raise DataError(f"torchvision has no model {name}") from error
        if not weights.__class__.__module__.startswith(_detection):
            raise DataError(f"{name} of torchvision detects nothing; see {_detection}")
        before = socket.getdefaulttimeout()
        socket.setdefaulttimeout(_PATIENCE)
        try:
            net = get_model(name, weights=weights, progress=False)
        except (urllib.error.URLError, OSError) as error:
            place = cached_file(name)
            raise DataError(
                f"the weights of torchvision's {name} cannot be downloaded "
                f"({getattr(error, 'reason', error)}); put {place.name} into {place.parent}, or "
                "choose another --detector"
            ) from error
        except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
            raise DataError(
                f"{cached_file(name)} is damaged, or of another model; delete it"
            ) from error
        finally:
            socket.setdefaulttimeout(before)
        self._name, self._device = name, torch.device(device)
        self._net: Any = net.eval().to(self._device)

    def __repr__(self) -> str:
        return f"Coco({self._name})"

    def another(self) -> "Coco":
        """See `Detector`: it keeps nothing between frames."""
        return self

    def detect(self, picture: BgrFrame) -> Detections:
        """See `Detector`."""
        rgb = torch.from_numpy(picture[:, :, ::-1].copy()).to(self._device)
        with torch.inference_mode():
            (found,) = self._net([rgb.permute(2, 0, 1).float() / 255])
        person = found["labels"] == _PERSON
        boxes, scores = found["boxes"][person].cpu(), found["scores"][person].cpu()
        return suppress(boxes.numpy(), scores.numpy(), picture.shape)


def cached_file(name: str = USUAL) -> Path:
    """Where the weights of a model are kept once they were downloaded."""
    url = str(get_model_weights(name).DEFAULT.url)
    return Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[-1]
