"""Adding rows to a gallery, and taking them out."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from reid_hash.gallery.sighting import Filter, Sighting, check_name, fields_of
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
from reid_hash.gallery.sqlite.tables import checksum
from reid_hash.gallery.sqlite.work import allow


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


def remove(db: sqlite3.Connection, chosen: Filter) -> Ids:
    """Take sightings out with their thumbnails, and identities of which none is left."""
    gone = ids_of(db, chosen)
    where, values = condition(db, chosen)
    db.execute(f"DELETE FROM sightings WHERE {where}", values)
    drop_empty_identities(db)
    return gone


def drop_empty_identities(db: sqlite3.Connection) -> None:
    """Take out the identities that no sighting has."""
    db.execute(
        "DELETE FROM identities WHERE NOT EXISTS "
        "(SELECT 1 FROM sightings WHERE identity = identities.id)"
    )
