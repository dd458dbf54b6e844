"""Shared parts of the readers: listing folders, and one-line messages about their problems."""

import codecs
import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reid_hash.data.dataset import ImageSet
from reid_hash.data.images import read_image
from reid_hash.errors import DataError

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".7z", ".rar")
_CLUTTER = {"thumbs.db", "desktop.ini", "__macosx"}  # left behind by file managers


def file_names(folder: Path) -> list[str]:
    """List the names of the files directly in a folder, sorted, without hidden ones.

    Raises:
        DataError: the folder cannot be read.
    """
    return sorted(e.name for e in _entries(folder) if e.is_file())


def folder_names(folder: Path) -> list[str]:
    """List the names of the folders directly in a folder, sorted, without hidden ones.

    Raises:
        DataError: the folder cannot be read.
    """
    return sorted(e.name for e in _entries(folder) if e.is_dir())


def _entries(folder: Path) -> list["os.DirEntry[str]"]:
    try:
        with os.scandir(folder) as entries:
            return [
                e for e in entries if not e.name.startswith(".") and e.name.lower() not in _CLUTTER
            ]
    except OSError as error:
        raise DataError(f"{folder}: {error.strerror or 'cannot be listed'}") from error


def list_lines(path: Path) -> list[str]:
    """Read the lines of a list file, with or without byte order mark, with any line ends.

    Raises:
        DataError: the file cannot be read, or is not text.
    """
    try:
        data = path.read_bytes()
        wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        return data.decode("utf-16" if wide else "utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as a list of images: {error}") from error


def listed_path(name: str) -> str:
    """Convert a path from a list, possibly with Windows separators, to a relative path here."""
    return name.strip().replace("\\", "/").removeprefix("./")


def require_folder(root: Path) -> None:
    """Raise DataError with advice if the folder does not exist."""
    if root.is_file():
        raise DataError(f"{root} is a file; --data wants the folder the data set is unpacked in")
    if not root.is_dir():
        raise DataError(f"there is no folder {root}; name the data's with --data DIR")


def packed_hint(folders: Iterable[Path], word: str = "") -> str:
    """Return half a sentence about an archive in the folders that is not unpacked, or "".

    Args:
        folders: folders to search; missing ones are skipped.
        word: word in the archive's name, in lower case and without hyphens.
    """
    for folder in folders:
        for name in file_names(folder) if folder.is_dir() else ():
            if name.lower().endswith(ARCHIVES) and word in name.lower().replace("-", ""):
                return f"; {folder / name} is still packed: unpack it there first"
    return ""


def file_set(
    root: Path, names: Sequence[str], labels: Sequence[int], cameras: Sequence[int]
) -> ImageSet:
    """Make an image set from image files below a folder.

    Args:
        root: the folder.
        names: [n] paths below the folder.
        labels: [n] identities or classes.
        cameras: [n] cameras.
    """
    kept = list(names)
    return ImageSet(
        lambda i: read_image(root / kept[i]),
        kept,
        np.array(labels, np.int64),
        np.array(cameras, np.int64),
    )


def not_fitting(names: Sequence[str], expected: str) -> list[str]:
    """Return a note on files with names that do not fit, or none.

    Args:
        names: names of these files.
        expected: how files should be named.
    """
    if not names:
        return []
    more = ", …" if len(names) > 3 else ""
    return [
        f"{counted(len(names), 'file')} left out, not named like {expected}: "
        f"{', '.join(names[:3])}{more}"
    ]


def without_match(query: ImageSet, gallery: ImageSet) -> NDArray[np.bool_]:
    """Mark query images [n] whose identity no other camera has in the gallery."""
    seen = defaultdict(set)
    for label, camera in zip(gallery.labels.tolist(), gallery.cameras.tolist(), strict=True):
        seen[label].add(camera)
    pairs = zip(query.labels.tolist(), query.cameras.tolist(), strict=True)
    return np.array([not seen.get(label, set()) - {camera} for label, camera in pairs], bool)


def without_match_note(query: ImageSet, gallery: ImageSet) -> list[str]:
    """Return a note that counts query images without a match, or none."""
    lonely = int(without_match(query, gallery).sum())
    if not lonely:
        return []
    return [
        f"{counted(lonely, 'query image')} of {len(query):,} without a gallery image of the same "
        "identity from another camera"
    ]


def one_camera(images: ImageSet) -> list[int]:
    """List the identities, sorted, whose images are all from one camera."""
    if not len(images):
        return []
    pairs = np.unique(np.stack([images.labels, images.cameras]), axis=1)
    labels, cameras = np.unique(pairs[0], return_counts=True)
    found: list[int] = labels[cameras == 1].tolist()
    return found


def counted(n: int, noun: str, plural: str = "") -> str:
    """Format a number with its noun: "1 file", "1,367 identities"."""
    return f"{n:,} {noun if n == 1 else plural or noun + 's'}"
