"""The files of a gallery's folder: what may lie there, and who may read it.

A folder that somebody sent may hold links and pipes under the names that SQLite and the gallery
open. Through a link a writer would change a file elsewhere, and two writers could hold different
locks for one database; a pipe blocks whoever opens it; a rollback journal can make SQLite delete
the file that it names.

The owner alone may read the files, unless others were asked for. These are the modes of POSIX
systems. Windows has none: there nothing is checked or changed.
"""

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from reid_hash.errors import GalleryError

DATABASE = "gallery.sqlite"
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


ReadableBy = Literal["owner", "group", "everybody"]
READERS: tuple[ReadableBy, ...] = get_args(ReadableBy)


class Modes(NamedTuple):
    """Modes of a gallery's folder and files."""

    folder: int
    file: int


_MODES: dict[str, Modes] = {
    "owner": Modes(0o700, 0o600),
    "group": Modes(0o750, 0o640),
    "everybody": Modes(0o755, 0o644),
}


def modes_of(readable_by: str) -> Modes:
    """The modes for the given readers; GalleryError where it is none of `READERS`."""
    if readable_by not in _MODES:
        raise GalleryError(f"a gallery is readable by {', '.join(READERS)}, not {readable_by!r}")
    return _MODES[readable_by]


def make_folder(folder: Path, readable_by: str) -> None:
    """Make the folder of a new gallery, or take an empty one.

    A folder that holds other things keeps its mode. So does one that belongs to somebody else.

    Raises:
        GalleryError: it cannot be made.
    """
    mode = modes_of(readable_by).folder
    try:
        folder.mkdir(mode, parents=True, exist_ok=True)
        if os.name == "posix" and not any(folder.iterdir()):
            with contextlib.suppress(PermissionError):
                folder.chmod(mode)
    except OSError as error:
        raise GalleryError(f"cannot make gallery {folder}: {error.strerror}") from error


def make_file(path: Path) -> None:
    """Make an empty file for its owner alone, whatever the umask; leaves one that is there."""
    with contextlib.suppress(FileExistsError):
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        try:
            if os.name == "posix":
                os.fchmod(handle, 0o600)
        finally:
            os.close(handle)


def too_wide(folder: Path, readable_by: str) -> Iterator[tuple[Path, int]]:
    """What others than the given readers may read or change, with the mode that it should have.

    The folder itself counts where it holds nothing but the gallery.
    """
    if os.name != "posix":
        return
    modes = modes_of(readable_by)
    own = [folder] if is_own_folder(folder) else []
    for path in (*own, *sorted(gallery_files(folder))):
        with contextlib.suppress(FileNotFoundError):  # readers and writers come and go
            facts = path.lstat()
            wanted = 0o700 | (modes.folder if stat.S_ISDIR(facts.st_mode) else modes.file)
            mode = stat.S_IMODE(facts.st_mode)
            if not stat.S_ISLNK(facts.st_mode) and mode & 0o777 & ~wanted:
                yield path, mode & wanted


def describe_wide(folder: Path, readable_by: str) -> str | None:
    """One line about what is open to more people than it should be, or None."""
    wide = [path for path, _ in too_wide(folder, readable_by)]
    if not wide:
        return None
    shown = ", ".join(_name(path, folder) for path in wide[:3])
    more = f" and {len(wide) - 3} more" if len(wide) > 3 else ""
    whom = {"owner": "its owner alone", "group": "its group", "everybody": "everybody"}[readable_by]
    return f"permissions: {shown}{more}: more is allowed than reading by {whom}"


def narrow(folder: Path, readable_by: str) -> Iterator[str]:
    """Take from all others what they may do beyond reading as asked; a line for each file."""
    for path, mode in too_wide(folder, readable_by):
        before = stat.S_IMODE(path.lstat().st_mode)
        try:
            path.chmod(mode)
        except OSError as error:
            yield f"permissions: cannot narrow {_name(path, folder)}: {error.strerror}"
        else:
            yield f"permissions: {_name(path, folder)} was {before:04o}, now {mode:04o}"


def _name(path: Path, folder: Path) -> str:
    return str(folder) if path == folder else path.name
