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
from typing import NamedTuple

from reid_hash.errors import BusyError, GalleryError, one_line
from reid_hash.gallery.sqlite.cache import delete_indexes
from reid_hash.gallery.sqlite.files import DATABASE as DATABASE
from reid_hash.gallery.sqlite.files import LOCK, check_files, make_file
from reid_hash.gallery.sqlite.schema import check_schema, prepare
from reid_hash.gallery.sqlite.work_limit import ENDLESS, Connection, Work
from reid_hash.gallery.sqlite.write_ahead_log import find_log_damage, is_empty, log_of

_NO_PERMISSION = "no permission to write there; open it read-only"
_FULL = "the disk is full; nothing of this step was kept, all before it is safe"
_NO_ROOM = ("SQLITE_FULL", "SQLITE_IOERR_SHM", "SQLITE_IOERR_WRITE", "SQLITE_CANTOPEN")
"""What SQLite says where its shared memory, a file beside the database, cannot be made."""

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
    if name.startswith(("SQLITE_FULL", "SQLITE_IOERR_SHMSIZE")):
        return _FULL
    if name.startswith("SQLITE_INTERRUPT"):
        return ENDLESS
    if name.startswith("SQLITE_TOOBIG"):
        return "a value in it is larger than any that a gallery holds"
    if "decode to UTF-8" in str(error) or "user-defined function" in str(error):
        return f"a text in it is no text, or {ENDLESS}"
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
    return one_line(error)


def is_full(error: BaseException | None) -> bool:
    """Whether something failed because the disk is full."""
    while error is not None:
        if (getattr(error, "sqlite_errorname", "") or "").startswith(_NO_ROOM[:2]):
            return True
        error = error.__cause__
    return False


class Database:
    """The connections of one process to a gallery's database; may be used from several threads.

    Args:
        folder: of the gallery.
        read_only: take no lock and write nothing.
        salvage: write although the log is damaged, and go on without the damaged rest.
        keep_log: reading leaves the log as it is. Else it is brought into the database and deleted
            where the last connection closes; a damaged one never is by who only reads.

    Attributes:
        log_damage: what is wrong with the log, in one line, or None.

    Raises:
        GalleryError: it cannot be opened, or somebody else writes to it.
    """

    def __init__(
        self, folder: Path, read_only: bool, salvage: bool = False, keep_log: bool = False
    ) -> None:
        self.folder, self.path, self.read_only = folder, folder / DATABASE, read_only
        self._idle: list[tuple[Connection, object]] = []  # for reading, with their stamp
        self._turn = threading.RLock()
        self._closed = False
        self._lock: sqlite3.Connection | None = None
        self._writer: Connection | None = None
        check_files(folder, read_only)
        self._wal = log_of(self.path)
        try:
            if not read_only:
                if not _writable(folder):  # SQLite would open it, and fail at the first change
                    raise GalleryError(f"cannot write to gallery {folder}: {_NO_PERMISSION}")
                self._lock = _lock_writer(folder)
            damage = find_log_damage(self._wal)  # before SQLite touches it
            self.log_damage = None if damage is None else damage.text
            self._keep_log = damage is not None or (keep_log and not is_empty(self._wal))
            if damage is not None and not read_only and not salvage:
                raise GalleryError(
                    f"cannot write to gallery {folder}: {damage.text}; `reid-hash gallery verify "
                    f"--fix {folder}` goes on without them"
                )
            if not read_only:
                with plain_errors(folder, "open"):
                    self._writer = self._connect_writer()
                    self._writer.execute("PRAGMA journal_mode=WAL")  # no journal is ever made
        except BaseException:
            self.close()
            raise

    def _connect(self, how: str, alone: bool = False) -> Connection:
        db = sqlite3.connect(
            f"{self.path.absolute().as_uri()}?{how}",
            uri=True,
            timeout=WAIT,
            isolation_level=None,
            check_same_thread=False,
            factory=Connection,
        )
        try:
            db.watch(Work((self.path, self._wal)))
            if alone:  # then the index of the log is kept in memory
                db.execute("PRAGMA locking_mode=EXCLUSIVE")
            prepare(db)
            check_schema(db, self.folder)  # opening alone reads nothing
        except BaseException:
            db.close()
            raise
        return db

    def _connect_writer(self) -> Connection:
        try:
            return self._connect("mode=rw")
        except sqlite3.Error as error:
            if not is_full(error):
                raise
            delete_indexes(self.folder)  # room for SQLite's own files; only a cache
            return self._connect("mode=rw")

    def _reader(self) -> tuple[Connection, object]:
        stamp = self._read_only_medium()
        while self._idle:
            db, made = self._idle.pop()
            if made == stamp:
                return db, stamp
            db.close()
        if stamp is not None:
            return self._connect("immutable=1"), stamp
        # a connection of mode=ro never brings the log into the database
        kept = self._keep_log or not _writable(self.folder)
        try:
            db = self._connect("mode=ro" if kept else "mode=rw")
        except sqlite3.Error as error:
            if not (getattr(error, "sqlite_errorname", "") or "").startswith(_NO_ROOM):
                raise
            db, stamp = self._reader_without_room(error)
        db.execute("PRAGMA query_only=ON")
        return db, stamp

    def _reader_without_room(self, error: sqlite3.Error) -> tuple[Connection, object]:
        """A connection that needs no file of shared memory, for one block; see `reading`.

        Nobody writes, or that file would be there.
        """
        if not _writable(self.folder) or self.log_damage is not None:
            raise error
        if is_empty(self._wal):
            return self._connect("immutable=1"), _Once(self._facts())
        return self._connect("mode=rw", alone=True), _Once(None)

    def _read_only_medium(self) -> object:
        """None, or size and time of a database beside which no WAL can be made, nor is one.

        SQLite reads such a database without any locking. Whoever may write there may do so later:
        the stamp is then another, and connections that were made without locks are thrown away.
        """
        if os.access(self._wal.parent, os.W_OK) or self._wal.exists():
            return None
        return self._facts()

    def _facts(self) -> tuple[int, int]:
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
                db.work.begin()
                db.execute("BEGIN")
                yield db
            finally:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                if not isinstance(stamp, _Once):
                    self._idle.append((db, stamp))
                else:
                    db.close()
            if isinstance(stamp, _Once) and stamp.facts not in (None, self._facts()):
                raise GalleryError(f"gallery {self.folder} was written to meanwhile; try again")

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
            self._writer.work.begin()
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


class _Once(NamedTuple):
    """Marks a connection that serves one block of `reading`.

    Attributes:
        facts: size and time that the database must keep meanwhile, for nothing locks it; or None.
    """

    facts: tuple[int, int] | None


def _writable(folder: Path) -> bool:
    return os.access(folder / DATABASE, os.W_OK) and os.access(folder, os.W_OK)


def _lock_writer(folder: Path) -> sqlite3.Connection:
    """Become the gallery's only writer until the connection is closed or the process ends.

    SQLite's exclusive lock of a small database of its own: it is the operating system's lock on
    each platform that SQLite runs on, goes with its process however that dies, holds between
    transactions, and does not stop readers, as a lock of the gallery's database itself would.
    """
    try:
        make_file(folder / LOCK)
        lock = sqlite3.connect(
            folder / LOCK, timeout=0, isolation_level=None, check_same_thread=False
        )
        try:
            lock.execute("PRAGMA journal_mode=MEMORY")  # else a journal file lies beside it
            lock.execute("BEGIN EXCLUSIVE")
        except BaseException:
            lock.close()
            raise
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorname", "") == "SQLITE_BUSY":
            raise BusyError(
                f"another process writes to gallery {folder}; wait until it is done, or open the "
                "gallery read-only"
            ) from error
        raise GalleryError(f"cannot write to gallery {folder}: {_reason(error, folder)}") from error
    except OSError as error:
        raise GalleryError(f"cannot write to gallery {folder}: {error.strerror}") from error
    return lock
