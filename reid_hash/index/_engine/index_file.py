"""File format of an index: one line of JSON, then arrays that can be memory-mapped."""

import contextlib
import json
import math
import mmap
import operator
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reid_hash.errors import CodeError, one_line
from reid_hash.utils.files import json_text, replacing

_MAGIC = b"reid_hash index 1\n"
_ALIGNED = 64  # bytes; FAISS reads whole vector registers
_BLOCK = 2**24  # bytes copied at a time
_WRONG = (
    *(OSError, ValueError, KeyError, TypeError, IndexError, AttributeError),
    *(OverflowError, RecursionError, AssertionError, RuntimeError),
)
"""Exceptions that reading an index with a wrong header may raise, FAISS's included."""


def write_index_file(
    path: str | os.PathLike[str],
    header: Mapping[str, Any],
    arrays: Mapping[str, NDArray[Any]],
    mode: int | None = None,
) -> None:
    """Write an index file atomically.

    Args:
        path: destination file.
        header: JSON-serializable values; the key "arrays" is reserved.
        arrays: arrays by name, of any shape and of fixed-size types.
        mode: permission bits of the file. Default: those of an ordinary `open`.

    Raises:
        ReidHashError: the file could not be written.
    """
    table, size = {}, 0
    for name, array in arrays.items():
        table[name] = {"type": array.dtype.str, "shape": list(array.shape), "at": size}
        size += -(-array.nbytes // _ALIGNED) * _ALIGNED
    text = json_text({**header, "arrays": table, "size": size}).encode() + b"\n"
    text += b" " * (-(len(_MAGIC) + len(text) + 8) % _ALIGNED)
    with replacing(path, mode) as temporary, temporary.open("wb") as file:
        file.write(_MAGIC + len(text).to_bytes(8, "little") + text)
        for array in arrays.values():
            data = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
            for start in range(0, len(data), _BLOCK):  # in blocks: the array may be a mapped file
                file.write(data[start : start + _BLOCK].data)
            file.write(bytes(-len(data) % _ALIGNED))


def read_index_file(
    path: str | os.PathLike[str], kind: str | None = None
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Map an index file into memory.

    Args:
        path: the index file.
        kind: required value of the header's "kind". Default: any.

    Returns:
        (header, arrays). The arrays are read-only views of the file. The header's "start" is the
        byte offset of the first array.

    Raises:
        CodeError: the file is missing, truncated, or not an index of this kind.
    """
    with whole_index(path):
        with Path(path).open("rb") as file:
            if file.read(len(_MAGIC)) != _MAGIC:
                raise CodeError(f"{path} is no index of this version; make it anew")
            length = int.from_bytes(file.read(8), "little")
            start = len(_MAGIC) + 8 + length
            if start > os.fstat(file.fileno()).st_size:
                raise CodeError(f"{path} is cut short; make it anew")
            header = json.loads(file.read(length))
            if os.fstat(file.fileno()).st_size != start + header["size"]:
                raise CodeError(f"{path} is cut short; make it anew")
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        header["start"] = start
        arrays = {name: _view(mapped, start, entry) for name, entry in header["arrays"].items()}
    if kind is not None and header.get("kind") != kind:
        raise CodeError(f"{path} is an index of kind {header.get('kind')}, not {kind}")
    return header, arrays


def _view(mapped: mmap.mmap, start: int, entry: Mapping[str, Any]) -> NDArray[Any]:
    shape, at = [operator.index(n) for n in entry["shape"]], operator.index(entry["at"])
    if min(shape, default=0) < 0 or at < 0:
        raise ValueError("an array has no such shape or place")
    array: NDArray[Any] = np.frombuffer(
        mapped, np.dtype(str(entry["type"])), math.prod(shape), start + at
    ).reshape(shape)
    return array


@contextlib.contextmanager
def whole_index(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn any error from reading a damaged index inside the block into a one-line CodeError.

    A checksum proves that a file is unchanged, not that this toolkit wrote it.
    """
    try:
        yield
    except CodeError:  # a ValueError that already says what is wrong
        raise
    except FileNotFoundError as error:
        raise CodeError(f"no such file: {path}") from error
    except _WRONG as error:
        reason = one_line(error)
        raise CodeError(f"{path} is no index, or is damaged: {reason}; make it anew") from error


def check_array(
    arrays: Mapping[str, NDArray[Any]], name: str, kind: type[np.generic], *shape: int | None
) -> NDArray[Any]:
    """Return an array of an index; ValueError if it is missing or has another type or shape.

    Args:
        arrays: the arrays by name.
        name: name of the array.
        kind: required element type.
        shape: required shape; None allows any length.
    """
    array = arrays[name]
    fits = len(shape) == array.ndim and all(
        wanted in (None, length) for wanted, length in zip(shape, array.shape, strict=True)
    )
    if array.dtype != np.dtype(kind) or not fits:
        raise ValueError(f"{name} is {array.dtype} of shape {list(array.shape)}")
    return array


def check_ascending(ids: NDArray[np.int64], last: int, highest: int) -> int:
    """Return the last id; ValueError unless the ids ascend from above `last` to `highest`."""
    for start in range(0, len(ids), _BLOCK // 8):  # in blocks: ids may still be in the file
        block = ids[start : start + _BLOCK // 8]
        if block[0] <= last or (np.diff(block) <= 0).any():
            raise ValueError("its ids do not ascend")
        last = int(block[-1])
    if last > highest:
        raise ValueError("it holds later ids than it says")
    return last
