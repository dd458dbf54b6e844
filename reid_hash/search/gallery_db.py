"""The database of a gallery: connections, the writer's lock, and errors in plain words.

SQLite in WAL mode: readers in other processes go on while one writes, and see what is committed.
`synchronous=FULL` has each commit on the disk before it returns.
"""

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

from reid_hash.errors import GalleryError
from reid_hash.search.gallery_tables import DATABASE as DATABASE
from reid_hash.search.gallery_tables import prepare

_NO_PERMISSION = "no permission to write there; open it read-only"

WAIT = 10.0
"""Seconds to wait for a moment's lock of another process."""


@contextlib.contextmanager
def plain_errors(folder: Path, doing: str = "read") -> Iterator[None]:
    """Turn SQLite's errors inside the block into a GalleryError of one line.

    Args:
        folder: of the gallery.
        doing: what is done to it, in a word.
    """
    try:
        yield
    except sqlite3.Error as error:
        raise GalleryError(f"cannot {doing} gallery {folder}: {_reason(error, folder)}") from error


def _reason(error: sqlite3.Error, folder: Path) -> str:
    name = getattr(error, "sqlite_errorname", "") or ""
    if name.startswith("SQLITE_FULL"):
        return "the disk is full; nothing of this step was kept, all before it is safe"
    if name.startswith("SQLITE_IOERR"):
        return f"the disk does not take or give the data ({error}); what was committed is safe"
    if name.startswith(("SQLITE_READONLY", "SQLITE_PERM", "SQLITE_AUTH")):
        return _NO_PERMISSION
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return f"the database is damaged ({error}); `reid-hash gallery verify` names what is"
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return f"another process kept it locked for {WAIT:.0f} seconds; try again"
    if name.startswith("SQLITE_CANTOPEN"):
        if (folder / f"{DATABASE}-wal").exists() and not _writable(folder):
            return "a writer was killed, and its log waits for somebody who may write there"
        return f"{DATABASE} cannot be opened; may you read it, and write in its folder?"
    return str(error)


class Database:
    """The connections of one process to a gallery's database; may be used from several threads.

    Args:
        folder: of the gallery.
        read_only: take no lock and write nothing.

    Raises:
        GalleryError: it cannot be opened, or somebody else writes to it.
    """

    def __init__(self, folder: Path, read_only: bool) -> None:
        self.folder, self.path, self.read_only = folder, folder / DATABASE, read_only
        self._idle: list[tuple[sqlite3.Connection, object]] = []  # for reading, with their stamp
        self._turn = threading.RLock()
        self._closed = False
        self._lock: sqlite3.Connection | None = None
        self._writer: sqlite3.Connection | None = None
        if not self.path.is_file():
            raise GalleryError(f"{folder} is no gallery: it holds no {DATABASE}")
        if not read_only:
            if not _writable(folder):  # SQLite would open it, and fail at the first change
                raise GalleryError(f"cannot write to gallery {folder}: {_NO_PERMISSION}")
            try:
                self._lock = _lock_writer(folder)
                with plain_errors(folder, "open"):
                    self._writer = self._connect("rw")
            except GalleryError:
                self.close()
                raise

    def _connect(self, mode: str) -> sqlite3.Connection:
        uri = f"{self.path.absolute().as_uri()}?{mode if '=' in mode else f'mode={mode}'}"
        db = sqlite3.connect(
            uri, uri=True, timeout=WAIT, isolation_level=None, check_same_thread=False
        )
        try:
            prepare(db)
            db.execute("SELECT 1 FROM meta").fetchone()  # opening alone reads nothing
        except BaseException:
            db.close()
            raise
        return db

    def _reader(self) -> tuple[sqlite3.Connection, object]:
        stamp = self._read_only_medium()
        while self._idle:
            db, made = self._idle.pop()
            if made == stamp:
                return db, stamp
            db.close()
        if stamp is not None:
            return self._connect("immutable=1"), stamp
        db = self._connect("rw" if _writable(self.folder) else "ro")
        db.execute("PRAGMA query_only=ON")
        return db, None

    def _read_only_medium(self) -> object:
        """None, or size and time of a database beside which no WAL can be made, nor is one.

        SQLite reads such a database without any locking. Whoever may write there may do so later:
        the stamp is then another, and connections that were made without locks are thrown away.
        """
        wal = self.path.with_name(DATABASE + "-wal")
        if os.access(self.folder, os.W_OK) or wal.exists():
            return None
        facts = self.path.stat()
        return facts.st_size, facts.st_mtime_ns

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection that sees one state of the database for the length of the block."""
        with plain_errors(self.folder):
            if self._closed:
                raise GalleryError(f"gallery {self.folder} is no longer open")
            db, stamp = self._reader()
            try:
                db.execute("BEGIN")
                yield db
            finally:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                self._idle.append((db, stamp))

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """The writer's connection in a transaction: committed at the block's end, or undone."""
        with self.alone() as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:  # a full disk may have ended it already
                    db.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def alone(self) -> Iterator[sqlite3.Connection]:
        """The writer's connection without a transaction; other threads wait."""
        with self._turn, plain_errors(self.folder, "write to"):
            if self._writer is None:
                how = "read-only" if self.read_only else "no longer"
                raise GalleryError(f"gallery {self.folder} is {how} open: nothing can be changed")
            yield self._writer

    def close(self) -> None:
        """Close all connections and let go of the writer's lock."""
        with self._turn:
            self._closed = True
            while self._idle:
                self._idle.pop()[0].close()
            for db in (self._writer, self._lock):
                if db is not None:
                    db.close()
            self._writer = self._lock = None


def _writable(folder: Path) -> bool:
    return os.access(folder / DATABASE, os.W_OK) and os.access(folder, os.W_OK)


def _lock_writer(folder: Path) -> sqlite3.Connection:
    """Become the gallery's only writer until the connection is closed or the process ends.

    SQLite's exclusive lock of a small database of its own: it is the operating system's lock on
    each platform that SQLite runs on, goes with its process however that dies, holds between
    transactions, and does not stop readers, as a lock of the gallery's database itself would.
    """
    try:
        lock = sqlite3.connect(
            folder / "writer.lock", timeout=0, isolation_level=None, check_same_thread=False
        )
        try:
            lock.execute("PRAGMA journal_mode=MEMORY")  # else a journal file lies beside it
            lock.execute("BEGIN EXCLUSIVE")
        except BaseException:
            lock.close()
            raise
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorname", "") == "SQLITE_BUSY":
            raise GalleryError(
                f"another process writes to gallery {folder}; wait until it is done, or open the "
                "gallery read-only"
            ) from error
        raise GalleryError(f"cannot write to gallery {folder}: {_reason(error, folder)}") from error
    return lock
