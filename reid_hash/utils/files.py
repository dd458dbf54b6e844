"""Writing files so that a reader sees the whole new file or the old one, never a part."""

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
        raise cannot_write(target, error) from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


def json_text(value: object, indent: int | None = None, ensure_ascii: bool = True) -> str:
    """Write a value as JSON that every reader takes: numbers that are not finite become null.

    Python's own NaN and Infinity are no JSON.

    Args:
        value: dictionaries, sequences, strings, numbers, None.
        indent: spaces a level; None for one line.
        ensure_ascii: escape all characters beyond ASCII.

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
    """Appends lines to a file, each on the disk at once and whole or not at all.

    Args:
        path: the file; its folder is created if it is missing.
        append: keep what is there.

    Raises:
        ReidHashError: it cannot be written.
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
        """Add a line, given without its end.

        Raises:
            ReidHashError: the disk is full.
        """
        data = memoryview((line + "\n").encode("utf-8", "backslashreplace"))
        rest = data
        try:
            while rest:  # a disk that gets full takes a part of a line without an error
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
    """Find out why a library that tells no reason could not write a file.

    Writes `size` bytes beside the file, and deletes them.

    Args:
        path: the file.
        size: in bytes: what is free on a disk that counts as full.

    Raises:
        ReidHashError: the disk is full, or nothing may be written there.
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
    """What the operating system's error means for somebody who wanted a file written."""
    return ReidHashError(f"cannot write {path}: {_reason(error)}")


def _ordinary_mode() -> int:
    """The mode that an ordinary open() gives a new file."""
    umask = os.umask(0)
    os.umask(umask)
    return 0o666 & ~umask


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write UTF-8 text to `path` through `replacing`."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def is_ordinary(path: str | os.PathLike[str]) -> bool:
    """Whether a path leads to a file with content: no folder, pipe, socket or device.

    To open a pipe waits until somebody writes to it.
    """
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except (OSError, ValueError):  # ValueError: a NUL in the name
        return False


def is_elsewhere(path: str | os.PathLike[str]) -> bool:
    """Whether a path names another machine or a device, as //HOST/SHARE does on Windows.

    It is told from the name alone: on Windows a mere look at such a path connects to that machine.
    """
    name = os.fspath(path)
    return PureWindowsPath(name).drive.startswith("\\\\") or name.startswith("//")


def is_trustworthy(path: str | os.PathLike[str]) -> bool:
    """Whether a path that a file from elsewhere names may be opened.

    It is an ordinary file on this machine that belongs to the user or to root. What is in it is
    not looked at. Empty files do not count: those of /proc and /sys look like that, and to read
    some of them waits.
    """
    if is_elsewhere(path):
        return False
    try:
        facts = os.stat(path)
    except (OSError, ValueError):
        return False
    if not stat.S_ISREG(facts.st_mode) or facts.st_size == 0:
        return False
    # Windows has no such owner: st_uid is 0 there
    return not hasattr(os, "geteuid") or facts.st_uid in (0, os.geteuid())


def _reason(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):  # EDQUOT: the user's share of it is
        return "the disk is full; free some space and run the same command again"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "no permission to write there; choose another folder"
    return error.strerror or str(error)
