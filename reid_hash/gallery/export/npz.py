"""A gallery as an .npz file: plain arrays, no pickle.

Each part of the rows has its own arrays. Text and thumbnails are joined to one array of bytes
with an array of lengths; numbers that may be missing come with an array that says where they are.
"""

import json
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from reid_hash.errors import GalleryError, one_line
from reid_hash.utils.files import json_text
from reid_hash.utils.npz import NpzFile

_TEXT, _WHOLE = ("camera", "source"), ("track", "frame", "identity")
_REAL = ("time", "x", "y", "w", "h")

Part = dict[str, list[Any]]
"""Columns of some rows by name; `export.io` says which."""

MOST_ROWS = 2**16
"""Rows of a part: as Python's objects they take many times the bytes they take in the file."""


def write_npz(path: Path, header: dict[str, Any], parts: Iterable[Part]) -> None:
    """Write a gallery; `export.io` says what header and parts are."""
    with zipfile.ZipFile(path, "w") as archive:

        def put(name: str, array: np.ndarray[Any, Any]) -> None:
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)

        put("header", np.frombuffer(json_text(header).encode(), np.uint8))
        for i, part in enumerate(parts):
            start = f"part{i:05d}_"
            put(start + "id", np.array(part["id"], np.int64))
            code = np.frombuffer(b"".join(part["code"]), np.uint8)
            put(start + "code", code.reshape(len(part["id"]), -1))
            for name in _REAL:
                put(start + name, np.array([_or(v, np.nan) for v in part[name]], np.float64))
            for name in _WHOLE:
                put(start + name, np.array([_or(v, 0) for v in part[name]], np.int64))
                put(f"{start}{name}_known", np.array([v is not None for v in part[name]]))
            for name in (*_TEXT, "thumbnail"):
                data = [v.encode() if isinstance(v, str) else v for v in part[name]]
                # −1 stands for none, which is not the same as nothing
                lengths = [-1 if v is None else len(v) for v in data]
                put(f"{start}{name}_length", np.array(lengths, np.int64))
                joined = b"".join([v for v in data if v is not None])
                put(start + name, np.frombuffer(joined, np.uint8))


def _or(value: Any, other: Any) -> Any:
    return other if value is None else value


def read_npz(path: Path) -> tuple[dict[str, Any], Iterator[Part]]:
    """Read what `write_npz` wrote; the parts when they are asked for."""
    try:
        with NpzFile(path, stored=True) as file:
            header: dict[str, Any] = json.loads(file.read("header", "u", None, width=1).tobytes())
    except Exception as error:  # zipfile, zlib, NumPy and json each have their own
        reason = one_line(error)
        raise GalleryError(f"{path} is no exported gallery, or damaged: {reason}") from error

    def parts() -> Iterator[Part]:
        try:
            with NpzFile(path, stored=True) as file:
                starts = [n.removesuffix("id") for n in file.names if n.endswith("_id")]
                for start in starts:
                    yield _npz_part(file, start)
        except GalleryError:
            raise
        except Exception as error:
            raise GalleryError(f"{path} is damaged: {one_line(error)}") from error

    return header, parts()


def _npz_part(file: NpzFile, start: str) -> Part:
    part: Part = {"id": file.read(start + "id", "i", None).tolist()}
    rows = len(part["id"])
    if rows > MOST_ROWS:
        raise ValueError(f"{rows:,} rows in a part")
    part["code"] = [code.tobytes() for code in file.read(start + "code", "u", rows, None, width=1)]
    for name in _REAL:
        reals = file.read(start + name, "f", rows).tolist()
        part[name] = [None if v != v else v for v in reals]
    for name in _WHOLE:
        numbers = file.read(start + name, "i", rows).tolist()
        pairs = zip(numbers, file.read(f"{start}{name}_known", "b", rows), strict=True)
        part[name] = [value if known else None for value, known in pairs]
    for name in (*_TEXT, "thumbnail"):
        lengths = file.read(f"{start}{name}_length", "i", rows)
        data = file.read(start + name, "u", None, width=1).tobytes()
        if rows and (lengths.max() > len(data) or lengths.clip(0).sum() != len(data)):
            raise ValueError(f"the lengths of {name} are not those of its bytes")
        ends = np.cumsum(lengths.clip(0)).tolist()
        values: list[Any] = [
            None if n < 0 else data[end - n : end]
            for n, end in zip(lengths.tolist(), ends, strict=True)
        ]
        part[name] = values if name == "thumbnail" else [v.decode() for v in values]
    return part
