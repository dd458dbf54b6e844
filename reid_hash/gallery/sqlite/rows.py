"""Adding rows to a gallery, and erasing them so that nothing is left in the gallery's folder.

Deleting a row leaves its bytes in the file. To erase, the rows go in a transaction, index files are
deleted, the database is written anew without the gaps (VACUUM; `secure_delete` has zeroed what was
freed), and the log is emptied into it and cut off. A note in the database says that this is under
way: what a killed process or a full disk interrupts, the next writer finishes. What a file system
or a disk keeps of blocks that no file has any more is out of reach: that is for disk encryption.
"""

import json
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from reid_hash.errors import GalleryError
from reid_hash.gallery.sighting import Filter, Sighting, check_name, fields_of
from reid_hash.gallery.sqlite.database import WAIT, Database, is_full
from reid_hash.gallery.sqlite.index import GalleryIndex
from reid_hash.gallery.sqlite.query import (
    SEALED,
    Ids,
    condition,
    find_identity,
    ids_of,
    last_id,
    require_identity,
    sequence,
)
from reid_hash.gallery.sqlite.schema import checksum, get_count, put_meta
from reid_hash.gallery.sqlite.work_limit import allow


def insert(
    db: sqlite3.Connection,
    packed: NDArray[np.uint8],
    sightings: Sequence[Sighting],
    now: float,
    keep_ids: bool = False,
) -> Ids:
    """Add rows; gives their ids, ascending.

    Args:
        db: in a transaction.
        packed: [n, width] uint8, the codes.
        sightings: n of them.
        now: time of the sightings that have none, seconds since 1970.
        keep_ids: the sightings come with their ids, all above those already there.
    """
    first = last_id(db) + 1
    ids = list(range(first, first + len(sightings)))
    if keep_ids:
        ids = [int(sighting.id or 0) for sighting in sightings]
    allow(db, len(ids))
    width, blob = packed.shape[1], packed.tobytes()
    identities = _Identities(db)
    thumbnails = []

    def rows() -> Iterator[tuple[object, ...]]:
        for i, (number, sighting) in enumerate(zip(ids, sightings, strict=True)):
            identity = identities.of(sighting)
            code = blob[i * width : (i + 1) * width]
            values = (number, code, *fields_of(sighting, now), identity)
            if sighting.thumbnail is not None:
                thumbnails.append((number, bytes(sighting.thumbnail)))
            yield (*values, checksum(*values))

    marks = ", ".join("?" * (SEALED.count(",") + 2))
    db.executemany(f"INSERT INTO sightings ({SEALED}, checksum) VALUES ({marks})", rows())
    insert_thumbnails(db, thumbnails)
    return np.array(ids, np.int64)


def insert_thumbnails(db: sqlite3.Connection, pairs: Iterable[tuple[int, bytes]]) -> None:
    """Add thumbnails: (id of the sighting, JPEG)."""
    rows = ((number, jpeg, checksum(number, jpeg)) for number, jpeg in pairs)
    db.executemany("INSERT INTO thumbnails VALUES (?, ?, ?)", rows)


class _Identities:
    """Identities that new rows name, each looked up once."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._known: dict[int | str, int] = {}

    def of(self, sighting: Sighting) -> int | None:
        key = sighting.name if sighting.identity is None else sighting.identity
        if key is None:
            return None
        if key not in self._known:
            found = find_identity(self._db, key) if isinstance(key, str) else None
            if isinstance(key, str) and found is None:
                found = add_identity(self._db, key)
            self._known[key] = require_identity(self._db, key) if found is None else found
        return self._known[key]


def add_identity(db: sqlite3.Connection, name: str | None, number: int | None = None) -> int:
    """Make an identity; gives its number, the next one where none is given."""
    number = 1 + sequence(db, "identities") if number is None else number
    if name is not None:
        check_name(name)
    db.execute("INSERT INTO identities VALUES (?, ?, ?)", (number, name, checksum(number, name)))
    return number


def remove(db: sqlite3.Connection, chosen: Filter, spared: Collection[int]) -> Ids:
    """Take sightings out with their thumbnails, and identities of which none is left."""
    gone = ids_of(db, chosen)
    where, values = condition(db, chosen)
    db.execute(f"DELETE FROM sightings WHERE {where}", values)
    drop_empty_identities(db, spared)
    return gone


def drop_empty_identities(db: sqlite3.Connection, spared: Collection[int]) -> None:
    """Take out the identities that no sighting has, except new ones that wait for theirs."""
    db.execute(
        "DELETE FROM identities WHERE NOT EXISTS "
        "(SELECT 1 FROM sightings WHERE identity = identities.id) "
        "AND id NOT IN (SELECT value FROM json_each(?))",
        (json.dumps(sorted(spared)),),
    )


def erase(
    database: Database, index: GalleryIndex, chosen: Filter, spared: Collection[int] = ()
) -> int:
    """Erase the chosen sightings, and identities of which none is left; gives how many.

    Raises:
        GalleryError: nothing was erased, or the rows are gone but their bytes are not yet; the
            message says which.
    """
    with database.reading() as db:
        index.warm(db)
    try:
        gone, erasures = _remove(database, chosen, spared)
    except GalleryError as error:
        if not is_full(error):
            raise
        index.drop()  # a cache, which frees room: what is erased needs some
        gone, erasures = _remove(database, chosen, spared)
    if len(gone):
        index.remove(gone, erasures)
    finish_erasing(database, index)  # also what an erasure before left to do
    if len(gone):
        with database.reading() as db:  # now, for those who open the gallery meanwhile
            index.write(db)
    return len(gone)


def _remove(database: Database, chosen: Filter, spared: Collection[int]) -> tuple[Ids, int]:
    with database.writing() as db:
        gone = remove(db, chosen, spared)
        erasures = get_count(db, "erasures") + 1
        if len(gone):
            put_meta(db, "erasures", erasures)
            put_meta(db, "erasing", 1)
    return gone, erasures


def finish_erasing(database: Database, index: GalleryIndex) -> None:
    """Do what is left to do after rows were removed; nothing where that is nothing."""
    with database.alone() as db:
        if not get_count(db, "erasing"):
            return
        try:
            index.delete()
            try:
                db.execute("VACUUM")
            except sqlite3.Error as error:
                if not is_full(error):
                    raise
                # the index in memory still holds its file, and the log what was deleted
                index.drop()
                db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                db.execute("VACUUM")
            if db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
                raise GalleryError(f"a reader kept the log for {WAIT:.0f} seconds")
        except (sqlite3.Error, GalleryError) as error:
            raise GalleryError(
                f"the sightings are gone from gallery {database.folder}, but their bytes not yet "
                f"from its files ({error}); whoever opens it next to write goes on with that"
            ) from error
        put_meta(db, "erasing", 0)
