"""The tables of a gallery's database, and the values of the gallery as a whole.

Every row carries a checksum over all its values, so that a flipped byte is found and named.
"""

import contextlib
import sqlite3
import zlib
from pathlib import Path
from typing import Any

from reid_hash.errors import GalleryError
from reid_hash.gallery.sqlite.work import charge

DATABASE = "gallery.sqlite"

SCHEMA = 1
"""Version of the tables below."""

_LOG_PAGES = 64
"""Pages of the log that wait to be brought into the database: what a damaged log can lose. SQLite's
own 1000 make adding some tenths faster (docs/gallery.md)."""

TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value, checksum INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE identities (
    id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE, checksum INTEGER NOT NULL
);
CREATE TABLE sightings (
    id INTEGER PRIMARY KEY AUTOINCREMENT,  -- never given twice: an index asks for ids above its own
    code BLOB NOT NULL,
    camera TEXT NOT NULL, time REAL NOT NULL, source TEXT NOT NULL,
    track INTEGER, frame INTEGER, x REAL, y REAL, w REAL, h REAL,
    identity INTEGER REFERENCES identities (id),
    checksum INTEGER NOT NULL
);
CREATE INDEX by_time ON sightings (time);
CREATE INDEX by_camera ON sightings (camera, time);
CREATE INDEX by_source ON sightings (source, track);
CREATE INDEX by_identity ON sightings (identity) WHERE identity IS NOT NULL;
CREATE TABLE thumbnails (  -- apart from the sightings, so that those stay close together
    sighting INTEGER PRIMARY KEY REFERENCES sightings (id) ON DELETE CASCADE,
    jpeg BLOB NOT NULL, checksum INTEGER NOT NULL
);
"""


def checksum(*values: Any) -> int:
    """CRC-32 of the values of a row; the same function is there in SQL under this name."""
    last = values[-1]
    if isinstance(last, bytes):  # an image: writing it out as text would take long
        return zlib.crc32(last, zlib.crc32(repr(values[:-1]).encode()))
    return zlib.crc32(repr(values).encode())


def create_database(path: Path, meta: dict[str, Any]) -> None:
    """Write an empty database with its meta rows to `path`, a temporary name."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        prepare(db)
        db.executescript(f"PRAGMA journal_mode=WAL; BEGIN; {TABLES} COMMIT;")
        for key, value in meta.items():
            put_meta(db, key, value)


def put_meta(db: sqlite3.Connection, key: str, value: Any) -> None:
    """Set a value of the gallery as a whole."""
    db.execute("REPLACE INTO meta VALUES (?, ?, ?)", (key, value, checksum(key, value)))


def get_meta(db: sqlite3.Connection, key: str, default: Any = None) -> Any:
    """A value of the gallery as a whole; GalleryError where it is damaged."""
    row = db.execute("SELECT value, checksum FROM meta WHERE key = ?", (key,)).fetchone()
    if row is None:
        return default
    if row[1] != checksum(key, row[0]):
        raise GalleryError(f"the gallery's {key} is damaged: its checksum differs")
    return row[0]


def get_count(db: sqlite3.Connection, key: str) -> int:
    """A value that counts something, 0 where it is not there; GalleryError where it is damaged."""
    value = get_meta(db, key, 0)
    if not isinstance(value, int) or value < 0:
        raise GalleryError(f"the gallery's {key} is damaged: it is no number")
    return value


def prepare(db: sqlite3.Connection) -> None:
    """Make a new connection ready: durable, and leaving nothing of what is deleted."""
    # what somebody else's database may not do: run functions from its schema, pass a page whose
    # cells reach out of it, or change under a mapping of it
    db.execute("PRAGMA trusted_schema=OFF")
    db.execute("PRAGMA cell_size_check=ON")
    db.execute("PRAGMA mmap_size=0")
    db.execute("PRAGMA synchronous=FULL")
    db.execute("PRAGMA foreign_keys=ON")
    db.execute("PRAGMA secure_delete=ON")
    db.execute("PRAGMA cache_size=-32000")  # KiB
    db.execute(f"PRAGMA wal_autocheckpoint={_LOG_PAGES}")

    def counted(*values: Any) -> int:
        charge(db, sum(len(value) for value in values if isinstance(value, str | bytes)))
        return checksum(*values)

    db.create_function("checksum", -1, counted, deterministic=True)
