"""What may lie in a gallery's folder under the names that SQLite and the gallery open.

A folder that somebody sent may hold links and pipes under these names. Through a link a writer
would change a file elsewhere, and two writers could hold different locks for one database; a pipe
blocks whoever opens it; a rollback journal can make SQLite delete the file that it names.
"""

import stat
from collections.abc import Iterator
from pathlib import Path

from reid_hash.errors import GalleryError
from reid_hash.gallery.sqlite.tables import DATABASE

LOCK = "writer.lock"
_BESIDE = (f"{DATABASE}-wal", f"{DATABASE}-shm", LOCK)


def gallery_files(folder: Path) -> Iterator[Path]:
    """All that a gallery makes in its folder and is there, temporaries included."""
    for path in folder.iterdir():
        name = path.name
        index = name.startswith("gallery-") and name.endswith(".index")
        if index or name in (DATABASE, *_BESIDE) or name.startswith(".gallery"):
            yield path


def is_own_folder(folder: Path) -> bool:
    """Whether a folder holds nothing but a gallery's files; also where it is empty."""
    return set(folder.iterdir()) == set(gallery_files(folder))


def is_plain_file(path: Path) -> bool:
    """Whether a path is a file itself, no link and no pipe."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def check_files(folder: Path, read_only: bool) -> None:
    """Raise GalleryError where SQLite must not open what lies in the folder.

    Args:
        folder: of the gallery.
        read_only: a linked database may be read.
    """
    database = folder / DATABASE
    if not database.is_file():
        raise GalleryError(f"{folder} is no gallery: it holds no {DATABASE}")
    real = database.resolve()
    for path in (
        folder / LOCK,
        real.with_name(f"{real.name}-wal"),
        real.with_name(f"{real.name}-shm"),
    ):
        if path.is_symlink() or (path.exists() and not path.is_file()):
            raise GalleryError(
                f"gallery {folder}: {path.name} is a link or no file, which no gallery has; "
                "delete it if you trust the rest"
            )
    if real.with_name(f"{real.name}-journal").exists():
        raise GalleryError(
            f"gallery {folder}: there is a {real.name}-journal, which no gallery has and SQLite "
            "would act on; delete it if you trust the rest"
        )
    if read_only:
        return
    if database.is_symlink():
        raise GalleryError(
            f"gallery {folder}: {DATABASE} is a link; write to the gallery in {real.parent}"
        )
    if database.stat().st_nlink > 1:
        raise GalleryError(
            f"gallery {folder}: {DATABASE} has a second name (a hard link), and whoever writes "
            "would change that as well; put a copy of the file in its place"
        )
