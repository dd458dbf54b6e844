"""Atomic file writing: a reader sees the whole new file or the old one, never a part."""

import contextlib
import errno
import json
import math
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path, PureWindowsPath
from typing import Any

from reid_hash.errors import ReidHashError

PRIVATE = 0o600
"""Mode of a file that only its owner may read."""


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str], mode: int | None = None) -> Iterator[Path]:
    """Yield a temporary path next to `path`, and move it to `path` if the block succeeds.

    The data reach the disk before the name does (fsync, then rename), so neither a crash nor a
    full disk leaves a partial file at `path`; an existing file remains until then.

    Args:
        path: the file to write. A missing folder is created.
        mode: permission bits of the file, such as `PRIVATE`. Default: those of an ordinary `open`.

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
        temporary.chmod(_ordinary_mode() if mode is None else mode)  # mkstemp makes files private
        os.replace(temporary, target)
    except OSError as error:
        raise cannot_write(target, error) from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


def json_text(value: object, indent: int | None = None, ensure_ascii: bool = True) -> str:
    """Write a value as standard JSON; numbers that are not finite become null.

    Python's own NaN and Infinity are not valid JSON.

    Args:
        value: dictionaries, sequences, strings, numbers, None.
        indent: spaces per level; None for a single line.
        ensure_ascii: escape all non-ASCII characters.

    Example:
        >>> json_text({"rank1": 0.5, "tpir": float("nan")})
        '{"rank1": 0.5, "tpir": null}'
    """
    return json.dumps(_finite(value), indent=indent, ensure_ascii=ensure_ascii, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return value


class LineFile:
    """Appends lines to a file, each flushed to disk at once, whole or not at all.

    Args:
        path: the file; a missing folder is created.
        append: keep the existing content.

    Raises:
        ReidHashError: the file cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str], append: bool = False) -> None:
        self.path = Path(path)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if not append:
                self.path.write_bytes(b"")
            self._file = self.path.open("ab", buffering=0)
            self._whole = self._file.seek(0, os.SEEK_END)
        except OSError as error:
            raise cannot_write(self.path, error) from error

    def write(self, line: str) -> None:
        """Append a line, given without its line end.

        Raises:
            ReidHashError: the disk is full.
        """
        data = memoryview((line + "\n").encode("utf-8", "backslashreplace"))
        rest = data
        try:
            while rest:  # a disk that is nearly full accepts part of a line without an error
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            with contextlib.suppress(OSError):
                self._file.truncate(self._whole)
            raise cannot_write(self.path, error) from error
        self._whole += len(data)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def check_space(path: str | os.PathLike[str], size: int = 1 << 18) -> None:
    """Find out why a library could not write a file, if it gives no reason.

    Writes `size` bytes next to the file, then deletes them.

    Args:
        path: the file.
        size: bytes to write; a disk with less free space counts as full.

    Raises:
        ReidHashError: the disk is full, or the folder is not writable.
    """
    target = Path(path)
    try:
        with tempfile.TemporaryFile(dir=target.parent, buffering=0) as file:
            rest = memoryview(bytes(size))
            while rest:  # the last bytes that fit are written without an error
                rest = rest[file.write(rest) :]
            os.fsync(file.fileno())
    except OSError as error:
        raise cannot_write(target, error) from error


def cannot_write(path: str | os.PathLike[str], error: OSError) -> ReidHashError:
    """Explain an operating system error to somebody who wanted a file written."""
    return ReidHashError(f"cannot write {path}: {_reason(error)}")


def _ordinary_mode() -> int:
    """Return the mode that an ordinary open() gives a new file."""
    umask = os.umask(0)
    os.umask(umask)
    return 0o666 & ~umask


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write UTF-8 text to `path` through `replacing`."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def is_ordinary(path: str | os.PathLike[str]) -> bool:
    """Check whether a path is a regular file, not a folder, pipe, socket or device.

    Opening a pipe would block until somebody writes to it.
    """
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except (OSError, ValueError):  # ValueError: a NUL in the name
        return False


def is_elsewhere(path: str | os.PathLike[str]) -> bool:
    """Check whether a path names another machine or a device, like //HOST/SHARE on Windows.

    Only the name is examined: on Windows, even a stat of such a path connects to that machine.
    """
    name = os.fspath(path)
    return PureWindowsPath(name).drive.startswith("\\\\") or name.startswith("//")


def is_trustworthy(path: str | os.PathLike[str]) -> bool:
    """Check whether a path named by an untrusted file may be opened.

    It must be a regular file on this machine that belongs to the user or to root; its contents are
    not examined. Empty files are refused, since files of /proc and /sys look empty, and reading
    some of them blocks.
    """
    if is_elsewhere(path):
        return False
    try:
        facts = os.stat(path)
    except (OSError, ValueError):
        return False
    if not stat.S_ISREG(facts.st_mode) or facts.st_size == 0:
        return False
    # On Windows there is no such owner, and st_uid is 0.
    return not hasattr(os, "geteuid") or facts.st_uid in (0, os.geteuid())


def _reason(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):  # EDQUOT: the user's quota is full
        return "the disk is full; free some space and run the same command again"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "no permission to write there; choose another folder"
    return error.strerror or str(error)
