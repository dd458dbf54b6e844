"""torchreid's and FastReID's files, and timm's networks, run by torch."""

import logging
import pickle  # nosec B403  # an exception alone; files are read with weights_only
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy._core.multiarray import scalar as numpy_scalar  # type: ignore[attr-defined]
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file

from reid_hash.errors import CheckpointError, ConfigError
from reid_hash.models.foreign.inputs import PRESETS, Inputs
from reid_hash.models.foreign.network import (
    USUAL_SIZE,
    FloatNetwork,
    Network,
    as_rows,
    fingerprint,
    say_guess,
    settle_inputs,
    settle_size,
)
from reid_hash.models.kinds import Kind, kind_of
from reid_hash.models.torch_encoder import pick_device
from reid_hash.nn.backbones.build import build_backbone
from reid_hash.nn.other_weights import Known, build_known, find_tensors
from reid_hash.utils.onnx_file import first_line

_NUMPY: list[Any] = [np.dtype, numpy_scalar, *(type(np.dtype(c)) for c in "fdilq?")]
"""What torchreid's files have beside tensors: the rank-1 as one of numpy's numbers."""

_log = logging.getLogger(__name__)


class TorchNetwork(FloatNetwork):
    """A network that torch runs.

    Args:
        network: what was named: a file, or timm:NAME.
        device: where to compute.

    Raises:
        CheckpointError: the file is missing, damaged, holds code, or is of no known network.
        ConfigError: timm has no such network, or this machine not the device.
    """

    def __init__(self, network: Network, device: str = "auto") -> None:
        self.name = network.file
        self.device = pick_device(device)
        if network.output is not None:
            raise ConfigError(f"--network-output: {self.name} has one output; leave it out")
        if network.file.startswith("timm:"):
            self.net = self._of_timm(network)
        else:
            self.net = self._of_file(network)
        self.net.eval().to(self.device)
        self.features = self._run(np.zeros((1, *self.size, 3), np.uint8)).shape[1]
        parts = (
            part
            for name, tensor in sorted(self.net.state_dict().items())
            for part in (name.encode(), tensor.detach().cpu().contiguous().numpy().tobytes())
        )
        self.fingerprint = fingerprint(parts, self.inputs, self.size, "")

    def _of_file(self, network: Network) -> torch.nn.Module:
        known = read_known(network.file)
        if known.assumed:
            say_guess(self.name, f"{known.name} with {known.assumed}", "an ONNX file instead")
        self.size = settle_size(network, self.name, None, None, USUAL_SIZE)
        guess = PRESETS["fastreid" if known.takes_bytes else "torchreid"]
        self.inputs = settle_inputs(network, self.name, guess)
        return known.net

    def _of_timm(self, network: Network) -> torch.nn.Module:
        download = network.weights == "timm"
        torch.manual_seed(0)  # random weights are the same ones each time
        net = build_backbone(network.file, *USUAL_SIZE, "timm" if download else None)
        inner: Any = net.net
        facts = inner.pretrained_cfg
        if network.weights is None:
            _log.warning(
                "%s has random weights, and its floats mean nothing: name a file of weights with "
                "--weights, or download timm's with --weights timm",
                self.name,
            )
        elif not download:
            tensors = find_tensors(read_tensors(network.weights))
            _fill_timm(inner, tensors, network.weights)
        fixed = facts.get("fixed_input_size", False)
        height, width = facts["input_size"][1:]
        self.size = settle_size(
            network,
            self.name,
            *((height, width) if fixed or network.size is None else (None, None)),
        )
        # known, not guessed: timm notes them with the weights
        own = Inputs(
            mean=tuple(facts["mean"]),
            std=tuple(facts["std"]),
            growing="cubic" if facts.get("interpolation") == "bicubic" else "linear",
        )
        self.inputs, _ = network.inputs(own)
        return net

    def _run(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        with torch.inference_mode():
            planes = torch.from_numpy(self.inputs.apply(images)).to(self.device)
            try:
                made = self.net(planes)
            except (RuntimeError, AssertionError, ValueError) as error:
                raise CheckpointError(
                    f"{self.name} cannot be run at {self.size[0]}×{self.size[1]}: "
                    f"{first_line(error)}"
                ) from error
        if not isinstance(made, torch.Tensor):
            raise CheckpointError(f"{self.name} gives a {type(made).__name__}, not one tensor")
        return as_rows(made.float().cpu().numpy(), len(images), self.name)


def read_known(path: str) -> Known:
    """Read a file of torchreid or FastReID.

    Raises:
        CheckpointError: see `TorchNetwork`.
    """
    try:
        return build_known(read_tensors(path))
    except CheckpointError as error:
        text = str(error)
        raise CheckpointError(text if text.startswith(path) else f"{path}: {text}") from error


def read_tensors(path: str) -> object:
    """What a file of torch or of safetensors holds; no code in it is run.

    Raises:
        CheckpointError: it is missing or damaged, or holds more than tensors and numbers.
    """
    kind = kind_of(Path(path))
    try:
        if kind in (Kind.SAFETENSORS, Kind.OWN):
            return load_file(path)
        with torch.serialization.safe_globals(_NUMPY), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of other protocols of pickle, before the error
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} is damaged, or holds more than tensors, which could run code and is not "
            "opened: save net.state_dict() alone"
        ) from error
    except SafetensorError as error:
        raise CheckpointError(f"{path} is damaged: {first_line(error)}") from error
    except Exception as error:  # torch raises whatever the damage leads to
        raise CheckpointError(
            f"{path} is damaged, or no file of torch: {first_line(error)}"
        ) from error


def _fill_timm(net: Any, tensors: dict[str, torch.Tensor], path: str) -> None:
    """Put a file of weights into one of timm's networks, without its classifier."""
    own = net.state_dict()
    missing = [name for name in own if name not in tensors]
    classifier = net.pretrained_cfg.get("classifier") or ()
    prefixes = (classifier,) if isinstance(classifier, str) else tuple(classifier)
    over = [name for name in tensors if name not in own and not name.startswith(prefixes)]
    if missing or over:
        parts = [
            f"{len(them)} tensors {what} (such as {them[0]})"
            for what, them in (("are missing", missing), ("are left over", over))
            if them
        ]
        raise CheckpointError(f"{path}: {' and '.join(parts)}: it is of another network")
    try:
        net.load_state_dict({name: tensors[name] for name in own})
    except RuntimeError as error:
        raise CheckpointError(f"{path} does not fit: {first_line(error)}") from error
