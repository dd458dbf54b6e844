"""What kind of model a file holds, told by its content before anything opens it."""

import json
from enum import Enum
from pathlib import Path

from reid_hash.errors import CheckpointError
from reid_hash.models.onnx_encoder import FORMAT as ONNX_FORMAT
from reid_hash.models.onnx_encoder import is_onnx
from reid_hash.utils.files import is_ordinary
from reid_hash.utils.onnx_file import metadata_of, read_onnx

_OWN = "reid_hash "  # what the formats of all our safetensors begin with
_LONGEST_HEADER = 100_000_000  # bytes, as safetensors has it


class Kind(Enum):
    """What a file holds; OWN: written by this toolkit."""

    OWN = "own"
    ONNX = "onnx"
    OPENVINO = "openvino"
    TORCH = "torch"
    SAFETENSORS = "safetensors"
    UNKNOWN = "unknown"


def kind_of(path: Path) -> Kind:
    """Tell what a file holds by its first bytes, and by its metadata whether it is our own.

    Raises:
        CheckpointError: there is no such file, or it is an ONNX file that is damaged.
    """
    if not is_ordinary(path):  # to open a pipe would wait
        raise CheckpointError(f"{path} is no file" if path.exists() else f"no such file: {path}")
    try:
        with path.open("rb") as file:
            head = file.read(64)
            if head[8:9] == b"{":  # safetensors: eight bytes of length, then JSON
                length = int.from_bytes(head[:8], "little")
                file.seek(8)
                return _of_safetensors(file.read(min(length, _LONGEST_HEADER)))
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}") from error
    if is_onnx(path):
        own = metadata_of(read_onnx(path)).get("format") == ONNX_FORMAT
        return Kind.OWN if own else Kind.ONNX
    if head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith((b"<?xml", b"<net")):
        return Kind.OPENVINO
    # a zip archive, or a pickle, as torch wrote them before version 1.6
    if head.startswith((b"PK\x03\x04", b"\x80\x02", b"\x80\x04")):
        return Kind.TORCH
    return Kind.UNKNOWN


def _of_safetensors(header: bytes) -> Kind:
    try:
        form = json.loads(header).get("__metadata__", {}).get("format", "")
    except (ValueError, AttributeError, RecursionError):
        return Kind.OWN  # damaged: what reads it says so
    return Kind.OWN if str(form).startswith(_OWN) else Kind.SAFETENSORS
