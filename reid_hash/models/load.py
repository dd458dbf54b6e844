"""Open a model by name or path: a shipped one, a run, a checkpoint, an ONNX file, a head."""

import os
from pathlib import Path

from reid_hash.errors import CheckpointError
from reid_hash.models.encoder import Encoder
from reid_hash.models.head_encoder import HeadEncoder, is_head
from reid_hash.models.onnx_encoder import OnnxEncoder, is_onnx
from reid_hash.models.shipped import list_models, shipped_model

MODEL_FILE = "model.safetensors"
"""The checkpoint in the folder of a run."""


def load_model(name_or_path: str | os.PathLike[str], device: str = "auto") -> Encoder:
    """Open a model to encode images with.

    Args:
        name_or_path: the name of a shipped model (see `list_models`), the folder of a run, a
            checkpoint, an ONNX file that `reid-hash export onnx` wrote, or a head that `reid-hash
            fit` wrote, which encodes vectors in place of images. The content of a file
            says which kind it is, whatever the file is called.
        device: where to compute: "auto", "cpu", "cuda" or "mps".

    Raises:
        CheckpointError: there is no such model, or its file is damaged or something else.
        ConfigError: this machine does not have the device.

    Example:
        >>> load_model("small", "cpu").bits
        128
    """
    file = model_file(name_or_path)
    if is_onnx(file):
        return OnnxEncoder(file, device)
    if is_head(file):
        return HeadEncoder.load(file)
    from reid_hash.models.torch_encoder import TorchEncoder  # ONNX files do without torch

    return TorchEncoder.load(file, device)


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
