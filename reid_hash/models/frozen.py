"""Backbones that are somebody's ONNX file, in a trained network: images → their floats."""

import tempfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reid_hash.errors import CheckpointError
from reid_hash.models.foreign.network import FloatNetwork, Network
from reid_hash.models.foreign.onnx_network import OnnxNetwork
from reid_hash.nn.frozen import FrozenNetwork
from reid_hash.nn.hashnet import HashNet
from reid_hash.utils.onnx_file import read_onnx


def read_frozen(file: str, preset: str | None, device: str = "auto") -> FloatNetwork:
    """Open the ONNX file that a configuration names.

    Raises:
        CheckpointError: it is missing, damaged or no network of pictures.
        ConfigError: there is no such preset, or the file leaves something open.
    """
    return _opened(read_onnx(file), file, preset, device)


def frozen_floats(
    net: HashNet,
    images: NDArray[np.uint8],
    device: str = "auto",
    progress: Callable[[int], object] | None = None,
) -> NDArray[np.float32]:
    """What a network's frozen backbone gives, from the file that the network holds.

    Args:
        net: one with such a backbone.
        images: [n, height, width, 3] uint8 RGB of the network's input size.
        device: where to compute.
        progress: called with the number of images of each batch.

    Returns:
        [n, features] float32, for `network_outputs`.
    """
    network = opened_frozen(net, device)
    found = network.floats(images, progress)
    if not np.isfinite(found).all():
        raise CheckpointError(f"{network.name} gives NaN or infinity; take another network")
    return found


def opened_frozen(net: HashNet, device: str = "auto") -> FloatNetwork:
    """The frozen backbone of a network, ready to run; it is kept for the next time."""
    backbone = net.backbone
    assert isinstance(backbone, FrozenNetwork)
    content = backbone.content.numpy().tobytes()
    network = _opened(content, net.config.model.backbone, net.config.model.preset, device)
    if network.features != backbone.features:
        raise CheckpointError(
            f"the ONNX file within gives {network.features} floats, and {backbone.features} are "
            "taken: the checkpoint is damaged"
        )
    return network


@lru_cache(maxsize=2)
def _opened(content: bytes, name: str, preset: str | None, device: str) -> FloatNetwork:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "backbone.onnx"
        file.write_bytes(content)
        try:
            network = OnnxNetwork(Network(str(file), preset=preset), device)
        except CheckpointError as error:
            raise CheckpointError(str(error).replace(str(file), name)) from error
    network.name = name
    return network
