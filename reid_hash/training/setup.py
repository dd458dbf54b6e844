"""What a training run fixes before its first step: targets, weights, precision."""

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
from reid_hash.nn.airbench import WhitenedNet
from reid_hash.nn.backbones import TimmBackbone
from reid_hash.nn.checkpoint import Checkpoint, load_checkpoint
from reid_hash.nn.frozen import FrozenNetwork
from reid_hash.nn.hashnet import HashNet
from reid_hash.nn.osnet import OSNet

_OF_BITS = ("head.project.", "head.norm.", "weight.")
"""Tensors with a row for each bit, of which a shorter code takes the first."""

_FORM = ("backbone", "stripes", "output_stride", "batch_norm", "weights")
"""Keys of the section model that decide which tensors a network has, beside `bits`."""


def training_targets(
    labels: NDArray[np.int64] | NDArray[np.bool_],
) -> tuple[int, torch.Tensor]:
    """What the losses are told of each image.

    Args:
        labels: [n] int64, or [n, classes] bool where an image may have several classes.

    Returns:
        (classes, targets): [n] int64 numbers 0 … classes - 1, or [n, classes] float 0 and 1.
    """
    if labels.ndim == 2:
        return labels.shape[1], torch.from_numpy(labels.astype(np.float32))
    values, targets = np.unique(labels, return_inverse=True)
    return len(values), torch.from_numpy(targets)


def prepare_network(net: HashNet, images: NDArray[np.uint8]) -> None:
    """Give a new network what it has before its first step: a start, or a normalisation.

    Args:
        net: changed in place; see `TrainConfig.start`.
        images: [n, height, width, 3] uint8 RGB, of the training.

    Raises:
        CheckpointError, ConfigError: the start is missing, damaged or another network.
    """
    start = net.config.train.start
    if start is None:
        set_normalisation(net, images)
        return
    shipped = shipped_model(start)
    start_from(net, load_checkpoint(start if shipped is None else shipped.file), start)


def start_from(net: HashNet, checkpoint: Checkpoint, name: str) -> None:
    """Give a network the weights and the normalisation of a trained one, in place.

    A code of fewer bits starts from the first ones, which are the most significant. The classifiers
    of the training start anew: they are of other identities, and no checkpoint holds them.

    Args:
        net: of the same backbone; its code may be shorter.
        checkpoint: the trained network.
        name: of the trained network, for messages.

    Raises:
        ConfigError: the networks do not fit; it says where they differ.
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
    """Set what a network takes from its training images before training, from up to 1,000 of them.

    That is the mean and deviation of each channel, and the whitening layer where it has one. A
    pretrained network of timm, or OSNet, keeps those that its weights were made with.
    """
    if isinstance(net.backbone, FrozenNetwork):
        return  # it takes floats, and its batch norm sees to the rest
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
    """Whether to compute in bfloat16: "auto" where the processor multiplies it in hardware.

    Not every network is faster in it on a CPU: see `faster_in_bf16`.

    $REID_HASH_PRECISION, `fp32` or `bf16`, decides in its place for "auto": machines that differ in
    their processors then train alike.

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

    Convolutions of many channels gain from bfloat16; depthwise ones lose more than the others gain:
    EfficientNet-lite0 takes 1.8 times as long in it on a processor with AVX512-BF16.

    Args:
        net: in training; a copy of it is timed.
        pixels: [b, height, width, 3] uint8 RGB, a batch.

    Returns:
        (fp32, bf16): images a second, each the faster of two, after one to warm up.
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
