"""ONNX files as bytes, and the runtime that loads them, without a package for parsing ONNX.

An ONNX file is a protocol buffer. A tensor may keep its values in another file, with a path of the
ONNX file's choice, which a runtime opens. So the bytes are checked first, and the runtime gets the
same bytes instead of the path.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from reid_hash.errors import CheckpointError, ConfigError
from reid_hash.utils.files import is_ordinary
from reid_hash.utils.memory import memory_limit

MESSAGES = {
    "ModelProto": {7: "GraphProto", 20: "TrainingInfoProto", 25: "FunctionProto"},
    "GraphProto": {1: "NodeProto", 5: "TensorProto", 15: "SparseTensorProto"},
    "NodeProto": {5: "AttributeProto"},
    "AttributeProto": {
        **{5: "TensorProto", 6: "GraphProto", 10: "TensorProto", 11: "GraphProto"},
        **{22: "SparseTensorProto", 23: "SparseTensorProto"},
    },
    "SparseTensorProto": {1: "TensorProto", 2: "TensorProto"},
    "TrainingInfoProto": {1: "GraphProto", 2: "GraphProto"},
    "FunctionProto": {7: "NodeProto", 11: "AttributeProto"},
}
"""Every route from a model to a tensor: message → field number → nested message."""

_METADATA = 14  # field of ModelProto
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14  # fields of TensorProto
_PROVIDERS = {
    "cuda": "CUDAExecutionProvider",
    "mps": "CoreMLExecutionProvider",
    "cpu": "CPUExecutionProvider",
}
_MOST_BYTES = 2**31 - 1  # limit of a protocol buffer


def import_onnxruntime() -> Any:
    """Import onnxruntime with telemetry off; nothing else in this package imports it.

    On import, builds with telemetry write a machine id and an event database below the home folder
    and send them to Microsoft. The environment variable is read once, at that time.

    Returns:
        The module.

    Raises:
        ImportError: onnxruntime is not installed.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    # in case it was imported before; builds without telemetry may lack the function
    getattr(onnxruntime, "disable_telemetry_events", lambda: None)()
    return onnxruntime


def limit_memory(options: Any) -> None:
    """Keep a session from allocating more memory than there is; its run then ends in an error.

    A file of a hundred bytes may create tensors of any size. The system would grant the memory, and
    kill this process when it is written to.

    Args:
        options: the session's `onnxruntime.SessionOptions`.
    """
    _register_memory()
    options.add_session_config_entry("session.use_env_allocators", "1")


@cache
def _register_memory() -> None:
    """Register the memory that all limited sessions of this process share."""
    onnxruntime = import_onnxruntime()
    arena = onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR
    kind = onnxruntime.OrtMemoryInfo("Cpu", arena, 0, onnxruntime.OrtMemType.DEFAULT)
    with suppress(Exception):  # if the process has already registered one, that one is used
        onnxruntime.create_and_register_allocator(
            kind, onnxruntime.OrtArenaCfg({"max_mem": memory_limit()})
        )


def read_onnx(path: str | os.PathLike[str]) -> bytes:
    """Read an ONNX file that contains its whole network.

    Args:
        path: the file.

    Returns:
        The file's bytes, for a runtime to load instead of the path.

    Raises:
        CheckpointError: the file is missing, truncated or not an ONNX file, or a tensor's values
            are in another file.
    """
    file = Path(path)
    if not is_ordinary(file):  # opening a pipe would block
        there = file.exists()
        raise CheckpointError(f"{path} is no file" if there else f"no such file: {path}")
    try:
        data = file.read_bytes() if file.stat().st_size <= _MOST_BYTES else b""
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}") from error
    try:
        outside = bool(data) and _is_external(memoryview(data))
    except (IndexError, ValueError) as error:
        raise CheckpointError(f"{path} is damaged, or no ONNX file: {error}") from error
    if not data:
        raise CheckpointError(f"{path} is no ONNX file: it is empty, or larger than 2 GB")
    if outside:
        raise CheckpointError(
            f"{path} keeps weights in other files, which are not opened; save it as one file, with "
            "onnx.save(onnx.load(FILE), NEW)"
        )
    return data


def metadata_of(model: bytes) -> dict[str, str]:
    """Read an ONNX file's metadata without running anything; damaged entries are skipped.

    Args:
        model: the file's bytes, from `read_onnx`.
    """
    found = {}
    for number, value in fields(memoryview(model)):
        if number == _METADATA and isinstance(value, memoryview):
            try:
                entry = {
                    key: bytes(part) for key, part in fields(value) if not isinstance(part, int)
                }
                found[entry.get(1, b"").decode()] = entry.get(2, b"").decode()
            except (ValueError, IndexError):  # not a message, or not text
                continue
    return found


def open_session(
    path: str | os.PathLike[str], device: str = "auto", threads: int | None = None
) -> Any:
    """Open an ONNX file that contains its whole network; no other file is read.

    Args:
        path: the file.
        device: "auto" (cuda if onnxruntime supports it, else cpu), "cpu", "cuda" or "mps".
        threads: CPU threads. Default: $OMP_NUM_THREADS, which PyTorch also obeys, else all cores.

    Returns:
        An onnxruntime.InferenceSession.

    Raises:
        CheckpointError: onnxruntime is not installed, or the file is missing, damaged or not an
            ONNX file.
        ConfigError: onnxruntime does not support the device.
    """
    try:
        onnxruntime = import_onnxruntime()
    except ImportError as error:
        raise CheckpointError(
            "ONNX files need onnxruntime: pip install 'reid-hash[onnx]'"
        ) from error
    content = read_onnx(path)
    there = onnxruntime.get_available_providers()
    usable = [name for name, provider in _PROVIDERS.items() if provider in there]
    if device == "auto":  # CoreML supports few operators, so only on request
        device = "cuda" if "cuda" in usable else "cpu"
    if device not in usable:
        raise ConfigError(
            f"--device {device}: onnxruntime on this machine has only: {', '.join(usable)}"
        )
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # errors are raised as well
    options.intra_op_num_threads = threads or _threads_of_torch()
    limit_memory(options)
    # otherwise bytes in onnxruntime's own format would be accepted, which read_onnx cannot check
    options.add_session_config_entry("session.load_model_format", "ONNX")
    try:
        return onnxruntime.InferenceSession(
            content, options, list(dict.fromkeys([_PROVIDERS[device], _PROVIDERS["cpu"]]))
        )
    except Exception as error:  # onnxruntime's exceptions have no common base class
        raise CheckpointError(
            f"{path} is damaged, or no ONNX file that onnxruntime can run: {first_line(error)}"
        ) from error


def _threads_of_torch() -> int:
    """Return $OMP_NUM_THREADS, or 0, which makes onnxruntime use all cores."""
    value = os.environ.get("OMP_NUM_THREADS", "")
    return int(value) if value.isdecimal() else 0


def first_line(error: Exception) -> str:
    """Return the first line of a library's exception message, or its class name."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Parse the fields of a protocol buffer message.

    Args:
        data: the message.

    Yields:
        (field number, integer or bytes) for each field of one of these types.

    Raises:
        ValueError: `data` is not a message.
        IndexError: the message is truncated.
    """
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind = key & 7
        if kind == 0:
            value, at = _varint(data, at)
            yield key >> 3, value
        elif kind == 2:
            length, at = _varint(data, at)
            if at + length > len(data):
                raise ValueError("it is cut off")
            yield key >> 3, data[at : at + length]
            at += length
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        else:
            raise ValueError("it is no protocol buffer")


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """Return (number, offset of what follows)."""
    value = shift = 0
    while shift < 70:  # at most ten bytes
        if at >= len(data):
            raise ValueError("it is cut off")
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
    raise ValueError("it is no protocol buffer")


def _is_external(model: memoryview) -> bool:
    """Check whether any tensor of a model stores its values in another file."""
    waiting = [("ModelProto", model)]  # not recursive: a file may nest graphs without end
    while waiting:
        kind, data = waiting.pop()
        for number, value in fields(data):
            if kind == "TensorProto":
                # location is 0 for this file and 1 for another file; other values are undefined
                if number == _EXTERNAL_DATA or (number == _DATA_LOCATION and value != 0):
                    return True
            elif number in MESSAGES[kind] and isinstance(value, memoryview):
                waiting.append((MESSAGES[kind][number], value))
    return False
