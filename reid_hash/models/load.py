"""Open a model: a shipped one, a run, a checkpoint, an ONNX file, a head, anybody's network."""

import os
from pathlib import Path
from typing import Any

from reid_hash.errors import CheckpointError, ConfigError
from reid_hash.models.encoder import Encoder
from reid_hash.models.foreign.encoder import open_foreign
from reid_hash.models.foreign.network import Network
from reid_hash.models.head_encoder import HeadEncoder, is_head
from reid_hash.models.kinds import Kind, kind_of
from reid_hash.models.onnx_encoder import OnnxEncoder, is_onnx
from reid_hash.models.run_files import MODEL_FILE
from reid_hash.models.shipped import list_models, shipped_model


def load_model(
    name_or_path: str | os.PathLike[str] | Network,
    device: str = "auto",
    *,
    head: str | os.PathLike[str] | Encoder | None = None,
    **inputs: Any,
) -> Encoder:
    """Open a model to encode images with.

    Args:
        name_or_path: the name of a shipped model (see `list_models`), the folder of a run, a
            checkpoint, an ONNX file that `reid-hash export onnx` wrote, or a head that `reid-hash
            fit` wrote, which encodes vectors in place of images. The content of a file says which
            kind it is, whatever the file is called. Or anybody's network: an ONNX file, an OpenVINO
            file (.xml), a file of torchreid or FastReID (.pth), or timm:NAME.
        device: where to compute: "auto", "cpu", "cuda" or "mps".
        head: of anybody's network: a head of `reid_hash.fit`, or its file, which makes codes.
            Without one, `outputs` gives the floats, and there are no codes.
        **inputs: of anybody's network: `preset`, `color`, `white`, `mean`, `std`, `size`, `output`
            and `weights`; see `reid_hash.models.foreign.network.Network`.

    Raises:
        CheckpointError: there is no such model, or its file is damaged or something else.
        ConfigError: this machine does not have the device, or an option does not fit.

    Example:
        >>> load_model("small", "cpu").bits
        128
    """
    if isinstance(name_or_path, Network):
        if inputs:
            raise ConfigError(f"{', '.join(inputs)}: the network names its own; leave them out")
        network: Network | None = name_or_path
    else:
        given = os.fsdecode(name_or_path)
        network = None
        if head is not None or inputs or is_foreign(given):
            try:
                network = Network(given, **inputs)
            except TypeError as error:
                raise ConfigError(f"load_model: {error}") from error
    if network is None:
        return open_model(model_file(given), device)
    if head is None and network.head is not None:
        head = network.head
    if head is not None and not isinstance(head, Encoder):
        head = open_head(head, device)
    return open_foreign(network, device, head)


def open_head(path: str | os.PathLike[str], device: str = "auto") -> Encoder:
    """Open a head that `reid-hash fit` made: an encoder of vectors.

    Raises:
        CheckpointError: there is no such file, or it takes pictures.
    """
    head = load_model(path, device)
    if not isinstance(head, HeadEncoder):
        raise CheckpointError(f"{path} takes pictures: it is no head of `reid-hash fit`")
    return head


def is_foreign(given: str) -> bool:
    """Whether a name or path leads to a network that was not trained here."""
    if given.startswith("timm:"):
        return True
    path = Path(given)
    try:
        return path.is_file() and kind_of(path) not in (Kind.OWN, Kind.UNKNOWN)
    except CheckpointError:  # what opens it says what is wrong
        return False


def open_model(model: Path | Network, device: str = "auto") -> Encoder:
    """Open what a command line names: a file after `--model`, or a `Network` after `--network`.

    Raises:
        CheckpointError: as `load_model`; also where one is given for the other.
        ConfigError: likewise.
    """
    if isinstance(model, Network):
        return load_model(model, device)
    if is_foreign(str(model)):
        raise CheckpointError(
            f"{model} was not written by this toolkit: name it with --network in place of --model"
        )
    if is_onnx(model):
        return OnnxEncoder(model, device)
    if is_head(model):
        return HeadEncoder.load(model)
    from reid_hash.models.torch_encoder import TorchEncoder  # ONNX files do without torch

    return TorchEncoder.load(model, device)


def model_file(name_or_path: str | os.PathLike[str]) -> Path:
    """The file of a model; see `load_model`.

    Raises:
        CheckpointError: a name that no shipped model has. Whether a path leads to a model is seen
            when it is opened.
    """
    given = os.fsdecode(name_or_path)
    shipped = shipped_model(given)
    if shipped is not None:
        return shipped.file
    path = Path(given)
    if not given or (given == path.name and not path.suffix and not path.exists()):
        known = ", ".join(list_models())
        raise CheckpointError(f"no such file: {given}; shipped models are: {known}")
    return path / MODEL_FILE if path.is_dir() else path
