"""Files that visitors send: checked while they stream in, limited in all, deleted once used."""

import contextlib
import errno
import secrets
import shutil
import threading
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.concurrency import run_in_threadpool

from reid_hash.web.settings import MOST_SENT_BYTES
from reid_hash.web.uploads import HEAD_BYTES, TAKEN, kind_of, most_bytes, size_text

UNUSED = 120.0
"""Seconds after which a file that no function was asked to look at is deleted."""

WAITING = 3600.0
"""Seconds after which a file is deleted although it waits for its turn, as videos do."""

_FILES = 200  # that lie here at a time
_AT_ONCE = 8  # that come in at a time
_HEADER = 4096  # bytes of a header in a form
_NAME = 100  # characters of a file's name that are kept


class Refused(Exception):
    """A request that is not served.

    Attributes:
        status: of the HTTP response.
        why: one line for the visitor.
    """

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status, self.why = status, why


@dataclass
class _Sent:
    size: int = 0
    since: float = 0.0
    waiting: bool = False


class Inbox:
    """A folder of files that visitors sent; may be used from several threads.

    Args:
        folder: where they lie; an existing one that holds nothing else.
        most: bytes that all of them may take together.
        clock: seconds from any start.
    """

    def __init__(
        self,
        folder: Path,
        most: int = MOST_SENT_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.folder, self._most, self._clock = folder.resolve(), most, clock
        self._turn = threading.Lock()
        self._files: dict[Path, _Sent] = {}
        self._arriving = 0

    async def receive(
        self, content_type: str, chunks: AsyncIterator[bytes], field: str | None = None
    ) -> list[Path]:
        """Store the files of a multipart form, each in a folder of its own.

        Args:
            content_type: of the request, with the boundary.
            chunks: the request's body.
            field: a part of the form of this name is a file, though it comes without a file's name.

        Returns:
            The files, whole and checked; nothing stays of a form that is refused.

        Raises:
            Refused: a file is neither a picture nor a video, is too large, or there is no room.
        """
        self.sweep()
        form = _Form(content_type, self._open, self._grow, field)  # before it counts as arriving
        with self._turn:
            if self._arriving >= _AT_ONCE:
                raise Refused(503, "too many files are being sent; try again in a moment")
            self._arriving += 1
        try:
            async for chunk in chunks:
                await run_in_threadpool(form.feed, chunk)
            form.finish()
        except BaseException as error:
            form.close()
            for file in form.files:
                self.remove(file)
            if isinstance(error, FormParserError):
                raise Refused(400, "the form cannot be read; send the file again") from error
            if isinstance(error, OSError):
                full = error.errno == errno.ENOSPC
                why = "the server's disk is full" if full else "the server cannot store the file"
                raise Refused(507, why) from error
            raise
        finally:
            with self._turn:
                self._arriving -= 1
        with self._turn:
            for file in form.files:
                self._files[file].since = self._clock()
        return form.files

    def _open(self, name: str) -> Path:
        with self._turn:
            if len(self._files) >= _FILES:
                raise Refused(503, "too many files wait for their turn; try again later")
            file = self.folder / secrets.token_hex(16) / safe_name(name)
            self._files[file] = _Sent(since=float("inf"))
        file.parent.mkdir(mode=0o700)
        return file

    def _grow(self, file: Path, size: int) -> None:
        """Count bytes before they are written."""
        with self._turn:
            if sum(one.size for one in self._files.values()) + size > self._most:
                raise Refused(507, "the server keeps too many files just now; try again later")
            self._files[file].size += size

    def claim(self, path: str) -> Path:
        """Take a file for a function that is to look at it; it then stays until it is removed.

        Raises:
            Refused: nobody sent a file of that path, or it is gone.
        """
        file = Path(path)
        with self._turn:
            sent = self._files.get(file)
            if sent is None or sent.since == float("inf"):
                raise Refused(422, "the file is no longer here; send it again")
            sent.since, sent.waiting = self._clock(), True
        return file

    def remove(self, file: Path) -> None:
        """Delete a file that came in here; any other path is left alone."""
        with self._turn:
            if self._files.pop(file, None) is None:
                return
        shutil.rmtree(file.parent, ignore_errors=True)

    def sweep(self) -> None:
        """Delete what nobody used in time."""
        now = self._clock()
        with self._turn:
            old = [
                file
                for file, sent in self._files.items()
                if now - sent.since > (WAITING if sent.waiting else UNUSED)
            ]
        for file in old:
            self.remove(file)


def safe_name(name: str) -> str:
    """A file name without folders and control characters.

    Example:
        >>> safe_name("../../etc/passwd"), safe_name(".."), safe_name("C:\\\\me\\\\ada.jpg")
        ('passwd', 'file', 'ada.jpg')
    """
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    last = "".join(one for one in last if one.isprintable())[-_NAME:].strip()
    while len(last.encode("utf-8", "replace")) > 200:  # file systems count bytes
        last = last[1:]
    return last.encode("utf-8", "replace").decode() if last.strip(".") else "file"


class _Form:
    """A multipart form whose files are written as they come.

    Args:
        content_type: of the request.
        open_file: gives the path for a file's name.
        grow: is told of bytes before they are written; raises where they are too many.
        field: see `Inbox.receive`.

    Attributes:
        files: those begun so far.
    """

    def __init__(
        self,
        content_type: str,
        open_file: Callable[[str], Path],
        grow: Callable[[Path, int], None],
        field: str | None = None,
    ) -> None:
        kind, options = parse_options_header(content_type)
        if kind != b"multipart/form-data" or b"boundary" not in options:
            raise Refused(400, "send files as a multipart form")
        self.files: list[Path] = []
        self._open_file, self._grow = open_file, grow
        self._named = None if field is None else field.encode()
        self._field, self._value, self._disposition = b"", b"", b""
        self._head: bytearray | None = None  # the first bytes of a file, until they tell its kind
        self._name, self._size, self._most = "", 0, 0
        self._file: IO[bytes] | None = None
        self._whole = False
        callbacks: Any = {
            "on_part_begin": self._begin,
            "on_header_field": self._header_field,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_finished,
            "on_part_data": self._data,
            "on_part_end": self._end,
            "on_end": self._all,
        }
        try:
            self._parser = MultipartParser(options[b"boundary"], callbacks)
        except FormParserError as error:
            raise Refused(400, "the form cannot be read; send the file again") from error

    def feed(self, chunk: bytes) -> None:
        self._parser.write(chunk)

    def finish(self) -> None:
        self._parser.finalize()
        if not self._whole or not self.files:
            raise Refused(400, "the form holds no whole file; send it again")

    def close(self) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()

    def _begin(self) -> None:
        self._disposition = b""

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]
        self._check_header()

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]
        self._check_header()

    def _check_header(self) -> None:
        if len(self._field) + len(self._value) > _HEADER:
            raise Refused(400, "a header of the form is too long")

    def _header_end(self) -> None:
        if self._field.lower() == b"content-disposition":
            self._disposition = self._value
        self._field, self._value = b"", b""

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._disposition)
        name = options.get(b"filename")
        if name is None and self._named is not None and options.get(b"name") == self._named:
            name = b"file"
        if name is None:
            raise Refused(400, "the form holds something else than files")
        self._name = name.decode("utf-8", "replace")
        self._head, self._size = bytearray(), 0

    def _data(self, data: bytes, start: int, end: int) -> None:
        piece = data[start:end]
        if self._head is not None:
            self._head += piece
            if len(self._head) < HEAD_BYTES:
                return
            piece = self._start()
        self._write(piece)

    def _end(self) -> None:
        if self._head is not None:
            self._write(self._start())
        if self._file is not None:
            self._file.close()
            self._file = None

    def _all(self) -> None:
        self._whole = True

    def _start(self) -> bytes:
        """Open the file, now that its kind is known; gives the bytes that came before."""
        assert self._head is not None
        head, self._head = bytes(self._head), None
        kind = kind_of(head)
        if kind is None:
            raise Refused(415, f"{safe_name(self._name)} is not {TAKEN}")
        self._most = most_bytes(kind)
        file = self._open_file(self._name)
        self.files.append(file)
        self._file = file.open("xb")
        return head

    def _write(self, piece: bytes) -> None:
        assert self._file is not None
        self._size += len(piece)
        if self._size > self._most:
            shown = safe_name(self._name)
            raise Refused(413, f"{shown} is too large; send a file of {size_text(self._most)}")
        self._grow(self.files[-1], len(piece))
        self._file.write(piece)
