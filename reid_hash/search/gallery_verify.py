"""Finding damage in a gallery, and naming what is damaged."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

from reid_hash.errors import GalleryError, ReidHashError
from reid_hash.search import gallery_query as select
from reid_hash.search.gallery_cache import index_files
from reid_hash.search.gallery_db import Database
from reid_hash.search.gallery_index import position
from reid_hash.search.gallery_tables import checksum, get_meta

SHOWN = 20
"""Rows of a kind that are named one by one; of more the number is given."""

_META = ("schema", "gallery", "bits", "weights", "model", "erasures")


def verify(folder: Path) -> list[str]:
    """Look for damage anywhere in a gallery; takes no lock and writes nothing.

    Args:
        folder: of the gallery.

    Returns:
        A line for each thing that is damaged; none where all is well.

    Raises:
        GalleryError: there is no gallery.
    """
    database = Database(folder, read_only=True)
    found: list[str] = []
    try:
        # each look for itself: one that damage stops does not hide what another finds
        for look in (_structure, _values, _sightings, _others, _codes):
            try:
                with database.reading() as db:
                    found += look(db)
            except ReidHashError as error:
                found.append(_without_hint(error))
        try:
            with database.reading() as db:
                found += _index(db, folder)
        except ReidHashError as error:
            found.append(_without_hint(error))
    finally:
        database.close()
    return list(dict.fromkeys(found))


def _without_hint(error: ReidHashError) -> str:
    return str(error).split("; `reid-hash gallery verify`")[0]


def _structure(db: sqlite3.Connection) -> Iterator[str]:
    for (line,) in db.execute(f"PRAGMA integrity_check({SHOWN})"):
        if line != "ok":
            yield f"database: {' '.join(line.split())}"
    for table, row, parent, _ in db.execute("PRAGMA foreign_key_check"):
        yield f"{table} row {row} refers to a row of {parent} that is not there"


def _values(db: sqlite3.Connection) -> Iterator[str]:
    there = set()
    for key, value, crc in db.execute("SELECT key, value, checksum FROM meta"):
        there.add(key)
        if crc != checksum(key, value):
            yield f"meta: the value of {key} is damaged: its checksum differs"
    for key in _META:
        if key not in there:
            yield f"meta: {key} is missing"


def _sightings(db: sqlite3.Connection) -> Iterator[str]:
    damaged = f"SELECT id FROM sightings WHERE checksum <> checksum({select.SEALED})"
    yield from _named(db, damaged, "sighting {}: its checksum differs")


def _others(db: sqlite3.Connection) -> Iterator[str]:
    yield from _named(
        db,
        "SELECT sighting FROM thumbnails WHERE checksum <> checksum(sighting, jpeg)",
        "thumbnail of sighting {}: its checksum differs",
    )
    yield from _named(
        db,
        "SELECT id FROM identities WHERE checksum <> checksum(id, name)",
        "identity #{}: its checksum differs",
    )


def _codes(db: sqlite3.Connection) -> Iterator[str]:
    bits = int(get_meta(db, "bits"))
    width, padding = -(-bits // 8), -bits % 8
    yield from _named(
        db,
        f"SELECT id FROM sightings WHERE typeof(code) <> 'blob' OR length(code) <> {width}",
        f"sighting {{}}: its code is not of {width} bytes",
    )
    if padding:
        for ids, packed in select.codes(db, width):
            for number in ids[(packed[:, -1] >> (8 - padding)) > 0][:SHOWN]:
                yield f"sighting {number}: the padding of its code is not zero"


def _index(db: sqlite3.Connection, folder: Path) -> Iterator[str]:
    """Index files against their checksums, and against the number of rows they stand for."""
    gallery, now = str(get_meta(db, "gallery")), position(db)
    for file in index_files(folder):
        index = file.load()
        if isinstance(index, str):
            yield f"index: {index}; it is not used, and made anew by the next writer"
            continue
        at = file.position
        if file.gallery != gallery or at.erasures != now.erasures or at.last > now.last:
            continue  # of another state, which is no damage: it is not used
        there = "SELECT count(*) FROM sightings WHERE id <= ?"
        if len(index) != db.execute(there, (at.last,)).fetchone()[0]:
            yield f"index: {file.path.name} differs from the database; delete it"


def _named(db: sqlite3.Connection, sql: str, text: str) -> Iterator[str]:
    """A line for each of the first rows that a query gives, and one for the number of the rest."""
    more = 0
    for i, (number,) in enumerate(db.execute(sql)):
        if i < SHOWN:
            yield text.format(number)
        else:
            more += 1
    if more:
        yield f"and {more:,} more: " + text.format("…")


def require_schema(db: sqlite3.Connection, folder: Path, known: int) -> None:
    """Raise GalleryError where a gallery was made by a newer version of the toolkit."""
    schema = get_meta(db, "schema")
    if schema != known:
        raise GalleryError(
            f"gallery {folder} has tables of version {schema}; this version of reid-hash reads "
            f"version {known}"
        )
