"""Whether a database has the tables of a gallery, and nothing else.

A view, trigger or virtual table in a file that somebody sent would run in place of, or beside, our
own statements.
"""

import contextlib
import re
import sqlite3
from functools import cache
from pathlib import Path

from reid_hash.errors import GalleryError
from reid_hash.gallery.sqlite.tables import DATABASE, SCHEMA, TABLES

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
