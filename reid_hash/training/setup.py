"""Decisions of a training run before its first step: targets, weights, precision."""

import copy
import os
import time
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from reid_hash.errors import ConfigError
from reid_hash.models.shipped import shipped_model
from reid_hash.models.torch_encoder import pick_device
from reid_hash.nn.backbones.airbench import WhitenedNet
from reid_hash.nn.backbones.build import TimmBackbone
from reid_hash.nn.backbones.osnet import OSNet
from reid_hash.nn.checkpoint import Checkpoint, load_checkpoint
from reid_hash.nn.frozen import FrozenNetwork
from reid_hash.nn.hashnet import HashNet

_OF_BITS = ("head.project.", "head.norm.", "weight.")
"""Tensors with one row per bit; a shorter code takes the first rows."""

_FORM = ("backbone", "stripes", "output_stride", "batch_norm", "weights")
"""Keys of the section model that, with `bits`, decide which tensors a network has."""


def training_targets(
    labels: NDArray[np.int64] | NDArray[np.bool_],
) -> tuple[int, torch.Tensor]:
    """Convert labels to the targets of the losses.

    Args:
        labels: [n] int64, or [n, classes] bool if an image may have several classes.

    Returns:
        (classes, targets): targets are [n] int64 in 0 … classes - 1, or [n, classes] float 0 and 1.
    """
    if labels.ndim == 2:
        return labels.shape[1], torch.from_numpy(labels.astype(np.float32))
    values, targets = np.unique(labels, return_inverse=True)
    return len(values), torch.from_numpy(targets)


def prepare_network(net: HashNet, images: NDArray[np.uint8]) -> None:
    """Initialise a new network before its first step, from a start or by normalisation.

    Args:
        net: network, changed in place; see `TrainConfig.start`.
        images: [n, height, width, 3] uint8 RGB, training images.

    Raises:
        CheckpointError, ConfigError: the start is missing, damaged or does not match.
    """
    start = net.config.train.start
    if start is None:
        set_normalisation(net, images)
        return
    shipped = shipped_model(start)
    start_from(net, load_checkpoint(start if shipped is None else shipped.file), start)


def start_from(net: HashNet, checkpoint: Checkpoint, name: str) -> None:
    """Copy weights and normalisation of a trained network, in place.

    A code with fewer bits starts from the first, most significant ones. Classifiers of the training
    start anew: they belong to other identities, and checkpoints do not contain them.

    Args:
        net: network with the same backbone; its code may be shorter.
        checkpoint: the trained network.
        name: name of the trained network, for messages.

    Raises:
        ConfigError: the networks do not match; the message says where they differ.
    """
    there, here = checkpoint.net.config.model, net.config.model
    if here.bits > there.bits:
        raise ConfigError(
            f"train.start: {name} has {there.bits} bits; set model.bits to no more, not {here.bits}"
        )
    tensors = {
        key: tensor[: here.bits]
        if key.startswith(_OF_BITS) and tensor.ndim and len(tensor) == there.bits
        else tensor
        for key, tensor in checkpoint.net.state_dict().items()
    }
    try:
        net.load_state_dict(tensors)
    except RuntimeError as error:
        differing = [
            f"model.{key} is {getattr(there, key)} there and {getattr(here, key)} here"
            for key in _FORM
            if getattr(there, key) != getattr(here, key)
        ]
        reason = "; ".join(differing) or "its input is of another size"
        raise ConfigError(
            f"train.start: {name} is another network: {reason}; `reid-hash train --from` without "
            "--config takes its own configuration"
        ) from error


def set_normalisation(net: HashNet, images: NDArray[np.uint8]) -> None:
    """Set the normalisation of a network from up to 1,000 training images, before training.

    Sets each channel's mean and deviation, and the whitening layer if there is one. Pretrained timm
    networks and OSNet keep the normalisation that their weights were trained with.
    """
    if isinstance(net.backbone, FrozenNetwork):
        return  # its inputs are floats, which batch norm normalises
    if isinstance(net.backbone, TimmBackbone | OSNet) and net.config.model.pretrained is not None:
        net.mean.copy_(torch.tensor(net.backbone.mean))
        net.std.copy_(torch.tensor(net.backbone.std))
        return
    some = images[:: max(1, len(images) // 1000)]
    sample = some.astype(np.float64) / 255
    net.mean.copy_(torch.from_numpy(sample.mean((0, 1, 2))))
    net.std.copy_(torch.from_numpy(sample.std((0, 1, 2)).clip(0.01)))
    if isinstance(net.backbone, WhitenedNet):
        net.backbone.set_whitening(net.standardise(net.normalise(torch.from_numpy(some))))


def use_bf16(precision: Literal["auto", "fp32", "bf16"], device: str) -> bool:
    """Choose whether to compute in bfloat16; "auto" does if the hardware multiplies it.

    On a CPU, not every network is faster in bfloat16: see `faster_in_bf16`.

    $REID_HASH_PRECISION, `fp32` or `bf16`, overrides "auto", so that machines with different
    processors train alike.

    Raises:
        ConfigError: the variable has another value.
    """
    if precision == "auto" and (asked := os.environ.get("REID_HASH_PRECISION", "")):
        if asked not in ("fp32", "bf16"):
            raise ConfigError(f"REID_HASH_PRECISION is {asked!r}; set it to fp32 or bf16")
        return asked == "bf16"
    if precision != "auto":
        return precision == "bf16"
    kind = pick_device(device).type
    if kind == "cuda":
        return bool(torch.cuda.is_bf16_supported())  # type: ignore[no-untyped-call]
    if kind == "cpu" and Path("/proc/cpuinfo").exists():
        return "avx512_bf16" in Path("/proc/cpuinfo").read_text()
    return False


def faster_in_bf16(net: HashNet, pixels: NDArray[np.uint8]) -> tuple[float, float]:
    """Time a network's gradient on the CPU in single precision and in bfloat16.

    Convolutions with many channels gain from bfloat16, while depthwise ones lose more than the
    others gain: EfficientNet-lite0 takes 1.8 times as long in it on a processor with AVX512-BF16.

    Args:
        net: network in training; a copy of it is timed.
        pixels: [b, height, width, 3] uint8 RGB, a batch.

    Returns:
        (fp32, bf16): images per second, each the faster of two runs after a warm-up.
    """
    net = copy.deepcopy(net).train()
    images = net.normalise(torch.from_numpy(pixels)).contiguous(memory_format=torch.channels_last)

    def seconds(half: bool) -> float:
        began = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            outputs = net(images).outputs
        outputs.float().square().mean().backward()
        return time.perf_counter() - began

    found = [min([seconds(half) for _ in range(3)][1:]) for half in (False, True)]
    return len(pixels) / found[0], len(pixels) / found[1]
