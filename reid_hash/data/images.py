"""Find image files and read them within the available memory.

`decode` turns an image set into one uint8 array, on all cores.
"""

import contextlib
import io
import math
import os
import shutil
import tempfile
import threading
import warnings
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import cv2
import numpy as np
import psutil
from numpy.typing import NDArray

from reid_hash.data.dataset import ImageSet, Labels, RgbImage, described
from reid_hash.errors import DataError, ImageError, NoImageError, UnreadableError, one_line
from reid_hash.utils.files import is_ordinary

SUFFIXES = (".jpg", ".jpeg", ".jfif", ".png", ".webp", ".bmp", ".ppm", ".tif", ".tiff")
MOST_PIXELS = 2**26
"""Most pixels of an image: 200 MB decoded. A file of a few bytes can claim billions."""
_MAC_CLUTTER = "__MACOSX"  # folder that macOS adds to archives; it contains no images
_THUMBNAIL = (128, 64)  # largest height and width in pixels: about 3 KB
_KINDS = 8  # kinds of skipped files that are listed one by one
_BLOCK = 64  # images per task; a task per image costs more than it saves


@dataclass(frozen=True, eq=False, repr=False)
class Pixels:
    """Decoded images of one size.

    Attributes:
        images: [n, height, width, 3] uint8 RGB; a memory map if memory is too small.
        labels: [n] int64, or [n, classes] bool; see `ImageSet`.
        cameras: [n] int64.
        names: [n] names of the images.
        unreadable: "name: reason" for each image that could not be read and is left out.
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
        """Select the images of a mask [n]."""
        names = [name for name, kept in zip(self.names, rows, strict=True) if kept]
        return Pixels(self.images[rows], self.labels[rows], self.cameras[rows], names)


class FoundImages(NamedTuple):
    """Image files, and a note on other contents of the folders searched.

    Attributes:
        files: the given files, and all images below the given folders, sorted.
        note: what the folders contain that was skipped, counted in one line; "" for nothing.
    """

    files: list[Path]
    note: str


def find_images(paths: Sequence[Path]) -> FoundImages:
    """List the given files, and all images below the given folders.

    Hidden files and folders, and clutter that macOS adds to archives, are skipped. Linked folders
    are followed, each folder once.

    Raises:
        DataError: a path does not exist, or a folder contains no image.
    """
    found: list[Path] = []
    left_out: Counter[str] = Counter()
    folders = []
    for path in paths:
        if path.is_dir():
            below, others = _images_below(path)
            if not below:
                but = f"; it holds {_counted(others)}" if others else ""
                raise DataError(f"{path} holds no images ({', '.join(SUFFIXES)}){but}")
            if others:
                folders.append(path)
            left_out += others
            found += below
        elif path.exists():
            found.append(path)
        else:
            raise DataError(f"no such file or folder: {path}")
    where = str(folders[0]) if len(folders) == 1 else f"{len(folders)} folders"
    return FoundImages(found, f"left out of {where}: {_counted(left_out)}" if left_out else "")


def is_hidden(name: str) -> bool:
    """Check whether a search of folders skips a file or folder of this name."""
    return name.startswith(".") or name == _MAC_CLUTTER


def _counted(things: Counter[str]) -> str:
    """Count things, the most frequent first: "3 .gif files, 1 hidden folder"."""
    ordered = sorted(things.items(), key=lambda item: (-item[1], item[0]))
    rest = sum(count for _, count in ordered[_KINDS:])
    ordered = ordered[:_KINDS] + ([("other file", rest)] if rest else [])
    return ", ".join(f"{count:,} {thing}{'s' if count > 1 else ''}" for thing, count in ordered)


def _images_below(root: Path) -> tuple[list[Path], Counter[str]]:
    """Return (the images below a folder, sorted; counts of everything else found)."""
    found: list[Path] = []
    left_out: Counter[str] = Counter()

    def unreadable(_: OSError) -> None:
        left_out["unreadable folder"] += 1

    seen: set[str] = set()
    tops = deque([str(root)])  # links last: contents reached twice are named by their folder
    while tops:
        for folder, folders, names in os.walk(tops.popleft(), onerror=unreadable):
            real = os.path.realpath(folder)
            if real in seen:  # a cycle of links, or a folder that is also listed here
                left_out["repeated folder"] += 1
                folders.clear()
                continue
            seen.add(real)
            left_out["hidden folder"] += sum(map(is_hidden, folders))
            shown = sorted(name for name in folders if not is_hidden(name))
            linked = [name for name in shown if os.path.islink(os.path.join(folder, name))]
            tops += [os.path.join(folder, name) for name in linked]
            folders[:] = [name for name in shown if name not in linked]
            for name in names:
                file = Path(folder, name)
                suffix = file.suffix.lower()
                if is_hidden(name):
                    left_out["hidden file"] += 1
                elif suffix not in SUFFIXES:
                    left_out[f"{suffix} file" if suffix else "suffixless file"] += 1
                elif not is_ordinary(file):  # opening a pipe would block
                    left_out["broken link" if file.is_symlink() else "special file"] += 1
                else:
                    found.append(file)
    return sorted(found), +left_out


def read_image(path: str | os.PathLike[str]) -> RgbImage:
    """Read an image file.

    Returns:
        [height, width, 3] uint8 RGB.

    Raises:
        DataError: the file does not exist, is empty, is not an image that OpenCV reads, or has
            more than `MOST_PIXELS`.
    """
    return decode_image(read_bytes(path), path)


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """Read the bytes of an image file.

    Raises:
        DataError: the file does not exist or is empty.
    """
    try:
        with open(path, "rb", buffering=0) as file:  # twice as fast as np.fromfile on small files
            data = file.read()
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or 'cannot be read'}") from error
    except ValueError as error:  # a null byte in the path
        raise DataError(f"{os.fspath(path)!r} is no path") from error
    if not data:
        raise DataError(f"{path}: the file is empty")
    return data


def decode_image(data: bytes, path: str | os.PathLike[str]) -> RgbImage:
    """Decode the bytes of an image file; see `read_image`.

    Args:
        data: the bytes.
        path: path of the file, for the message.
    """
    height, width = _size(data)
    _check_size(height, width, os.fspath(path))
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    except cv2.error:
        image = None
    if image is None:
        raise DataError(f"{path}: not an image, or cut off")
    return np.asarray(image, np.uint8)


def as_image(given: object, color: str = "rgb") -> RgbImage:
    """Convert a path, a PIL image or an array to an RGB array.

    Args:
        given: a path, a PIL image of any mode with 8 bits per channel, or an array
            [height, width, 3] uint8. Images that PIL opened are rotated by their EXIF data, as
            files are; transparency is dropped, and greyscale becomes three equal channels.
        color: channel order of an array, "rgb" or "bgr" (OpenCV's); ignored for files and PIL
            images.

    Returns:
        [height, width, 3] uint8 RGB.

    Raises:
        DataError: a file, or the data behind a PIL image, cannot be read.
        ImageError: `given` is something else, or `color` is invalid.
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
    from PIL import Image as pil  # imported here: most callers have files or arrays
    from PIL import ImageOps

    if not isinstance(given, pil.Image):
        kind = type(given).__name__
        raise ImageError(f"an image is a path, a PIL image, or a uint8 RGB array, not {kind}")
    _check_size(given.height, given.width, "a PIL image")
    if given.mode.startswith(("I", "F")):
        raise ImageError(f"a PIL image of mode {given.mode} has no 8 bits a channel; convert it")
    try:
        return np.asarray(ImageOps.exif_transpose(given).convert("RGB"), np.uint8)
    except (OSError, ValueError, SyntaxError, AttributeError) as error:  # PIL decodes only now
        raise DataError(f"a PIL image cannot be read: {one_line(error)}") from error


def _check_size(height: int, width: int, what: str) -> None:
    """Raise DataError if an image of this size is too large to decode."""
    if height * width > MOST_PIXELS:
        raise DataError(
            f"{what}: it says that it has more than {MOST_PIXELS / 1e6:.0f} million pixels, the "
            "most that are decoded; make it smaller"
        )


def _size(data: bytes) -> tuple[int, int]:
    """Return the height and width that an image file's bytes claim; 0 if unknown.

    OpenCV allocates the claimed size before it decodes. The two usual formats are parsed here, in a
    tenth of the time that Pillow needs.
    """
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return int.from_bytes(data[20:24], "big"), int.from_bytes(data[16:20], "big")
    if data[:2] == b"\xff\xd8":
        at = 2
        while at + 9 < len(data) and data[at] == 0xFF:
            kind = data[at + 1]
            if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):  # a frame's header
                return (
                    int.from_bytes(data[at + 5 : at + 7], "big"),
                    int.from_bytes(data[at + 7 : at + 9], "big"),
                )
            # 0xFF is padding; 0x01 and restart markers have no length
            alone = kind in (0x01, *range(0xD0, 0xD8))
            at += 1 if kind == 0xFF else 2
            if not alone and kind != 0xFF:
                at += int.from_bytes(data[at : at + 2], "big")
        # Pillow handles anything out of the ordinary
    from PIL import Image as pil

    with _PILLOW, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's limit is higher than ours
        try:
            with pil.open(io.BytesIO(data)) as image:
                return image.height, image.width
        except pil.DecompressionBombError:
            return MOST_PIXELS, MOST_PIXELS
        except Exception:  # plugins raise anything on damaged headers
            return 0, 0


_PILLOW = threading.Lock()
"""Warning filters are shared by all threads."""


def resize(
    image: RgbImage, height: int, width: int, growing: Literal["cubic", "linear"] = "cubic"
) -> RgbImage:
    """Scale to height × width: by area to shrink, bicubic or bilinear to enlarge."""
    if image.shape[:2] == (height, width):
        return image
    shrinks = image.shape[0] * image.shape[1] > height * width
    how = cv2.INTER_CUBIC if growing == "cubic" else cv2.INTER_LINEAR
    how = cv2.INTER_AREA if shrinks else how
    return np.asarray(cv2.resize(image, (width, height), interpolation=how), np.uint8)


def thumbnail(image: RgbImage) -> bytes:
    """Make a small JPEG of an image with its proportions kept.

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
        images: the images.
        height: height of the result in pixels.
        width: width of the result in pixels.
        skip_unreadable: leave out images that cannot be read and list them in the result's
            `unreadable`, instead of raising an error.
        progress: called with 1 for each image.
        growing: interpolation for enlarging, see `resize`.

    Raises:
        UnreadableError: some images cannot be read; the message counts them and names the first
            three.
        NoImageError: no image is left.
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

    with ThreadPoolExecutor(os.cpu_count()) as pool:  # OpenCV releases the interpreter's lock
        list(pool.map(block, range(0, len(images), _BLOCK)))
    if failures and not skip_unreadable:
        first = "; ".join(failures[i] for i in sorted(failures)[:3])
        raise UnreadableError(f"{len(failures)} of {len(images)} images cannot be read ({first})")
    keep = np.array([i for i in range(len(images)) if i not in failures], np.int64)
    if not len(keep):
        said = "no image can be read" if failures else "there is no image to read"
        raise NoImageError(said, [failures[i] for i in sorted(failures)])
    if failures:  # close gaps in place: a second array might not fit into memory
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
    """Allocate an array in memory, or on disk if it would take more than half of free memory."""
    size = math.prod(shape)
    if size <= psutil.virtual_memory().available / 2:
        return np.empty(shape, np.uint8)
    # a mapped file is sparse at first, so a full disk would kill the process only later
    if size < shutil.disk_usage(tempfile.gettempdir()).free:
        with contextlib.suppress(OSError), tempfile.TemporaryFile(prefix="reid-hash-") as file:
            return np.memmap(file, np.uint8, "w+", shape=shape)  # keeps the file open itself
    raise DataError(
        f"the decoded images need {size / 2**30:.1f} GiB, more than memory and the temporary "
        f"folder {tempfile.gettempdir()} hold; use a smaller data.height and data.width"
    )
