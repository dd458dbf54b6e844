"""What the service keeps for itself: keys, answers given, receipts, events; one SQLite file.

It lies beside the gallery, not in it: who copies a gallery does not copy keys with it.
"""

import contextlib
import os
import re
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

from reid_hash.errors import ReidHashError, one_line
from reid_hash.gallery.open import Place, local_folder

_FILE = "service.sqlite"
_WAIT = 10.0  # seconds for another process
_SCHEMA = """
CREATE TABLE IF NOT EXISTS keys (
    id TEXT PRIMARY KEY, name TEXT UNIQUE NOT NULL, roles TEXT NOT NULL, digest BLOB NOT NULL,
    made REAL NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS answers (
    caller TEXT NOT NULL, key TEXT NOT NULL, asked BLOB NOT NULL, process TEXT NOT NULL,
    began REAL NOT NULL, status INTEGER, body BLOB, PRIMARY KEY (caller, key)) STRICT;
CREATE INDEX IF NOT EXISTS answers_began ON answers (began);
CREATE TABLE IF NOT EXISTS receipts (
    id INTEGER PRIMARY KEY AUTOINCREMENT, caller TEXT NOT NULL, asked REAL NOT NULL, done REAL,
    what TEXT NOT NULL, sightings INTEGER) STRICT;
CREATE TABLE IF NOT EXISTS events (
    id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, subject INTEGER, time REAL NOT NULL)
    STRICT;
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value ANY) STRICT;
"""


def state_folder(place: Place, given: Path | None = None) -> Path:
    """The folder of the service's state.

    Args:
        place: of the gallery.
        given: by whoever starts the service.

    Returns:
        What was given; else `PLACE.service` beside a gallery's folder, or here for a gallery that
        is in no folder.
    """
    if given is not None:
        return given
    folder = local_folder(place)
    if folder is not None:
        whole = folder.absolute()
        return whole.with_name(f"{whole.name}.service")
    return Path(re.sub(r"[^A-Za-z0-9._-]+", "-", str(place)).strip("-.") + ".service")


class State:
    """The service's own SQLite file; may be used from several threads and processes.

    Args:
        folder: where it is, or is made: for its owner alone.

    Attributes:
        folder: likewise.

    Raises:
        ReidHashError: it cannot be opened.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._turn = threading.RLock()
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            file = folder / _FILE
            os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))
            self._db = self._connect(file)
            self._watcher = self._connect(file)
            with contextlib.closing(self._db.cursor()) as cursor:
                cursor.execute("PRAGMA journal_mode=WAL")
                cursor.execute("PRAGMA secure_delete=ON")
                cursor.executescript(_SCHEMA)
        except (OSError, sqlite3.Error) as error:
            raise ReidHashError(
                f"cannot open the service's state in {folder}: {one_line(error)}; name another "
                "folder with --state"
            ) from error

    def __repr__(self) -> str:
        return f"State({str(self.folder)!r})"

    @staticmethod
    def _connect(file: Path) -> sqlite3.Connection:
        db = sqlite3.connect(file, timeout=_WAIT, isolation_level=None, check_same_thread=False)
        db.execute("PRAGMA synchronous=FULL")  # on the disk before an answer says so
        return db

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A connection in a transaction: committed at the block's end, or undone."""
        with self._turn:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection to read from; other threads wait."""
        with self._turn:
            yield self._db

    def version(self) -> int:
        """A number that changes with every change by anybody; takes microseconds."""
        with self._turn:
            return int(self._watcher.execute("PRAGMA data_version").fetchone()[0])

    def fact(self, name: str) -> object:
        """A value that was kept, or None."""
        with self.reading() as db:
            row = db.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return None if row is None else row[0]

    def close(self) -> None:
        """Close it."""
        with self._turn:
            self._db.close()
            self._watcher.close()
