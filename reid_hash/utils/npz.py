"""Read arrays from an untrusted .npz file.

NumPy trusts such a file's sizes: three megabytes that unpack to six gigabytes take six gigabytes.
Here an array's header and the file's size are checked before memory is allocated.
"""

import math
import os
import zipfile
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import numpy as np
from numpy.typing import NDArray

_RATIO = 50
"""Largest accepted compression ratio. Codes are nearly random; names, padded and with four bytes
per character, come closest to it."""
_SMALL = 2**25
"""Bytes that are always allowed for an array."""
_HEADER = 10_000
"""Largest accepted size of an array's header in bytes."""


class NpzFile:
    """Context manager of an open .npz file.

    Args:
        path: the file.
        stored: refuse compressed arrays, and arrays with more bytes than the file.

    Raises:
        ValueError, OSError, zipfile.BadZipFile: the file is not an .npz file.
    """

    def __init__(self, path: str | os.PathLike[str], stored: bool = False) -> None:
        self._size = Path(path).stat().st_size
        self._stored = stored
        self._archive = zipfile.ZipFile(path)
        if stored and sum(info.file_size for info in self._archive.infolist()) > self._size:
            self._archive.close()
            raise ValueError("its arrays are larger than the file")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._archive.close()

    @property
    def names(self) -> list[str]:
        """Names of the arrays."""
        return [name.removesuffix(".npy") for name in self._archive.namelist()]

    def read(self, name: str, kinds: str, *shape: int | None, width: int = 8) -> NDArray[Any]:
        """Read an array; the result is read-only.

        Args:
            name: name of the array.
            kinds: NumPy letters of the allowed types: `b` bool, `i`, `u`, `f`, `U`.
            shape: required shape; None allows any length.
            width: largest allowed bytes per element.

        Raises:
            ValueError, KeyError, OSError, zipfile.BadZipFile, zlib.error: the array is missing, has
                another type or shape, is damaged, or takes more memory than its bytes justify.
        """
        info = self._archive.getinfo(f"{name}.npy")
        allowed = (
            {zipfile.ZIP_STORED} if self._stored else {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
        )
        if info.compress_type not in allowed:
            raise ValueError(f"{name} is compressed, which it never is here")
        with self._archive.open(info) as file:
            found, fortran, dtype = _read_header(file)
            count = math.prod(found)
            fits = len(found) == len(shape) and all(
                wanted in (None, length) for wanted, length in zip(shape, found, strict=True)
            )
            if dtype.kind not in kinds or dtype.itemsize > width or not fits:
                raise ValueError(f"{name} is {dtype} of shape {list(found)}")
            size = count * dtype.itemsize
            if size != info.file_size - file.tell():
                raise ValueError(f"{name} is not of the size that it says")
            packed = min(info.compress_size, self._size)
            if size > (packed if info.compress_type == zipfile.ZIP_STORED else self._most(packed)):
                raise ValueError(f"{name} would take {size:,} bytes out of {packed:,}")
            data = file.read(size)
            if len(data) != size or file.read(1):  # reading to the end verifies the checksum
                raise ValueError(f"{name} is not of the size that it says")
        array: NDArray[Any] = np.frombuffer(data, dtype, count)
        return array.reshape(found, order="F" if fortran else "C")

    @staticmethod
    def _most(packed: int) -> int:
        return max(_SMALL, _RATIO * packed)


def _read_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(file)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if read is None:
        raise ValueError(f"an array of version {version}")
    shape, fortran, dtype = read(file, max_header_size=_HEADER)
    return shape, fortran, dtype
