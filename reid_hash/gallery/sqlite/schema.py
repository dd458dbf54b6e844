"""What a sound gallery database looks like: its tables, and the values of the gallery as a whole.

Every row carries a checksum over all its values, so that a flipped byte is found and named. A
database is checked before it is used: a view, trigger or virtual table in a file that somebody sent
would run in place of, or beside, our own statements.
"""

import contextlib
import re
import sqlite3
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from reid_hash.calibration import Calibration
from reid_hash.codes import Codes
from reid_hash.errors import CodeError, GalleryError
from reid_hash.gallery.sqlite import query as select
from reid_hash.gallery.sqlite.files import DATABASE, READERS
from reid_hash.gallery.sqlite.work_limit import charge

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


_COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_SPACE = re.compile(r"[ \t\n\v\f\r]+")
_EDGES = re.compile(r" ?([(),]) ?")

Entry = tuple[str, str, str, str]
"""type, name, table and normalised SQL of an entry of the schema."""


def check_schema(db: sqlite3.Connection, folder: Path) -> None:
    """Raise GalleryError unless a database has exactly the tables and indexes of a gallery.

    Args:
        db: a connection that runs nothing of the schema (`trusted_schema=OFF`).
        folder: of the gallery, for the message.
    """
    wanted = _wanted()
    found = _entries(db, 2 * len(wanted))
    if found == wanted:
        return
    if next(entry for entry in wanted if entry[1] == "meta") in found:
        require_version(db, folder)  # a newer version may have other tables
    odd = sorted(found - wanted)
    what = (
        f"holds the {odd[0][0]} {odd[0][1]!r}, which no gallery has in this form"
        if odd
        else f"lacks the {min(wanted - found)[0]} {min(wanted - found)[1]}"
    )
    raise GalleryError(f"gallery {folder}: {DATABASE} {what}; it is damaged, or no gallery")


def require_version(db: sqlite3.Connection, folder: Path) -> None:
    """Raise GalleryError where a gallery was made by another version of the toolkit."""
    row = db.execute("SELECT value FROM meta WHERE key = 'schema'").fetchone()
    if row is not None and isinstance(row[0], int) and row[0] != SCHEMA:
        raise GalleryError(
            f"gallery {folder} has tables of version {row[0]}; this version of reid-hash reads "
            f"version {SCHEMA}"
        )


@cache
def _wanted() -> frozenset[Entry]:
    with contextlib.closing(sqlite3.connect(":memory:")) as db:
        db.executescript(TABLES)
        return _entries(db, 100)


def _entries(db: sqlite3.Connection, most: int) -> frozenset[Entry]:
    rows = db.execute(f"SELECT type, name, tbl_name, sql FROM sqlite_master LIMIT {most}")
    return frozenset(
        (str(kind), str(name), str(table), _normal(str(sql or "")))
        for kind, name, table, sql in rows
    )


def _normal(sql: str) -> str:
    """A statement without comments, and with as few spaces as may be."""
    return _EDGES.sub(r"\1", _SPACE.sub(" ", _COMMENT.sub(" ", sql))).strip()


REQUIRED = ("schema", "gallery", "bits", "weights", "model", "erasures")


class Facts(NamedTuple):
    """What a gallery says of itself.

    Attributes:
        name: its own random name, which its index files bear.
        template: no code, but with the gallery's length, weights and model.
        model_file: where the model's checkpoint was, or empty.
        readable_by: who may read its files.
    """

    name: str
    template: Codes
    model_file: str
    readable_by: str


def read_facts(db: sqlite3.Connection) -> Facts:
    """Read what a gallery says of itself.

    Raises:
        GalleryError: a value is missing or is none that a gallery has.
    """
    for fault in faults(db):
        raise GalleryError(fault)
    values = {key: get_meta(db, key) for key in ("gallery", "bits", "weights", "model")}
    template = _template(values["bits"], values["weights"], values["model"])
    file, readers = get_meta(db, "model_file", ""), get_meta(db, "readable_by", "owner")
    return Facts(values["gallery"], template, file, readers)


def faults(db: sqlite3.Connection) -> Iterator[str]:
    """A line for each value of a gallery as a whole that is damaged, missing or impossible."""
    values: dict[str, Any] = {}
    for key, value, crc in db.execute("SELECT key, value, checksum FROM meta"):
        if crc != checksum(key, value):
            yield f"meta: the value of {key} is damaged: its checksum differs"
        elif key in _KINDS and not _KINDS[key](value):
            yield f"meta: {_shown(value)} is no value for {key}"
        else:
            values[key] = value
            continue
        values[key] = None
    for key in REQUIRED:
        if key not in values:
            yield f"meta: {key} is missing"
    try:
        if all(values.get(key) is not None for key in ("bits", "weights", "model")):
            _template(values["bits"], values["weights"], values["model"])
        if values.get("calibration") is not None:
            Calibration.from_json(values["calibration"])
    except (CodeError, GalleryError) as error:
        yield f"meta: {error}"
    for table, column in (("sightings", "id"), ("identities", "id")):
        try:
            last = select.sequence(db, table)
        except GalleryError as error:
            yield str(error)
            continue
        first, highest = db.execute(f"SELECT min({column}), max({column}) FROM {table}").fetchone()
        if first is not None and (first < 1 or highest > last):
            yield f"{table} are numbered {first} to {highest}, and not 1 to {last} as counted"


def _template(bits: int, weights: bytes, model: str) -> Codes:
    if len(weights) != 4 * bits:
        raise GalleryError(f"{len(weights)} bytes of weights for codes of {bits} bits")
    numbers: NDArray[np.float32] = np.frombuffer(weights, "<f4")
    return Codes.empty(bits, numbers, model)


def _shown(value: object) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 40 else f"{text[:37]}…"


def _is_whole(value: object, least: int = 0) -> bool:
    return isinstance(value, int) and least <= value < select.NUMBERS


def _is_text(value: object) -> bool:
    return isinstance(value, str) and len(value) < 2**16 and "\n" not in value


_KINDS: dict[str, Callable[[Any], bool]] = {
    "schema": lambda value: value == SCHEMA,
    # it becomes part of the names of files
    "gallery": lambda value: isinstance(value, str) and bool(re.fullmatch("[0-9a-f]{1,64}", value)),
    "bits": lambda value: _is_whole(value, 1),
    "weights": lambda value: isinstance(value, bytes),
    "model": _is_text,
    "model_file": _is_text,
    "erasures": _is_whole,
    "erasing": _is_whole,
    "calibration": lambda value: value is None or isinstance(value, str),
    "readable_by": lambda value: value in READERS,
}
