"""Training on top of somebody's ONNX file: its floats of the training images, made once."""

import os
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console

from reid_hash.config.schema import Config
from reid_hash.data.images import Pixels
from reid_hash.errors import CheckpointError, ConfigError
from reid_hash.models.frozen import read_frozen
from reid_hash.nn.frozen import PREFIX, FrozenNetwork
from reid_hash.utils.files import replacing
from reid_hash.utils.onnx_file import read_onnx
from reid_hash.utils.progress import counting

FEATURES_FILE = "features.npz"
"""The floats in the folder of a run."""

_OF_IMAGES = ("pretrained", "stripes", "output_stride", "standardise", "freeze")


def is_frozen(config: Config) -> bool:
    """Whether the backbone is an ONNX file."""
    return config.model.backbone.startswith(PREFIX)


def settle_frozen(config: Config) -> Config:
    """The configuration with what follows from the ONNX file; unchanged where there is none.

    Images have the size that the network takes. As its floats are made once, of the images as they
    are, nothing in `augment` applies, and mirror images are not averaged.

    Raises:
        CheckpointError: the file is missing, damaged or no network of pictures.
        ConfigError: a setting is for networks that torch runs.
    """
    if not is_frozen(config):
        if config.model.preset is not None:
            raise ConfigError("model.preset is for model.backbone=onnx:FILE; set it to null")
        return config
    model = config.model
    wrong = [key for key in _OF_IMAGES if getattr(model, key)]
    if wrong:
        raise ConfigError(f"model.{wrong[0]} is not for {model.backbone}: leave it out")
    if config.loss.teacher is not None:
        raise ConfigError("loss.teacher is for networks that are trained; leave it out")
    if config.loss.regulariser and config.loss.similarity == "appearance":
        raise ConfigError("loss.similarity=appearance is of images: set it to labels")
    file = os.path.abspath(model.backbone.removeprefix(PREFIX))
    network = read_frozen(file, model.preset)
    changed = {"backbone": PREFIX + file, "flip_average": False, "soft_stripes": False}
    height, width = network.size
    data = config.data.model_copy(update={"height": height, "width": width})
    return config.model_copy(update={"model": model.model_copy(update=changed), "data": data})


def growing_of(config: Config) -> Literal["cubic", "linear"]:
    """How images are scaled that are smaller than the input; see `data.images.resize`."""
    if not is_frozen(config):
        return "cubic"
    file = config.model.backbone.removeprefix(PREFIX)
    return read_frozen(file, config.model.preset).inputs.growing


def frozen_backbone(config: Config, features: int) -> FrozenNetwork:
    """The backbone of a new network, with the content of the file."""
    content = read_onnx(config.model.backbone.removeprefix(PREFIX))
    return FrozenNetwork(torch.frombuffer(bytearray(content), dtype=torch.uint8), features)


def vectors_of(
    config: Config, pixels: Pixels, checksum: int, folder: Path, console: Console | None = None
) -> Pixels:
    """The training images with the network's floats in place of pixels: made once and kept.

    Args:
        config: of the run; see `settle_frozen`.
        pixels: the training images, of the size that the network takes.
        checksum: of the training images; those that were kept for others are made anew.
        folder: of the run.
        console: where the progress bar is drawn; silent where it is None.

    Raises:
        CheckpointError: the file is missing, damaged, or gives numbers that are not finite.
    """
    network = read_frozen(config.model.backbone.removeprefix(PREFIX), config.model.preset)
    if pixels.images.shape[1:3] != network.size:
        raise ConfigError(f"{network.name} takes images of {network.size[0]}×{network.size[1]}")
    kept = folder / FEATURES_FILE
    key = f"{network.fingerprint} {checksum}"
    found = _kept(kept, key)
    if found is None:
        with counting(console, "features", len(pixels)) as advance:
            found = network.floats(pixels.images, advance)
        if not np.isfinite(found).all():
            raise CheckpointError(f"{network.name} gives NaN or infinity; take another network")
        with replacing(kept) as temporary, temporary.open("wb") as file:
            np.savez(file, embeddings=found, key=np.str_(key))
    return Pixels(found, pixels.labels, pixels.cameras, pixels.names)  # type: ignore[arg-type]


def named_alone(config: Config) -> Config:
    """The configuration for a checkpoint, which holds the file: without the place where it was."""
    if not is_frozen(config):
        return config
    name = PREFIX + Path(config.model.backbone.removeprefix(PREFIX)).name
    return config.model_copy(update={"model": config.model.model_copy(update={"backbone": name})})


def _kept(file: Path, key: str) -> NDArray[np.float32] | None:
    """The floats [n, d] of an earlier part of the run, or None."""
    try:
        with np.load(file, allow_pickle=False) as arrays:
            found = arrays["embeddings"] if str(arrays["key"]) == key else None
    except (OSError, ValueError, EOFError, KeyError):  # of a run that was killed, or none
        return None
    except Exception:  # zipfile and zlib have their own for damaged files
        return None
    return found
