"""Writing files so that a reader sees the whole new file or the old one, never a part."""

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from reid_hash.errors import ReidHashError

PRIVATE = 0o600
"""The mode of a file that its owner alone may read."""


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str], mode: int | None = None) -> Iterator[Path]:
    """Give a temporary path beside `path`, and move it there when the block ends well.

    The data reach the disk before the name does (fsync, then rename), so neither a crash nor a
    full disk leaves a part of a file under `path`; what stood there before stays until then.

    Args:
        path: the file to write. Its folder is created if it is missing.
        mode: permissions of the file, such as `PRIVATE`; those of an ordinary `open` when left out.

    Yields:
        A path in the same folder, with the same suffix, for the block to write to.

    Raises:
        ReidHashError: the file could not be written (full disk, no permission).

    Example:
        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with replacing(pathlib.Path(folder) / "a.txt") as temporary:
        ...         _ = temporary.write_text("whole")
        ...     (pathlib.Path(folder) / "a.txt").read_text()
        'whole'
    """
    target = Path(path)
    temporary: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(
            prefix=f".{target.stem}.", suffix=target.suffix, dir=target.parent
        )
        os.close(handle)
        temporary = Path(name)
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.chmod(_ordinary_mode() if mode is None else mode)  # mkstemp makes private files
        os.replace(temporary, target)
    except OSError as error:
        raise ReidHashError(f"cannot write {target}: {_reason(error)}") from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


def _ordinary_mode() -> int:
    """The mode that an ordinary open() gives a new file."""
    umask = os.umask(0)
    os.umask(umask)
    return 0o666 & ~umask


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write UTF-8 text to `path` through `replacing`."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _reason(error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        return "the disk is full; free some space and run the same command again"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "no permission to write there; choose another folder"
    return error.strerror or str(error)
