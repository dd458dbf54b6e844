"""Checkpoints (`model.safetensors`) and the saved state of a resumable run, without pickle.

A checkpoint alone is enough to encode and evaluate: its metadata contain the configuration, bit
weights and order, the normalisation and what the network was trained on.
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
from reid_hash.nn.backbones.build import WHOLE
from reid_hash.nn.frozen import PREFIX, FrozenNetwork
from reid_hash.nn.hashnet import HashNet
from reid_hash.utils.files import is_ordinary, json_text, replacing

FORMAT = "reid_hash checkpoint 1"
STATE_FORMAT = "reid_hash training state 1"

_PAPER, _WHOLE_FEATURES = "backbone.", 1152  # input of the linear layer before images were cropped

_WRONG = (
    *(KeyError, TypeError, ValueError, AttributeError, OverflowError, RuntimeError, RecursionError),
    ConfigError,
)
"""Exceptions from damaged contents; RecursionError comes from endlessly nested JSON."""


@dataclass(frozen=True, eq=False, repr=False)
class Checkpoint:
    """A trained network with everything that search needs.

    Attributes:
        net: the network, on the CPU, in evaluation mode, its bits in their final order.
        bit_weights: [bits] float32 ≥ 0, significance of each bit.
        bit_order: [bits] int, index of each bit during training.
        trained_on: facts about the training: data set, images, identities, steps, time.
    """

    net: HashNet
    bit_weights: NDArray[np.float32]
    bit_order: NDArray[np.int64]
    trained_on: Mapping[str, Any] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that differ between networks whose codes are not comparable."""
        digest = hashlib.sha256()
        for name, tensor in sorted(self.net.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]

    def __repr__(self) -> str:
        model = self.net.config.model
        return f"<Checkpoint: {model.bits} bits, {model.backbone}, fingerprint {self.fingerprint}>"


def metadata_of(checkpoint: Checkpoint) -> dict[str, str]:
    """Return all of a checkpoint but its tensors as JSON by key, for a file's metadata."""
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
    """Write a checkpoint atomically.

    Args:
        path: destination file.
        checkpoint: the checkpoint.
        half: round matrices and convolutions to half precision, but not vectors such as batch
            norm variances. The file loads in single precision; some bits of codes differ, and so
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

    Only the file itself is read and nothing is downloaded, whatever the file says.

    Raises:
        CheckpointError: the file is missing, damaged or not a checkpoint.
    """
    tensors, metadata = read_tensors(path, FORMAT)
    try:
        config = parse_config(json.loads(metadata["config"]), str(path))
        config = _of_first_versions(config, tensors)
        # the weights are in the file, so a download would be useless
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
    """Rename "paper" in checkpoints of the first versions, which did not crop."""
    model, data = config.model, config.data
    if model.backbone == "paper" and data.height == data.width == 32:
        matrices = (t for key, t in tensors.items() if key.startswith(_PAPER) and t.ndim == 2)
        if {matrix.shape[1] for matrix in matrices} == {_WHOLE_FEATURES}:
            model = model.model_copy(update={"backbone": WHOLE})
    return config.model_copy(update={"model": model})


def _check_fits(config: Config, tensors: Mapping[str, Tensor]) -> None:
    """Raise RuntimeError unless the tensors match the network, before allocating any of it.

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
    """Return the backbone that is an ONNX file within the checkpoint, or None."""
    return FrozenNetwork.in_state(tensors) if config.model.backbone.startswith(PREFIX) else None


def not_finite(net: HashNet) -> list[str]:
    """List a network's parameters and buffers that contain NaN or infinity, in their order.

    A deviation of the normalisation that is not above 0 also counts, since it is a divisor.
    """
    bad = [
        name
        for name, tensor in net.state_dict().items()
        if tensor.is_floating_point() and not tensor.isfinite().all()
    ]
    return bad if (net.std > 0).all() or "std" in bad else [*bad, "std"]


def without_download(config: Config) -> Config:
    """Return the configuration without a download of weights, for weights already available."""
    return config.model_copy(update={"model": config.model.model_copy(update={"pretrained": None})})


def write_tensors(
    path: str | os.PathLike[str], tensors: Mapping[str, Tensor], metadata: dict[str, str]
) -> None:
    """Write named tensors with metadata as safetensors, atomically."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with replacing(path) as temporary:
        try:
            save_file(plain, temporary, metadata)
        except SafetensorError as error:  # wraps the operating system's error
            full = f"os error {errno.ENOSPC}" in str(error)
            raise OSError(errno.ENOSPC if full else None, str(error)) from error


def read_tensors(
    path: str | os.PathLike[str], form: str
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read what `write_tensors` wrote; the metadata must say that its format is `form`."""
    if not is_ordinary(path):  # opening a pipe would block
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
    """Write the state that a run needs to resume.

    Args:
        path: destination file.
        modules: modules by name, whose parameters and buffers are saved.
        optimiser: optimiser whose moments are saved.
        facts: JSON values such as the step and the configuration.
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
    """Read the facts of a saved state, without its tensors."""
    _, metadata = read_tensors(path, STATE_FORMAT)
    return _facts(path, metadata)


def load_state(
    path: str | os.PathLike[str],
    modules: Mapping[str, torch.nn.Module],
    optimiser: torch.optim.Optimizer,
) -> dict[str, Any]:
    """Restore a state that `save_state` wrote, in place, and return its facts.

    Raises:
        CheckpointError: the file is missing, damaged or belongs to another network.
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
    """Parse the facts in the metadata of a saved state."""
    try:
        return dict(json.loads(metadata["facts"]))
    except _WRONG as error:
        raise CheckpointError(f"{path} was written by another version: {_first(error)}") from error


def _first(error: BaseException) -> str:
    """Return the first line of an error's message, or its class name."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
