"""One file for an index: a line of JSON and arrays that can be mapped into memory."""

import json
import mmap
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reid_hash.errors import CodeError
from reid_hash.files import replacing

_MAGIC = b"reid_hash index 1\n"
_ALIGNED = 64  # bytes; FAISS reads whole vector registers
_BLOCK = 2**24  # bytes copied at a time


def write_index_file(
    path: str | os.PathLike[str], header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]
) -> None:
    """Write an index file, whole or not at all.

    Args:
        path: the file.
        header: what JSON can hold; the key "arrays" is taken.
        arrays: any shapes; of fixed-size types.

    Raises:
        ReidHashError: it could not be written.
    """
    table, size = {}, 0
    for name, array in arrays.items():
        table[name] = {"type": array.dtype.str, "shape": list(array.shape), "at": size}
        size += -(-array.nbytes // _ALIGNED) * _ALIGNED
    text = json.dumps({**header, "arrays": table, "size": size}).encode() + b"\n"
    text += b" " * (-(len(_MAGIC) + len(text) + 8) % _ALIGNED)
    with replacing(path) as temporary, temporary.open("wb") as file:
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
    try:
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
        arrays = {
            name: np.frombuffer(
                mapped,
                np.dtype(entry["type"]),
                int(np.prod(entry["shape"])),
                start + entry["at"],
            ).reshape(entry["shape"])
            for name, entry in header["arrays"].items()
        }
    except FileNotFoundError as error:
        raise CodeError(f"no such file: {path}") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CodeError(f"{path} is no index, or is damaged: {error}; make it anew") from error
    if kind is not None and header.get("kind") != kind:
        raise CodeError(f"{path} is an index of kind {header.get('kind')}, not {kind}")
    return header, arrays
