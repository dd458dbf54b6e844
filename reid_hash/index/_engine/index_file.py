"""One file for an index: a line of JSON and arrays that can be mapped into memory."""

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
"""What reading an index whose header is wrong may raise, FAISS included."""


def write_index_file(
    path: str | os.PathLike[str],
    header: Mapping[str, Any],
    arrays: Mapping[str, NDArray[Any]],
    mode: int | None = None,
) -> None:
    """Write an index file, whole or not at all.

    Args:
        path: the file.
        header: what JSON can hold; the key "arrays" is taken.
        arrays: any shapes; of fixed-size types.
        mode: permissions of the file; those of an ordinary `open` when left out.

    Raises:
        ReidHashError: it could not be written.
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
            for start in range(0, len(data), _BLOCK):  # of a mapped file, a little at a time
                file.write(data[start : start + _BLOCK].data)
            file.write(bytes(-len(data) % _ALIGNED))


def read_index_file(
    path: str | os.PathLike[str], kind: str | None = None
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Map an index file into memory.

    Args:
        path: the file.
        kind: what the header's "kind" must be; any when left out.

    Returns:
        (header, arrays); the arrays are read-only views of the file. The header also says at
        which byte the first of them starts, as "start".

    Raises:
        CodeError: the file is missing, cut short, or holds something else.
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
    """Turn what reading a damaged index raises inside the block into a CodeError of one line.

    A checksum tells that a file is as it was written, not that it was written by this toolkit.
    """
    try:
        yield
    except CodeError:  # is a ValueError, and says already what is wrong
        raise
    except FileNotFoundError as error:
        raise CodeError(f"no such file: {path}") from error
    except _WRONG as error:
        reason = one_line(error)
        raise CodeError(f"{path} is no index, or is damaged: {reason}; make it anew") from error


def check_array(
    arrays: Mapping[str, NDArray[Any]], name: str, kind: type[np.generic], *shape: int | None
) -> NDArray[Any]:
    """An array of an index; ValueError where it is missing or of another type or shape.

    Args:
        arrays: by name.
        name: of the array.
        kind: type of its elements.
        shape: what it must be; None is any length.
    """
    array = arrays[name]
    fits = len(shape) == array.ndim and all(
        wanted in (None, length) for wanted, length in zip(shape, array.shape, strict=True)
    )
    if array.dtype != np.dtype(kind) or not fits:
        raise ValueError(f"{name} is {array.dtype} of shape {list(array.shape)}")
    return array


def check_ascending(ids: NDArray[np.int64], last: int, highest: int) -> int:
    """The last of some ids; ValueError where they do not ascend from above `last` to `highest`."""
    for start in range(0, len(ids), _BLOCK // 8):  # they may be in the file still
        block = ids[start : start + _BLOCK // 8]
        if block[0] <= last or (np.diff(block) <= 0).any():
            raise ValueError("its ids do not ascend")
        last = int(block[-1])
    if last > highest:
        raise ValueError("it holds later ids than it says")
    return last
