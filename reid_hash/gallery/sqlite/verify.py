"""Finding damage in a gallery, naming what is damaged, and mending what can be mended."""

import contextlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from reid_hash.errors import GalleryError, ReidHashError
from reid_hash.gallery.sighting import is_text
from reid_hash.gallery.sqlite import query as select
from reid_hash.gallery.sqlite.cache import index_files, remove_leftovers
from reid_hash.gallery.sqlite.database import WAIT, Database
from reid_hash.gallery.sqlite.files import describe_wide, narrow
from reid_hash.gallery.sqlite.index import position
from reid_hash.gallery.sqlite.schema import checksum, faults, get_meta, read_facts
from reid_hash.gallery.sqlite.work_limit import charge
from reid_hash.gallery.sqlite.write_ahead_log import find_log_damage, log_of

SHOWN = 20
"""Rows of a kind that are named one by one; of more the number is given."""


_LONGEST = 300  # characters of what SQLite says of a damaged page


def verify(folder: Path) -> list[str]:
    """Look for damage anywhere in a gallery; takes no lock and writes nothing.

    Args:
        folder: of the gallery.

    Returns:
        A line for each thing that is damaged, or open to more people than it should be; none where
        all is well.

    Raises:
        GalleryError: there is no gallery.
    """
    database = Database(folder, read_only=True, keep_log=True)
    found = [] if database.log_damage is None else [database.log_damage]
    readers = "owner"
    try:
        # each look for itself: one that damage stops does not hide what another finds
        for look in (_structure, faults, _sightings, _others, lambda db: _index(db, folder)):
            try:
                with database.reading() as db:
                    found += look(db)
            except ReidHashError as error:
                found.append(_without_hint(error))
        with contextlib.suppress(ReidHashError), database.reading() as db:
            readers = read_facts(db).readable_by
    finally:
        database.close()
    wide = describe_wide(folder, readers)
    return list(dict.fromkeys(found + ([] if wide is None else [wide])))


def _without_hint(error: ReidHashError) -> str:
    return str(error).split("; `reid-hash gallery verify`")[0]


def _structure(db: sqlite3.Connection) -> Iterator[str]:
    for (line,) in db.execute(f"PRAGMA integrity_check({SHOWN})"):
        if line != "ok":
            text = " ".join(line.split())
            yield f"database: {text[:_LONGEST]}{'…' * (len(text) > _LONGEST)}"
    for table, row, parent, _ in db.execute("PRAGMA foreign_key_check"):
        yield f"{table} row {row} refers to a row of {parent} that is not there"


def _sightings(db: sqlite3.Connection) -> Iterator[str]:
    width = padding = None
    with contextlib.suppress(GalleryError):
        bits = get_meta(db, "bits")
        if isinstance(bits, int) and bits > 0:
            width, padding = -(-bits // 8), -bits % 8
    named: dict[str, list[int]] = {}
    failure: Exception | None = None
    # text that is no UTF-8 is to be named, not to end the look
    db.text_factory = lambda text: text.decode(errors="surrogateescape")
    try:
        for *values, crc in db.execute(f"SELECT {select.SEALED}, checksum FROM sightings"):
            charge(db, sum(len(value) for value in values if isinstance(value, str | bytes)))
            for text in _row_faults(values, crc, width, padding):
                named.setdefault(text, []).append(values[0])
    except (sqlite3.Error, GalleryError) as error:
        failure = error
    finally:
        db.text_factory = str
    for text, numbers in named.items():
        yield from _named(numbers, f"sighting {{}}: {text}")
    if failure is not None:
        raise failure


def _row_faults(
    values: Sequence[Any], crc: object, width: int | None, padding: int | None
) -> Iterator[str]:
    number, code, camera, _, source = values[:5]
    if checksum(*values) != crc:
        yield "its checksum differs"
    elif not select.are_values(values):
        yield "a value is of another type"
    elif not (camera + source).isascii() and not (is_text(camera) and is_text(source)):
        yield "its text is no UTF-8"
    if number < 1:
        yield "it is numbered below 1"
    if width is not None and not (isinstance(code, bytes) and len(code) == width):
        yield f"its code is not of {width} bytes"
    elif padding and code[-1] >> (8 - padding):
        yield "the padding of its code is not zero"


def _others(db: sqlite3.Connection) -> Iterator[str]:
    for sql, text in (
        (
            "SELECT sighting FROM thumbnails WHERE typeof(jpeg) <> 'blob' "
            "OR checksum <> checksum(sighting, jpeg)",
            "thumbnail of sighting {}: its checksum differs",
        ),
        (
            "SELECT id FROM identities WHERE typeof(name) NOT IN ('text', 'null') "
            "OR checksum <> checksum(id, name)",
            "identity #{}: its checksum differs",
        ),
    ):
        yield from _named((number for (number,) in db.execute(sql)), text)


def _index(db: sqlite3.Connection, folder: Path) -> Iterator[str]:
    for _, text in damaged_indexes(db, folder):
        yield f"index: {text}"


def damaged_indexes(db: sqlite3.Connection, folder: Path) -> Iterator[tuple[Path, str]]:
    """Index files that are not as they were written, or not of the rows they stand for.

    Yields:
        (the file, what is wrong with it).
    """
    gallery, now = str(get_meta(db, "gallery")), position(db)
    for file in index_files(folder):
        index = file.load()
        if isinstance(index, str):
            yield file.path, f"{index}; it is not used, and made anew by the next writer"
            continue
        at = file.position
        if file.gallery != gallery or at.erasures != now.erasures or at.last > now.last:
            continue  # of another state, which is no damage: it is not used
        there = "SELECT count(*) FROM sightings WHERE id <= ?"
        if len(index) != db.execute(there, (at.last,)).fetchone()[0]:
            yield file.path, f"{file.path.name} differs from the database; delete it"


def _named(numbers: Iterable[int], text: str) -> Iterator[str]:
    """A line for each of the first numbers, and one for how many more there are."""
    more = 0
    for i, number in enumerate(numbers):
        if i < SHOWN:
            yield text.format(number)
        else:
            more += 1
    if more:
        yield f"and {more:,} more: " + text.format("…")


def fix(folder: Path, tell: Callable[[str], object] | None = None) -> list[str]:
    """Mend a gallery as far as that is possible; what is left to find is for `verify`.

    A damaged log is cut off where SQLite stops reading it, which loses what was committed after
    that. Damaged index files are deleted: they are made anew. Files that more people may read than
    the gallery's own setting says are theirs no more. Rows are never touched.

    Args:
        folder: of the gallery.
        tell: called with each line before the next step.

    Returns:
        A line for each thing that was done.

    Raises:
        GalleryError: there is no gallery, or somebody else writes to it.
    """
    done: list[str] = []

    def say(line: str) -> None:
        done.append(line)
        if tell is not None:
            tell(line)

    database = Database(folder, read_only=False, salvage=True)
    try:
        if database.log_damage is not None:
            say(f"{database.log_damage}; going on without that")
            _cut_log(database)
            say("the log was brought into the database as far as it is whole, and emptied")
        remove_leftovers(folder)
        readers = "owner"
        try:
            with database.reading() as db:
                damaged = list(damaged_indexes(db, folder))
                readers = read_facts(db).readable_by
        except ReidHashError:
            damaged = []  # of a database that is damaged itself nothing can be said
        for path, text in damaged:
            path.unlink(missing_ok=True)
            say(f"index: {text.split(';')[0]}; deleted")
    finally:
        database.close()
    for line in narrow(folder, readers):  # now that SQLite's own files are gone
        say(line)
    return done


def _cut_log(database: Database) -> None:
    with database.alone() as db:
        busy = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    if busy or find_log_damage(log_of(database.path)) is not None:
        raise GalleryError(
            f"cannot empty the log of gallery {database.folder}: a reader kept it for "
            f"{WAIT:.0f} seconds; close those that have the gallery open, and try again"
        )
