"""The index file of a gallery: a cache, no truth. It may be deleted at any time.

Its name says which gallery it belongs to, what state of that it holds, and its checksum, so that a
file and what is said of it cannot be of different moments. Only the gallery's writer writes it: a
reader could bring codes back that the writer is erasing.
"""

import contextlib
import os
import re
import tempfile
import zlib
from pathlib import Path
from typing import NamedTuple

from reid_hash.errors import GalleryError, ReidHashError
from reid_hash.gallery.sqlite.files import is_plain_file
from reid_hash.index import WeightedIndex

_NAME = re.compile(r"gallery-([0-9a-f]+)-(\d+)-(\d+)-([0-9a-f]{8})\.index")
_TEMPORARY = ".gallery-"  # what a killed writer leaves begins so
_BLOCK = 2**24  # bytes read at a time


class Position(NamedTuple):
    """What state of a gallery something is of.

    Attributes:
        last: the highest id that a sighting ever had.
        erasures: how many times sightings were taken out.
    """

    last: int
    erasures: int


class IndexFile(NamedTuple):
    """An index file, by its name.

    Attributes:
        path: where it is.
        gallery: the name of the gallery it belongs to.
        position: of that gallery.
        crc32: of the whole file.
    """

    path: Path
    gallery: str
    position: Position
    crc32: int

    def load(self) -> WeightedIndex | str:
        """The index, or why it cannot be used."""
        try:
            crc = _crc32(self.path)
            if crc != self.crc32:
                return f"{self.path.name} is damaged: its checksum differs"
            return WeightedIndex.read(self.path)
        except FileNotFoundError:
            return "missing"
        except (OSError, ReidHashError) as error:
            return f"{self.path.name} is damaged: {error}"


def index_files(folder: Path) -> list[IndexFile]:
    """The index files in a folder, the newest state first."""
    found = []
    for path in folder.glob("gallery-*.index"):
        match = _NAME.fullmatch(path.name)
        if match is not None and is_plain_file(path):
            gallery, erasures, last, crc = match.groups()
            at = Position(int(last), int(erasures))
            found.append(IndexFile(path, gallery, at, int(crc, 16)))
    return sorted(found, key=lambda file: (file.position.erasures, file.position.last))[::-1]


def write_index(
    folder: Path, gallery: str, position: Position, index: WeightedIndex, mode: int
) -> None:
    """Write an index file with permissions `mode`, whole or not at all; delete those before it.

    Raises:
        ReidHashError: it could not be written.
    """
    before = index_files(folder)
    with tempfile.TemporaryDirectory(prefix=_TEMPORARY, dir=folder) as temporary:
        written = Path(temporary) / "index"
        index.write(written, mode)
        name = f"gallery-{gallery}-{position.erasures}-{position.last}-{_crc32(written):08x}.index"
        os.replace(written, folder / name)
    for file in before:
        if file.path.name != name:
            with contextlib.suppress(OSError):
                file.path.unlink()


def delete_indexes(folder: Path) -> None:
    """Delete all index files, and what killed writers left of some; for the only writer.

    Raises:
        GalleryError: there is one that cannot be deleted.
    """
    try:
        for path in folder.glob("gallery-*.index"):
            path.unlink()
        remove_leftovers(folder)
    except OSError as error:
        raise GalleryError(f"cannot delete {error.filename}: {error.strerror}") from error
    for left in folder.glob(f"{_TEMPORARY}*"):
        raise GalleryError(f"cannot delete {left}")


def remove_leftovers(folder: Path) -> None:
    """Delete what writers that were killed left; for the only writer."""
    for left in folder.glob(".gallery[-.]*"):  # of an index, or of a database in the making
        with contextlib.suppress(OSError):
            if left.is_symlink() or not left.is_dir():  # what a link points to is not ours
                left.unlink()
                continue
            for path in left.iterdir():
                path.unlink()
            left.rmdir()


def _crc32(path: Path) -> int:
    crc = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            crc = zlib.crc32(block, crc)
    return crc
