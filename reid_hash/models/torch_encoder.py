"""Checkpoint and images → codes, with torch."""

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from reid_hash.config.schema import Config
from reid_hash.errors import ConfigError
from reid_hash.models.encoder import Encoder, fitting_batch
from reid_hash.models.frozen import frozen_floats, opened_frozen
from reid_hash.nn.checkpoint import Checkpoint, load_checkpoint
from reid_hash.nn.folding import fold_batch_norm
from reid_hash.nn.frozen import FrozenNetwork
from reid_hash.nn.hashnet import HashNet
from reid_hash.utils.memory import keep_freed_memory

_BATCH = {"cpu": 32}  # images at a time: more of them leave a processor's caches
_OF_OTHERS = 256

_FEW = 3  # images up to which one run over these and their mirror images is faster than two


def network_outputs(
    net: HashNet,
    images: NDArray[Any],
    device: torch.device | str = "cpu",
    batch: int | None = None,
    flip: bool = True,
    progress: Callable[[int], object] | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Run a network over decoded images, in evaluation mode; its mode is put back.

    Args:
        net: the network.
        images: [n, height, width, 3] uint8 RGB of the network's input size; or [n, features]
            float32 for a network whose backbone is an ONNX file (`models.frozen`).
        device: where to compute.
        batch: images at a time; None: what suits the device.
        flip: average the outputs with those of the mirror image.
        progress: called with the number of images of each batch.

    Returns:
        (outputs [n, bits], embedding [n, features]), float32.
    """
    was_training = net.training
    if was_training or not _is_on(net, torch.device(device)):  # takes as long as a layer
        net.eval().to(device)
    if isinstance(net.backbone, FrozenNetwork):
        vectors = images if images.ndim == 2 else frozen_floats(net, images, str(device), progress)
        with torch.inference_mode():
            _, neck, out = net(torch.from_numpy(vectors).to(device))
        if was_training:
            net.train()
        return out.float().cpu().numpy(), neck.float().cpu().numpy()
    if batch is None:
        batch = _BATCH.get(net.mean.device.type, _OF_OTHERS)
        batch = fitting_batch(batch, images.shape[1:3])
    if len(images) > batch and net.mean.device.type == "cpu":
        keep_freed_memory()  # for few images it gains nothing
    bits = net.config.model.bits
    outputs = np.empty((len(images), bits), np.float32)
    embedding = np.empty((len(images), int(net.backbone.features)), np.float32)  # type: ignore[arg-type]
    with torch.inference_mode():
        for start in range(0, len(images), batch):
            rows = slice(start, min(start + batch, len(images)))
            pixels = net.normalise(torch.from_numpy(np.ascontiguousarray(images[rows])).to(device))
            pixels = pixels.contiguous(memory_format=torch.channels_last)
            if flip and len(pixels) <= _FEW:
                both = net(torch.cat([pixels, pixels.flip(3)]))
                neck, out = (part.unflatten(0, (2, -1)).mean(0) for part in both[1:])
            else:
                _, neck, out = net(pixels)
                if flip:
                    _, other_neck, other_out = net(pixels.flip(3))
                    neck, out = (neck + other_neck) / 2, (out + other_out) / 2
            outputs[rows] = out.float().cpu().numpy()
            embedding[rows] = neck.float().cpu().numpy()
            if progress is not None:
                progress(rows.stop - rows.start)
    if was_training:
        net.train()
    return outputs, embedding


def _is_on(net: HashNet, device: torch.device) -> bool:
    there = net.mean.device
    return there.type == device.type and device.index in (None, there.index)


def pick_device(name: str = "auto") -> torch.device:
    """Choose a device: "auto" is cuda, else mps, else cpu; ConfigError where it is not there."""
    mps = torch.backends.mps.is_available()
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": mps}
    if name == "auto":
        name = next(device for device in ("cuda", "mps", "cpu") if there[device])
    usable = ", ".join(device for device, found in there.items() if found)
    if not there.get(name.split(":")[0], False):
        raise ConfigError(f"--device {name} is not there on this machine; there is: {usable}")
    try:
        return torch.device(name)
    except RuntimeError as error:  # cpu:x
        raise ConfigError(f"--device {name} is no device; there is: {usable}") from error


class TorchEncoder(Encoder):
    """Makes codes of images with a trained network.

    Args:
        checkpoint: the network and its bit weights.
        device: where to compute: "auto", "cpu", "cuda" or "mps".

    Example:
        encoder = TorchEncoder.load("runs/walkers/…/model.safetensors")
        codes = encoder.encode(["ada.jpg", "bob.jpg"])
        short = codes.prefix(64)
    """

    config: Config

    def __init__(self, checkpoint: Checkpoint, device: str = "auto") -> None:
        self.checkpoint = checkpoint
        self.device = pick_device(device)
        self.config = checkpoint.net.config
        self.fingerprint = checkpoint.fingerprint
        self.bit_weights = checkpoint.bit_weights
        checkpoint.net.eval().to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._folded = fold_batch_norm(checkpoint.net)
        if isinstance(checkpoint.net.backbone, FrozenNetwork):
            self.growing = opened_frozen(checkpoint.net, str(self.device)).inputs.growing

    @classmethod
    def load(cls, path: str | os.PathLike[str], device: str = "auto") -> "TorchEncoder":
        """Read a checkpoint; CheckpointError where it cannot be read."""
        return cls(load_checkpoint(path), device)

    def _outputs(
        self, images: NDArray[np.uint8], progress: Callable[[int], object] | None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        flip = self.config.model.flip_average
        return network_outputs(self._folded, images, self.device, flip=flip, progress=progress)
