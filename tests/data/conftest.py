import http.server
import os
import struct
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
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
def shared_file() -> Callable[[str], Path]:
    """The path of one of the archives of real data; without it the test is skipped."""
    shared = os.environ.get("REID_HASH_SHARED") or Path(__file__).parents[3] / "shared"

    def get(name: str) -> Path:
        path = Path(shared) / "data" / name
        if not path.exists():
            pytest.skip(f"{name} is not there; $REID_HASH_SHARED names the folder above data/")
        return path

    return get


@pytest.fixture
def shared_zip(shared_file: Callable[[str], Path]) -> Callable[[str], zipfile.ZipFile]:
    """Opens one of the archives of real data, or skips the test."""
    return lambda name: zipfile.ZipFile(shared_file(name))


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets torchvision look for its data sets on this machine alone, where nothing is."""
    from torchvision import datasets

    nowhere = "http://127.0.0.1:9/"  # the port that discards: nothing listens there
    monkeypatch.setattr(datasets.MNIST, "mirrors", [nowhere])
    for kind in (datasets.CIFAR10, datasets.CIFAR100):
        monkeypatch.setattr(kind, "url", f"{nowhere}x.tar.gz")


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """Serves a folder on this machine; gives the folder and its address."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

    handler = partial(Handler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def _idx(array: NDArray[np.uint8]) -> bytes:
    """An array as the published files of MNIST hold it."""
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


@pytest.fixture
def idx() -> Callable[[NDArray[np.uint8]], bytes]:
    return _idx


@pytest.fixture
def mnist_files() -> Callable[..., tuple[dict[str, bytes], dict[str, Any]]]:
    """Invents the four files; gives them, and images and labels by part."""

    def make(train: int = 700, test: int = 60) -> tuple[dict[str, bytes], dict[str, Any]]:
        random = np.random.default_rng(0)
        files, arrays = {}, {}
        for part, n in (("train", train), ("t10k", test)):
            images = random.integers(0, 256, (n, 28, 28), np.uint8)
            labels = (np.arange(n) % 10).astype(np.uint8)
            files[f"{part}-images-idx3-ubyte"] = _idx(images)
            files[f"{part}-labels-idx1-ubyte"] = _idx(labels)
            arrays[part] = images, labels
        return files, arrays

    return make


@pytest.fixture
def write() -> Callable[[Path, Mapping[str, bytes]], None]:
    def make(folder: Path, files: Mapping[str, bytes]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (folder / name).write_bytes(content)

    return make
