"""Checkpoints: `model.safetensors`, and the state of a run that can go on. Neither uses pickle.

A checkpoint alone is enough to encode and evaluate: its metadata hold the configuration, the
bit weights and order, the normalisation and what the network was trained on.
"""

import errno
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from reid_hash.config.reading import parse_config
from reid_hash.config.schema import Config
from reid_hash.errors import CheckpointError, ConfigError
from reid_hash.nn.backbones import WHOLE
from reid_hash.nn.frozen import PREFIX, FrozenNetwork
from reid_hash.nn.hashnet import HashNet
from reid_hash.utils.files import is_ordinary, json_text, replacing

FORMAT = "reid_hash checkpoint 1"
STATE_FORMAT = "reid_hash training state 1"

_PAPER, _WHOLE_FEATURES = "backbone.", 1152  # what the linear layer took before images were cropped

_WRONG = (
    *(KeyError, TypeError, ValueError, AttributeError, OverflowError, RuntimeError, RecursionError),
    ConfigError,
)
"""What contents raise that are not as they were written; RecursionError: JSON without an end."""


@dataclass(frozen=True, eq=False, repr=False)
class Checkpoint:
    """A trained network with what search needs beside it.

    Attributes:
        net: the network, on the CPU, in evaluation mode; its bits are in their final order.
        bit_weights: [bits] float32 ≥ 0, significance of each bit.
        bit_order: [bits] int, which bit of the training each bit was.
        trained_on: what is known of the training: data set, images, identities, steps, time.
    """

    net: HashNet
    bit_weights: NDArray[np.float32]
    bit_order: NDArray[np.int64]
    trained_on: Mapping[str, Any] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that differ for networks whose codes cannot be compared."""
        digest = hashlib.sha256()
        for name, tensor in sorted(self.net.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]

    def __repr__(self) -> str:
        model = self.net.config.model
        return f"<Checkpoint: {model.bits} bits, {model.backbone}, fingerprint {self.fingerprint}>"


def metadata_of(checkpoint: Checkpoint) -> dict[str, str]:
    """All of a checkpoint but its tensors, JSON by key, as files of networks hold it."""
    net = checkpoint.net
    return {
        "config": net.config.model_dump_json(),
        "bit_weights": json_text([float(w) for w in checkpoint.bit_weights]),
        "bit_order": json_text([int(k) for k in checkpoint.bit_order]),
        "normalisation": json_text({"mean": net.mean.tolist(), "std": net.std.tolist()}),
        "trained_on": json_text(dict(checkpoint.trained_on)),
    }


def save_checkpoint(
    path: str | os.PathLike[str], checkpoint: Checkpoint, half: bool = False
) -> None:
    """Write a checkpoint, whole or not at all.

    Args:
        path: the file.
        checkpoint: what is written.
        half: round matrices and convolutions to half precision; vectors, such as the variances of
            batch norm, stay. It is loaded in single precision, some bits of codes differ, and so
            does the fingerprint.

    Raises:
        CheckpointError: a value is too large for half precision.
    """
    tensors = checkpoint.net.state_dict()
    if half:
        tensors = {name: t.half() if t.ndim > 1 else t for name, t in tensors.items()}
        if not all(tensor.isfinite().all() for tensor in tensors.values()):
            raise CheckpointError(f"{path}: the network does not fit into half precision")
    write_tensors(path, tensors, {"format": FORMAT} | metadata_of(checkpoint))


def load_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Read a checkpoint.

    Nothing but the file is read, and nothing is downloaded, whatever the file says.

    Raises:
        CheckpointError: the file is missing, damaged, or something else.
    """
    tensors, metadata = read_tensors(path, FORMAT)
    try:
        config = parse_config(json.loads(metadata["config"]), str(path))
        config = _of_first_versions(config, tensors)
        # the weights are in the file: a download for them would be in vain
        config = without_download(config)
        _check_fits(config, tensors)
        net = HashNet(config, _frozen(config, tensors))
        net.load_state_dict(tensors)
        weights = np.array(json.loads(metadata["bit_weights"]), np.float32)
        order = np.array(json.loads(metadata["bit_order"]), np.int64)
        trained_on = dict(json.loads(metadata["trained_on"]))
    except _WRONG as error:
        raise CheckpointError(f"{path} was written by another version: {_first(error)}") from error
    if weights.ndim != 1 or order.ndim != 1:
        raise CheckpointError(f"{path} was written by another version: its lists are none")
    if len(weights) != config.model.bits:
        raise CheckpointError(f"{path} has {len(weights)} weights for {config.model.bits} bits")
    bad = not_finite(net)
    if not np.isfinite(weights).all() or (weights < 0).any():
        bad = ["bit_weights", *bad]
    if bad:
        raise CheckpointError(
            f"{path} holds numbers that are NaN, infinite or out of range in {', '.join(bad[:3])}"
            f"{' …' if len(bad) > 3 else ''}: its training diverged, or it is damaged; train again "
            "with a lower train.learning_rate, or take another model"
        )
    return Checkpoint(net.eval(), weights, order, trained_on)


def _of_first_versions(config: Config, tensors: Mapping[str, Tensor]) -> Config:
    """The same configuration, with the name that "paper" without a crop has had since."""
    model, data = config.model, config.data
    if model.backbone == "paper" and data.height == data.width == 32:
        matrices = (t for key, t in tensors.items() if key.startswith(_PAPER) and t.ndim == 2)
        if {matrix.shape[1] for matrix in matrices} == {_WHOLE_FEATURES}:
            model = model.model_copy(update={"backbone": WHOLE})
    return config.model_copy(update={"model": model})


def _check_fits(config: Config, tensors: Mapping[str, Tensor]) -> None:
    """Raise RuntimeError unless tensors are those of a network, before any of it takes memory.

    A file of a kilobyte may describe a network of a hundred gigabytes.
    """
    with torch.device("meta"):
        wanted = HashNet(config, _frozen(config, tensors)).state_dict()
    for name in sorted(wanted.keys() | tensors.keys()):
        there = [list(some[name].shape) if name in some else None for some in (wanted, tensors)]
        if there[0] != there[1]:
            says, holds = ("no such tensor" if shape is None else shape for shape in there)
            raise RuntimeError(f"for {name} it describes {says} and holds {holds}")


def _frozen(config: Config, tensors: Mapping[str, Tensor]) -> FrozenNetwork | None:
    """The backbone that is an ONNX file within the checkpoint; None where it is another one."""
    return FrozenNetwork.in_state(tensors) if config.model.backbone.startswith(PREFIX) else None


def not_finite(net: HashNet) -> list[str]:
    """Names of a network's parameters and buffers that hold NaN or infinity, in their order.

    A deviation of the normalisation counts likewise that is not above 0: it is divided by.
    """
    bad = [
        name
        for name, tensor in net.state_dict().items()
        if tensor.is_floating_point() and not tensor.isfinite().all()
    ]
    return bad if (net.std > 0).all() or "std" in bad else [*bad, "std"]


def without_download(config: Config) -> Config:
    """The same configuration for a network whose weights are at hand already."""
    return config.model_copy(update={"model": config.model.model_copy(update={"pretrained": None})})


def write_tensors(
    path: str | os.PathLike[str], tensors: Mapping[str, Tensor], metadata: dict[str, str]
) -> None:
    """Write named tensors with metadata as safetensors, whole or not at all."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with replacing(path) as temporary:
        try:
            save_file(plain, temporary, metadata)
        except SafetensorError as error:  # it wraps the operating system's error in its own
            full = f"os error {errno.ENOSPC}" in str(error)
            raise OSError(errno.ENOSPC if full else None, str(error)) from error


def read_tensors(
    path: str | os.PathLike[str], form: str
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read what `write_tensors` wrote, if its metadata say that it is of the format `form`."""
    if not is_ordinary(path):  # to open a pipe would wait
        there = Path(path).exists()
        raise CheckpointError(f"{path} is no file" if there else f"no such file: {path}")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != form:
                raise CheckpointError(
                    f"{path} is not a {form.rsplit(' ', 1)[0]}, or of another version"
                )
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is damaged, or no checkpoint: {error}") from error
    return tensors, metadata


def save_state(
    path: str | os.PathLike[str],
    modules: Mapping[str, torch.nn.Module],
    optimiser: torch.optim.Optimizer,
    facts: Mapping[str, Any],
) -> None:
    """Write all that a run needs to go on.

    Args:
        path: the file.
        modules: by name, whose parameters and buffers are kept.
        optimiser: whose moments are kept.
        facts: JSON values: the step, the configuration and the like.
    """
    tensors: dict[str, Tensor] = {}
    for name, module in modules.items():
        tensors |= {f"{name}/{key}": value for key, value in module.state_dict().items()}
    scalars: dict[str, Any] = {}
    for index, state in optimiser.state_dict()["state"].items():
        for key, value in state.items():
            if isinstance(value, Tensor):
                tensors[f"optimiser/{index}/{key}"] = value
            elif value is not None:
                scalars[f"{index}/{key}"] = value
    metadata = {
        "format": STATE_FORMAT,
        "facts": json_text(dict(facts)),
        "scalars": json_text(scalars),
    }
    write_tensors(path, tensors, metadata)


def read_facts(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The facts of a saved state, without its tensors."""
    _, metadata = read_tensors(path, STATE_FORMAT)
    return _facts(path, metadata)


def load_state(
    path: str | os.PathLike[str],
    modules: Mapping[str, torch.nn.Module],
    optimiser: torch.optim.Optimizer,
) -> dict[str, Any]:
    """Put back what `save_state` wrote, in place, and return the facts.

    Raises:
        CheckpointError: the file is missing, damaged, or of another network.
    """
    tensors, metadata = read_tensors(path, STATE_FORMAT)
    try:
        for name, module in modules.items():
            start = len(name) + 1
            own = {k[start:]: v for k, v in tensors.items() if k.startswith(f"{name}/")}
            module.load_state_dict(own)
    except RuntimeError as error:
        raise CheckpointError(
            f"{path} is of another network, or of an older version; start the training again: "
            f"{_first(error)}"
        ) from error
    state: dict[int, dict[str, Any]] = {}
    try:
        for key, value in tensors.items():
            if key.startswith("optimiser/"):
                _, index, field_name = key.split("/", 2)
                state.setdefault(int(index), {})[field_name] = value
        for key, scalar in json.loads(metadata["scalars"]).items():
            index, field_name = key.split("/", 1)
            state.setdefault(int(index), {})[field_name] = scalar
        groups = optimiser.state_dict()["param_groups"]
        optimiser.load_state_dict({"state": state, "param_groups": groups})
    except _WRONG as error:
        raise CheckpointError(f"{path} was written by another version: {_first(error)}") from error
    return _facts(path, metadata)


def _facts(path: str | os.PathLike[str], metadata: Mapping[str, str]) -> dict[str, Any]:
    """The facts in the metadata of a saved state."""
    try:
        return dict(json.loads(metadata["facts"]))
    except _WRONG as error:
        raise CheckpointError(f"{path} was written by another version: {_first(error)}") from error


def _first(error: BaseException) -> str:
    """The first line of what an error says, or its class."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
