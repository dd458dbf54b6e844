"""Vectors out of FAISS's flat indexes, read without FAISS.

`faiss.read_index` believes what a file says of itself, and a damaged one can end the process. Flat
indexes are a header and the vectors, so they are mapped here once header and file size agree. The
layout is that of faiss/impl/index_write.cpp: `IxF2`, `IxFI` and `IxFl` hold floats, `IBxF` holds
bits, and `IxMp`, `IxM2`, `IBMp` and `IBM2` wrap one of them with a number for each vector.
"""

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from reid_hash.errors import DataError

_FLOATS = (b"IxF2", b"IxFI", b"IxFl")
_BITS = b"IBxF"
_NUMBERED = (b"IxMp", b"IxM2", b"IBMp", b"IBM2")
_MOST_DIMS = 2**20

_OTHERS = {
    b"IwFl": "IndexIVFFlat",
    b"IwPQ": "IndexIVFPQ",
    b"IwSq": "IndexIVFScalarQuantizer",
    b"IxPq": "IndexPQ",
    b"IxSQ": "IndexScalarQuantizer",
    b"IxPT": "IndexPreTransform",
    b"IHNf": "IndexHNSWFlat",
    b"IBwF": "IndexBinaryIVF",
    b"IBHf": "IndexBinaryHNSW",
}


@dataclass(frozen=True, eq=False)
class FlatIndex:
    """What a flat index holds, mapped.

    Attributes:
        stored: [n, d] float32, or of bits [n, d / 8] uint8.
        bits: whether it is of bits.
        ids: [n] int64, the number of each vector; None where they are counted from 0.
    """

    stored: NDArray[np.float32] | NDArray[np.uint8]
    bits: bool
    ids: NDArray[np.int64] | None

    def __len__(self) -> int:
        return len(self.stored)

    def rows(self, chosen: NDArray[np.int64] | slice) -> NDArray[np.float32] | NDArray[np.int8]:
        """Some vectors: [n, d] float32, or of bits [n, d] int8, -1 and 1."""
        part = self.stored[chosen]
        if not self.bits:
            return np.array(part, np.float32)
        signs = np.unpackbits(np.asarray(part, np.uint8), axis=1, bitorder="little").view(np.int8)
        signs *= 2
        signs -= 1
        return signs


def read_flat_index(path: Path) -> FlatIndex:
    """Map a flat index.

    Raises:
        DataError: the file is damaged, or another kind of index.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        try:
            kind = file.read(4)
            numbered = kind in _NUMBERED
            total = None
            if numbered:
                total = _header(file, kind)[1]
                kind = file.read(4)
            if kind not in (*_FLOATS, _BITS):
                raise DataError(_refused(kind))
            dims, count = _header(file, kind)
            (units,) = struct.unpack("<Q", file.read(8))
            first = file.tell()
            width = dims // 8 if kind == _BITS else 4 * dims
            held = units if kind == _BITS else 4 * units
            if held != count * width or first + held > size or total not in (None, count):
                raise DataError("it is damaged: it says another size than it has")
            ids = None
            end = first + held
            if numbered:
                file.seek(end)
                (numbers,) = struct.unpack("<Q", file.read(8))
                end += 8 + 8 * count
                if numbers != count or end > size:
                    raise DataError("it is damaged: it has not one number for each vector")
                ids = np.fromfile(file, "<i8", count).astype(np.int64)
        except struct.error as error:
            raise DataError("it is damaged: it ends too early") from error
    if end != size:
        raise DataError(f"it is damaged: {size - end:,} bytes follow on the last vector")
    if not count:
        raise DataError("it holds no embeddings")
    if kind == _BITS:
        return FlatIndex(np.memmap(path, np.uint8, "r", first, (count, dims // 8)), True, ids)
    return FlatIndex(np.memmap(path, "<f4", "r", first, (count, dims)), False, ids)


def _header(file: BinaryIO, kind: bytes) -> tuple[int, int]:
    """(dimensions, vectors) of the header that follows on a kind."""
    if kind.startswith(b"IB"):
        dims, width, count, _, _ = struct.unpack("<iiq?i", file.read(21))
        if width * 8 != dims:
            raise DataError(f"it is damaged: {dims} bits are not {width} bytes")
    else:
        dims, count, _, _, _, metric = struct.unpack("<iqqq?i", file.read(33))
        if metric > 1:
            file.read(4)  # its argument
    if not 0 < dims <= _MOST_DIMS or count < 0:
        raise DataError(f"it is damaged: {count:,} vectors of {dims:,} dimensions")
    return dims, count


def _refused(kind: bytes) -> str:
    known = _OTHERS.get(kind)
    if known is None:
        return "it is no flat index of FAISS, float or binary, or is damaged"
    return (
        f"it is FAISS's {known}, which does not hold the vectors one by one: write them with "
        "index.reconstruct_n(0, index.ntotal) and numpy.save, or take a flat index"
    )
