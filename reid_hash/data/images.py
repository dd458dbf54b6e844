"""Decoding: image sets → one uint8 array, once, on all cores."""

import contextlib
import math
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import psutil
from numpy.typing import NDArray

from reid_hash.data.dataset import ImageSet, Labels, RgbImage, described
from reid_hash.errors import DataError, ImageError, one_line

SUFFIXES = (".jpg", ".jpeg", ".jfif", ".png", ".webp", ".bmp", ".ppm", ".tif", ".tiff")
_THUMBNAIL = (128, 64)  # height and width at most, in pixels: some 3 KB
_BLOCK = 64  # images a task: handing each image of a benchmark over by itself costs more than it


@dataclass(frozen=True, eq=False, repr=False)
class Pixels:
    """Decoded images of one size.

    Attributes:
        images: [n, height, width, 3] uint8 RGB; a memory map where memory would not hold it.
        labels: [n] int64, or [n, classes] bool; see `ImageSet`.
        cameras: [n] int64.
        names: [n].
        unreadable: why each image that is left out could not be read, "name: reason".
    """

    images: NDArray[np.uint8]
    labels: Labels
    cameras: NDArray[np.int64]
    names: list[str]
    unreadable: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        height, width = self.images.shape[1:3]
        return f"<Pixels of {height}×{width}: {described(self.labels, self.cameras)}>"

    def subset(self, rows: NDArray[np.bool_]) -> "Pixels":
        """The images of a mask [n]."""
        names = [name for name, kept in zip(self.names, rows, strict=True) if kept]
        return Pixels(self.images[rows], self.labels[rows], self.cameras[rows], names)


def find_images(paths: Sequence[Path]) -> list[Path]:
    """List files as they are given, and of folders all images below them, sorted.

    Linked folders are followed, each folder once. Hidden files and folders, and the leavings of
    macOS's archives, are none.

    Raises:
        DataError: a path does not exist, or a folder holds no image.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            below = sorted(p for p in _below(path) if p.suffix.lower() in SUFFIXES)
            if not below:
                raise DataError(f"{path} holds no images ({', '.join(SUFFIXES)})")
            found += below
        elif path.exists():
            found.append(path)
        else:
            raise DataError(f"no such file or folder: {path}")
    return found


def _below(folder: Path) -> Iterator[Path]:
    """The files below a folder; see `find_images`."""
    seen = set()
    for place, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:  # links in a circle
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(f for f in folders if not f.startswith(".") and f != "__MACOSX")
        yield from (Path(place, file) for file in files if not file.startswith("."))


def read_image(path: str | os.PathLike[str]) -> RgbImage:
    """Read an image file.

    Returns:
        [height, width, 3] uint8 RGB.

    Raises:
        DataError: there is no such file, it is empty, or it is no image that OpenCV reads.
    """
    try:
        with open(path, "rb", buffering=0) as file:  # twice as quick as np.fromfile on small files
            data = file.read()
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or 'cannot be read'}") from error
    except ValueError as error:  # a zero byte
        raise DataError(f"{os.fspath(path)!r} is no path") from error
    if not data:
        raise DataError(f"{path}: the file is empty")
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    except cv2.error:
        image = None
    if image is None:
        raise DataError(f"{path}: not an image, or cut off")
    return np.asarray(image, np.uint8)


def as_image(given: object, color: str = "rgb") -> RgbImage:
    """Read what a person has an image in.

    Args:
        given: a path, a PIL image of any mode with 8 bits a channel, or an array
            [height, width, 3] uint8. Images that PIL opened are turned as their EXIF data say, as
            files are; transparency is dropped, and greyscale becomes three equal channels.
        color: the order of an array's channels, "rgb" or "bgr" (OpenCV's); files and PIL images
            know their own.

    Returns:
        [height, width, 3] uint8 RGB.

    Raises:
        DataError: a file, or the data behind a PIL image, cannot be read.
        ImageError: it is something else, or `color` is.
    """
    if color not in ("rgb", "bgr"):
        raise ImageError(f'color is "rgb" or "bgr", not {color!r}')
    if isinstance(given, str | os.PathLike):
        return read_image(given)
    if not isinstance(given, np.ndarray):
        given, color = _from_pil(given), "rgb"
    if given.dtype != np.uint8 or given.ndim != 3 or given.shape[2] != 3 or not given.size:
        raise ImageError(
            f"an image is a uint8 array [height, width, 3], not {given.dtype} {list(given.shape)}"
        )
    return given if color == "rgb" else given[:, :, ::-1]


def _from_pil(given: object) -> RgbImage:
    from PIL import Image as pil  # here: most callers have files or arrays
    from PIL import ImageOps

    if not isinstance(given, pil.Image):
        kind = type(given).__name__
        raise ImageError(f"an image is a path, a PIL image, or a uint8 RGB array, not {kind}")
    if given.mode.startswith(("I", "F")):
        raise ImageError(f"a PIL image of mode {given.mode} has no 8 bits a channel; convert it")
    try:
        return np.asarray(ImageOps.exif_transpose(given).convert("RGB"), np.uint8)
    except (OSError, ValueError, SyntaxError, AttributeError) as error:  # it decodes only now
        raise DataError(f"a PIL image cannot be read: {one_line(error)}") from error


def resize(
    image: RgbImage, height: int, width: int, growing: Literal["cubic", "linear"] = "cubic"
) -> RgbImage:
    """Scale to height × width: by area where it shrinks, bicubic or bilinear where it grows."""
    if image.shape[:2] == (height, width):
        return image
    shrinks = image.shape[0] * image.shape[1] > height * width
    how = cv2.INTER_CUBIC if growing == "cubic" else cv2.INTER_LINEAR
    how = cv2.INTER_AREA if shrinks else how
    return np.asarray(cv2.resize(image, (width, height), interpolation=how), np.uint8)


def thumbnail(image: RgbImage) -> bytes:
    """A small JPEG of an image, of its own proportions.

    Args:
        image: [height, width, 3] uint8 RGB.
    """
    height, width = image.shape[:2]
    scale = min(1.0, _THUMBNAIL[0] / height, _THUMBNAIL[1] / width)
    small = resize(image, max(1, round(height * scale)), max(1, round(width * scale)))
    _, data = cv2.imencode(".jpg", small[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])
    return bytes(data)


def decode(
    images: ImageSet,
    height: int,
    width: int,
    skip_unreadable: bool = False,
    progress: Callable[[int], object] | None = None,
    growing: Literal["cubic", "linear"] = "cubic",
) -> Pixels:
    """Read and scale all images of a set.

    Args:
        images: what to read.
        height: of the result, in pixels.
        width: of the result, in pixels.
        skip_unreadable: go on without images that cannot be read; they stand in the result's
            `unreadable`. Otherwise the first of them is an error.
        progress: called with 1 for each image.
        growing: see `resize`.

    Raises:
        DataError: there are images that cannot be read (the message counts them and names the
            first three), or none is left.
    """
    out = _array((len(images), height, width, 3))
    failures: dict[int, str] = {}

    def one(i: int) -> None:
        try:
            out[i] = resize(images.read(i), height, width, growing)
        except DataError as error:
            failures[i] = str(error)
        if progress is not None:
            progress(1)

    def block(start: int) -> None:
        for i in range(start, min(start + _BLOCK, len(images))):
            one(i)

    with ThreadPoolExecutor(os.cpu_count()) as pool:  # OpenCV lets go of the interpreter's lock
        list(pool.map(block, range(0, len(images), _BLOCK)))
    if failures and not skip_unreadable:
        first = "; ".join(failures[i] for i in sorted(failures)[:3])
        raise DataError(
            f"{len(failures)} of {len(images)} images cannot be read ({first}); "
            "mend them, or leave them out with --skip-unreadable"
        )
    keep = np.array([i for i in range(len(images)) if i not in failures], np.int64)
    if not len(keep):
        raise DataError("there is no image to read" if not failures else "no image can be read")
    if failures:  # close the gaps in place: a second array might not fit into memory
        for row, i in enumerate(keep):
            out[row] = out[i]
    return Pixels(
        out[: len(keep)],
        images.labels[keep],
        images.cameras[keep],
        [images.names[i] for i in keep],
        tuple(failures[i] for i in sorted(failures)),
    )


def _array(shape: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    """An array in memory, or on disk where it would take more than half of what is free."""
    size = math.prod(shape)
    if size <= psutil.virtual_memory().available / 2:
        return np.empty(shape, np.uint8)
    # a map of a file is sparse at first: a full disk would kill the process only later
    if size < shutil.disk_usage(tempfile.gettempdir()).free:
        with contextlib.suppress(OSError), tempfile.TemporaryFile(prefix="reid-hash-") as file:
            return np.memmap(file, np.uint8, "w+", shape=shape)  # keeps the file open itself
    raise DataError(
        f"the decoded images need {size / 2**30:.1f} GiB, more than memory and the temporary "
        f"folder {tempfile.gettempdir()} hold; use a smaller data.height and data.width"
    )
