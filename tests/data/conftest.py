import os
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

Crops = dict[int, NDArray[np.object_]]
"""Camera pair → [persons, 10] of images or None."""


def _make_crops(persons: Sequence[int], seed: int) -> Crops:
    """Random images of all sizes; crops 3, 8 and 10 of an identity do not exist."""
    random = np.random.default_rng(seed)
    crops = {}
    for pair, count in enumerate(persons, 1):
        cells = np.full((count, 10), None, object)
        for i, j in np.ndindex(count, 10):
            if j not in (2, 7, 9):
                size = (int(random.integers(9, 14)), int(random.integers(4, 8)), 3)
                cells[i, j] = random.integers(0, 256, size, np.uint8)
        crops[pair] = cells
    return crops


def _write_mat(
    path: Path, boxes: dict[str, Crops], testsets: Sequence[Any], upright: bool = False
) -> None:
    """Write `cuhk-03.mat` as MATLAB does: HDF5 with all arrays transposed.

    `upright` turns the cells and test sets, whose right side shows in their shape, the other way.
    """

    def turn(array: NDArray[Any]) -> NDArray[Any]:
        return array if upright else array.T

    with h5py.File(path, "w", userblock_size=512) as file:
        store = file.create_group("#refs#")

        def put(array: NDArray[Any], empty: bool = False) -> h5py.Reference:
            of_references = {"dtype": h5py.ref_dtype} if array.dtype == object else {}
            dataset = store.create_dataset(f"r{len(store)}", data=array, **of_references)
            if empty:
                dataset.attrs["MATLAB_empty"] = np.uint8(1)
            return dataset.ref

        def cell(image: NDArray[np.uint8] | None) -> h5py.Reference:
            return put(np.zeros(2, np.uint64), True) if image is None else put(image.T)

        def row(references: list[h5py.Reference]) -> dict[str, Any]:
            array = np.empty((1, len(references)), object)
            array[0] = references
            return {"data": array, "dtype": h5py.ref_dtype}

        for name, crops in boxes.items():
            pairs = []
            for cells in crops.values():
                references = np.empty(cells.shape, object)
                for at in np.ndindex(cells.shape):
                    references[at] = cell(cells[at])
                pairs.append(put(turn(references)))
            file.create_dataset(name, **row(pairs))
        sets = [put(turn(np.array(rows, np.float64))) for rows in testsets]
        file.create_dataset("testsets", **row(sets))
    with path.open("r+b") as stream:  # the user block, which HDF5 passes over
        stream.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM")


@pytest.fixture(scope="session")
def make_crops() -> Callable[..., Crops]:
    return _make_crops


@pytest.fixture(scope="session")
def write_mat() -> Callable[..., None]:
    return _write_mat


@pytest.fixture
def touch() -> Callable[..., None]:
    """Makes empty files: readers must not open images to list them."""

    def make(folder: Path, *names: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for name in names:
            (folder / name).touch()

    return make


@pytest.fixture
def write_image() -> Callable[[Path], NDArray[np.uint8]]:
    def write(path: Path) -> NDArray[np.uint8]:
        image = np.random.default_rng(1).integers(0, 256, (16, 8, 3), np.uint8)
        path.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(path), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        return image

    return write


@pytest.fixture
def shared_zip() -> Callable[[str], zipfile.ZipFile]:
    """Opens one of the archives of real data, or skips the test."""
    shared = os.environ.get("REID_HASH_SHARED") or Path(__file__).parents[3] / "shared"

    def get(name: str) -> zipfile.ZipFile:
        path = Path(shared) / "data" / name
        if not path.exists():
            pytest.skip(f"{name} is not there; $REID_HASH_SHARED names the folder above data/")
        return zipfile.ZipFile(path)

    return get
