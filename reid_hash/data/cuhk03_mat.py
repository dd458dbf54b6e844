"""The original `cuhk-03.mat`: CUHK03's images and its 20 published splits in one HDF5 file."""

import threading
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from reid_hash.data.dataset import ImageSet, RgbImage
from reid_hash.errors import DataError

_PAIR = 10_000  # more than the identities of any camera pair
_CROPS = 10  # at most per identity: 1 to 5 from view 1, 6 to 10 from view 2
_HEADER_7 = b"MATLAB 7.3"
_HEADER_5 = b"MATLAB 5.0"
_DAMAGE = (OSError, RuntimeError, KeyError, ValueError, TypeError, IndexError)
"""Exceptions that h5py raises on a damaged file."""


def identity(pair: int, person: int) -> int:
    """Return the label of a person, whose number is unique only within its camera pair."""
    return pair * _PAIR + person


def person(label: int) -> tuple[int, int]:
    """Return the camera pair and person number of a label."""
    return label // _PAIR, label % _PAIR


def crop_name(pair: int, number: int, index: int) -> str:
    """Return other toolkits' file name for a crop (index 1 to 10), without suffix."""
    return f"{pair}_{number:03d}_{1 if index <= _CROPS // 2 else 2}_{index:02d}"


class CuhkMat:
    """`cuhk-03.mat`, open for reading.

    The file is MATLAB v7.3, whose arrays are transposed. `/labeled` and `/detected` [1, 5] refer to
    one array of references [10, persons] per camera pair. These refer to images [3, width, height]
    uint8 RGB, or to empty arrays for crops that do not exist. `/testsets` [1, 20] refers to arrays
    [2, 100] of camera pair and person, counted from 1.

    Args:
        path: path of the file.

    Attributes:
        path: path of the file.

    Raises:
        DataError: the file is another file, or damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()  # HDF5 is not thread-safe
        try:
            self._file = h5py.File(path, "r")
        except OSError as error:
            raise DataError(self._why_not(error)) from error

    def _why_not(self, error: OSError) -> str:
        try:
            with self.path.open("rb") as file:
                head = file.read(len(_HEADER_7))
        except OSError as unreadable:
            return f"{self.path}: {unreadable.strerror or unreadable}"
        if head == _HEADER_5:
            return (
                f"{self.path} is in MATLAB's older format; the published cuhk-03.mat is MATLAB "
                "v7.3 (HDF5): use that one"
            )
        if head == _HEADER_7 or "truncated" in str(error):
            return (
                f"{self.path} is cut off or damaged ({_reason(error)}); download it again, or "
                "remove it to read extracted images beside it"
            )
        return f"{self.path} is no cuhk-03.mat (not an HDF5 file); download it again"

    def images(self, boxes: str) -> ImageSet:
        """Return all crops as an image set that reads them one by one.

        Args:
            boxes: "labeled" or "detected".

        Returns:
            Images named like `cuhk-03.mat/labeled/1_001_1_01`, with identities unique across camera
            pairs, and cameras 1 and 2.

        Raises:
            DataError: the file is damaged.
        """
        names: list[str] = []
        references: list[h5py.Reference] = []
        labels, cameras = [], []
        try:
            for pair, cell in enumerate(self._file[boxes][()].ravel(), 1):
                for number, crops in enumerate(self._persons(cell), 1):
                    for index, reference in enumerate(crops, 1):
                        if self._is_image(reference):
                            names.append(crop_name(pair, number, index))
                            references.append(reference)
                            labels.append(identity(pair, number))
                            cameras.append(1 if index <= _CROPS // 2 else 2)
        except _DAMAGE as error:
            raise self._damaged(f"/{boxes}", error) from error

        def read(i: int) -> RgbImage:
            try:
                with self._lock:
                    stored = self._file[references[i]][()]
                return _upright(stored)
            except _DAMAGE as error:
                raise DataError(f"{self.path}: {names[i]}: {_reason(error)}") from error

        shown = [f"{self.path.name}/{boxes}/{name}" for name in names]
        return ImageSet(read, shown, np.array(labels, np.int64), np.array(cameras, np.int64))

    def test_identities(self, split: int) -> set[int]:
        """Return the identities tested in a published split.

        Args:
            split: 0 to 19.

        Raises:
            DataError: there is no such split, or the file is damaged.
        """
        try:
            sets = self._file["testsets"][()].ravel()
            if split < len(sets):
                rows = np.asarray(self._file[sets[split]][()])
                if rows.shape[0] != 2:
                    rows = rows.T
                return {identity(int(p), int(number)) for p, number in zip(*rows, strict=True)}
        except _DAMAGE as error:
            raise self._damaged("/testsets", error) from error
        raise DataError(
            f"{self.path} holds {len(sets)} splits; data.split is 0 to {len(sets) - 1}, not {split}"
        )

    def _is_image(self, reference: h5py.Reference) -> bool:
        """Check whether a crop exists: MATLAB stores an empty cell as its shape, [2] uint64."""
        # h5py's low-level interface is twice as fast, and there are 14,670 cells
        stored = h5py.h5r.dereference(reference, self._file.id) if reference else None
        return stored is not None and len(stored.shape) == 3

    def _persons(self, cell: h5py.Reference) -> NDArray[np.object_]:
        """Return the references [persons, 10] of a camera pair."""
        array = np.asarray(self._file[cell][()])
        if array.dtype != object:  # an empty cell array: a pair without persons
            return np.empty((0, _CROPS), object)
        if array.shape[0] == _CROPS:
            array = array.T
        if array.ndim != 2 or array.shape[1] != _CROPS:
            raise ValueError(f"a camera pair of shape {array.shape} where [10, persons] is due")
        return array

    def _damaged(self, what: str, error: Exception) -> DataError:
        return DataError(
            f"{self.path}: {what} cannot be read ({_reason(error)}); download the file again, or "
            "remove it to read extracted images beside it"
        )


def _upright(stored: NDArray[np.uint8]) -> RgbImage:
    """Convert [3, width, height] (MATLAB) or [height, width, 3] to [height, width, 3]."""
    if stored.dtype != np.uint8 or 3 not in (stored.shape[0], stored.shape[-1]):
        raise ValueError(f"{stored.dtype} of shape {stored.shape} where an image is due")
    return np.ascontiguousarray(stored.T if stored.shape[0] == 3 else stored)


def _reason(error: Exception) -> str:
    return str(error).strip("'\"").replace("\n", " ") or type(error).__name__
