"""Image benchmarks from their published files, read by torchvision, or from class folders."""

import contextlib
import http.client
import io
import os
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reid_hash.data.class_tree import Parts, has_parts, read_parts
from reid_hash.data.dataset import ImageSet, RgbImage
from reid_hash.data.listing import counted, packed_hint, require_folder
from reid_hash.errors import DataError

_PATIENCE = 30.0  # seconds without a byte; torchvision itself would wait for ever


@dataclass(frozen=True)
class Published:
    """Published files that torchvision reads.

    Attributes:
        kind: name of the class in `torchvision.datasets`.
        folder: folder of the files below the data root.
        files: file names.
        archives: words in the name of an archive of these files; see `packed_hint`.
    """

    kind: str
    folder: str
    files: tuple[str, ...]
    archives: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Arrays:
    """Contents of one part as read by torchvision.

    Attributes:
        images: [n, height, width] or [n, height, width, 3] uint8.
        labels: [n] int64.
        classes: class names as torchvision has them.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]

    def image_set(self, part: str, labels: NDArray[np.int64]) -> ImageSet:
        """Make an image set with labels [n], names like "train/00000", and grey images as RGB."""
        images = self.images

        def read(i: int) -> RgbImage:
            image = images[i]
            return image if image.ndim == 3 else np.repeat(image[..., None], 3, 2)

        names = [f"{part}/{i:05d}" for i in range(len(images))]
        return ImageSet(read, names, labels, np.zeros(len(images), np.int64))


def find(root: Path, name: str, published: Published) -> Parts | Path:
    """Find a benchmark, and download it if it is missing and there is a network.

    Args:
        root: the data root.
        name: name of the data set; the files may also be in a folder of this name below the root.
        published: description of the files.

    Returns:
        The folder above `published.folder`; or the images of `train/` and `test/`, if these
        folders with class folders are below `root/name` or in the root itself.

    Raises:
        DataError: the data is missing and cannot be downloaded, or only some files are present.
    """
    if not root.is_dir() and (root.is_file() or not root.resolve().parent.is_dir()):
        require_folder(root)  # a download makes its folder, but not one whose name is a typo
    places = (root, root / name)
    for place in places:
        folder = place / published.folder
        lacking = [file for file in published.files if not (folder / file).is_file()]
        if not lacking:
            return place
        if folder.is_dir():
            packed = next(folder.glob("*.gz"), None)
            raise DataError(
                f"{folder} lacks {counted(len(lacking), 'file')} of {len(published.files)} "
                f"({', '.join(lacking)}); "
                + (f"unpack {packed.name} and the others there" if packed else "extract it again")
            )
    for place in (root / name, root):
        if place.is_dir() and has_parts(place):
            return read_parts(place)
    for word in published.archives:
        hint = packed_hint(places, word)
        if hint:
            raise DataError(f"no {name} in {root}{hint}")
    if (root / name).is_dir():
        raise DataError(
            f"{root / name} has neither {published.folder}/ nor train/ and test/ with class "
            "folders; extract the data set again, or remove the folder to download it"
        )
    return _download(root, name, published)


def _download(root: Path, name: str, published: Published) -> Path:
    """Download into the data root, all files or none."""
    made = not root.exists()
    try:
        root.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=root) as new, _no_hanging():
            _torchvision(published, Path(new), train=True, download=True)
            place = root / published.folder
            place.parent.mkdir(exist_ok=True)
            if not place.is_dir():  # another process of the same training may have been faster
                os.rename(Path(new) / published.folder, place)
    except (OSError, RuntimeError, EOFError, http.client.HTTPException) as error:
        if made:
            with contextlib.suppress(OSError):
                root.rmdir()
        reason = (str(error).strip().splitlines() or [type(error).__name__])[-1]
        raise DataError(
            f"no {name} in {root}, and it cannot be downloaded ({reason}); put "
            f"{published.files[0]} and the other files of the published archive into "
            f"{root / published.folder}, or images into {root / name}/train/CLASS and test/CLASS"
        ) from error
    return root


def read(place: Path, published: Published) -> tuple[Arrays, Arrays]:
    """Read the training and test part from a benchmark's own files.

    Args:
        place: the folder above `published.folder`.
        published: description of the files.

    Raises:
        DataError: the files are damaged.
    """
    folder = place / published.folder
    try:
        train, test = (_torchvision(published, place, train=t) for t in (True, False))
        parts = _arrays(train), _arrays(test)
    except (OSError, RuntimeError, ValueError, TypeError, KeyError, AssertionError) as error:
        raise DataError(f"{folder} is damaged or half extracted; extract it again") from error
    for part in parts:
        if len(part.images) != len(part.labels) or not len(part.images):
            raise DataError(
                f"{folder} is damaged: {len(part.images):,} images have {len(part.labels):,} "
                "labels; extract it again"
            )
        if not 0 <= part.labels.min() <= part.labels.max() < len(part.classes):
            raise DataError(f"{folder} holds labels of no class of {published.kind}")
    return parts


def _torchvision(published: Published, place: Path, train: bool, download: bool = False) -> Any:
    from torchvision import datasets

    with contextlib.redirect_stdout(io.StringIO()):  # standard output may be parsed
        return getattr(datasets, published.kind)(str(place), train=train, download=download)


@contextlib.contextmanager
def _no_hanging() -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_PATIENCE)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _arrays(part: Any) -> Arrays:
    images = np.asarray(part.data)
    if images.dtype != np.uint8 or images.ndim not in (3, 4):
        raise ValueError("not images of 8 bits")
    return Arrays(images, np.asarray(part.targets, np.int64), tuple(part.classes))
