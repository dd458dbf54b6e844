"""Choosing and reading the rows of a gallery."""

import json
import math
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reid_hash.errors import GalleryError, MissingError
from reid_hash.gallery.sighting import Filter, Sighting, any_names
from reid_hash.gallery.sqlite.work_limit import ROW, allow, charge
from reid_hash.utils.timestamps import TIME_LIMIT

Ids = NDArray[np.int64]

SEALED = "id, code, camera, time, source, track, frame, x, y, w, h, identity"
"""The columns of a sighting that its checksum is over, in this order."""

_COLUMNS = {
    "ids": "id",
    "cameras": "camera",
    "sources": "source",
    "tracks": "track",
    "identities": "identity",
    "since": "time",
    "until": "time",
}
NUMBERS = 2**62
"""Above all numbers of sightings and identities: what reaches it was not counted up to."""

_TIMES = {"since": ">=", "until": "<"}
_FEW = 1000  # sightings that are dropped after a search
_BLOCK = 50_000  # rows that are Python objects at a time


def find_identity(db: sqlite3.Connection, identity: int | str) -> int | None:
    """The number of an identity that is given by number or name, or None."""
    column = "name" if isinstance(identity, str) else "id"
    value = identity if isinstance(identity, str) else int(identity)
    row = db.execute(f"SELECT id FROM identities WHERE {column} = ?", (value,)).fetchone()
    return None if row is None else int(row[0])


def last_id(db: sqlite3.Connection) -> int:
    """The highest id that a sighting ever had; 0 where there was none."""
    return sequence(db, "sightings")


def sequence(db: sqlite3.Connection, table: str) -> int:
    """The highest id that a row of a table ever had; 0 where there was none.

    Raises:
        GalleryError: the counter is damaged.
    """
    row = db.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (table,)).fetchone()
    last = 0 if row is None else row[0]
    if not isinstance(last, int) or not 0 <= last < NUMBERS:
        raise GalleryError(f"the counter of {table} is damaged: {str(last)[:40]!r}")
    return last


def condition(db: sqlite3.Connection, chosen: Filter) -> tuple[str, list[Any]]:
    """A filter as an SQL condition on `sightings` and its parameters; "1" where it takes all.

    Raises:
        GalleryError: it asks for an identity that is not there.
    """
    terms: list[str] = []
    values: list[Any] = []
    wanted: Any
    for key, wanted in chosen.items():
        if wanted is None:
            continue
        column = _COLUMNS[key.removeprefix("exclude_")]
        if key in _TIMES:
            terms.append(f"sightings.time {_TIMES[key]} ?")
            values.append(float(wanted))
            continue
        if column == "identity" and key == "identities":
            wanted = [require_identity(db, identity) for identity in wanted]
        elif column == "identity":  # whoever is not there is excluded already
            found = (find_identity(db, identity) for identity in wanted)
            wanted = [identity for identity in found if identity is not None]
        if column == "source":
            wanted = any_names(wanted)
        # one parameter for a list of any length; NumPy's numbers are no JSON
        listed = [one if isinstance(one, str) else int(one) for one in wanted]
        allow(db, len(listed))
        values.append(json.dumps(listed))
        term = f"sightings.{column} IN (SELECT value FROM json_each(?))"
        terms.append(f"{term} IS NOT TRUE" if key.startswith("exclude_") else term)
    return " AND ".join(terms) or "1", values


def is_time(value: object) -> bool:
    """Whether a value is a time that a sighting can have."""
    return isinstance(value, float) and -TIME_LIMIT < value < TIME_LIMIT


def as_text(value: object) -> str:
    """The text that a column holds; GalleryError where it holds something else."""
    if not isinstance(value, str):
        raise GalleryError("a name in the gallery is damaged: it is no text")
    return value


def require_identity(db: sqlite3.Connection, identity: int | str) -> int:
    """The number of an identity, given by number or name; GalleryError if it is not there."""
    found = find_identity(db, identity)
    if found is None:
        shown = identity if isinstance(identity, str) else f"#{identity}"
        raise MissingError(f"there is no identity {shown} in the gallery")
    return found


def ids_of(db: sqlite3.Connection, chosen: Filter) -> Ids:
    """Ids of the chosen sightings, ascending; from the tables' indexes where they suffice."""
    where, values = condition(db, chosen)
    found = db.execute(f"SELECT id FROM sightings WHERE {where}", values)
    return np.sort(np.fromiter((row[0] for row in found), np.int64))


def candidates(db: sqlite3.Connection, chosen: Filter) -> tuple[Ids | None, set[int]]:
    """What a search is to look at: (the ids, or None for all; ids to drop from what it finds).

    Few that are excluded are dropped afterwards: that is cheaper than a list of all others.
    """
    rest: Filter = {**chosen}
    dropped = {int(number) for number in rest.pop("exclude_ids", ()) or ()}
    excluded = rest.get("exclude_identities")
    if excluded:
        found = (find_identity(db, identity) for identity in excluded)
        theirs = ids_of(db, {"identities": [one for one in found if one is not None]})
        if len(theirs) <= _FEW:
            dropped.update(theirs.tolist())
            del rest["exclude_identities"]
    everything = all(value is None for value in rest.values())
    return None if everything else ids_of(db, rest), dropped


def count(db: sqlite3.Connection, chosen: Filter) -> int:
    """Number of the chosen sightings."""
    where, values = condition(db, chosen)
    # "WHERE 1" where all are counted: without a condition SQLite walks the pages in one step, which
    # nothing can end where they have no end
    return int(db.execute(f"SELECT count(*) FROM sightings WHERE {where}", values).fetchone()[0])


def count_identities(db: sqlite3.Connection) -> int:
    """Number of identities."""
    return int(db.execute("SELECT count(*) FROM identities WHERE 1").fetchone()[0])


def sightings(
    db: sqlite3.Connection,
    chosen: Filter,
    after: int = 0,
    limit: int | None = None,
    newest: bool = False,
    thumbnails: bool = False,
) -> Iterator[Sighting]:
    """The chosen sightings by id, or by time and id from the newest on.

    Args:
        db: a connection.
        chosen: which.
        after: only ids above this one: the next page.
        limit: how many at most.
        newest: from the newest on.
        thumbnails: with their thumbnails.
    """
    where, values = condition(db, chosen)
    order = "time DESC, sightings.id DESC" if newest else "sightings.id"
    rows = db.execute(
        "SELECT sightings.id, camera, time, source, track, frame, x, y, w, h, identity, name, "
        f"{'jpeg' if thumbnails else 'NULL'} FROM sightings "
        "LEFT JOIN identities ON identities.id = identity "
        f"{'LEFT JOIN thumbnails ON sighting = sightings.id' if thumbnails else ''} "
        f"WHERE {where} AND sightings.id > ? ORDER BY {order} LIMIT ?",
        # SQLite's integers end at 2^63
        [*values, min(after, NUMBERS), -1 if limit is None else min(limit, NUMBERS)],
    )
    for row in rows:
        yield _sighting(db, row)


def _sighting(db: sqlite3.Connection, row: Sequence[Any]) -> Sighting:
    number, camera, time, source, track, frame, x, y, w, h, identity, name, jpeg = row
    values = (number, b"", camera, time, source, track, frame, x, y, w, h, identity)
    if not (are_values(values) and isinstance(name, str | None) and isinstance(jpeg, bytes | None)):
        raise GalleryError(f"sighting {number} is damaged: a value is of another type")
    charge(db, len(camera) + len(source) + len(jpeg or b""))
    box = None if x is None else (x, y, w, h)
    return Sighting(camera, time, source, track, frame, box, jpeg, identity, name, number)  # type: ignore[arg-type]


def are_values(values: Sequence[Any]) -> bool:
    """Whether the columns `SEALED` of a row are of the types that a sighting has.

    Args:
        values: id, code, camera, time, source, track, frame, x, y, w, h, identity.
    """
    _, code, camera, time, source, *numbers = values
    track, frame, *box, identity = numbers
    return (
        isinstance(code, bytes)
        and isinstance(camera, str)
        and is_time(time)
        and isinstance(source, str)
        and all(number is None or isinstance(number, int) for number in (track, frame, identity))
        and (box == [None] * 4 or all(isinstance(v, float) and math.isfinite(v) for v in box))
    )


def codes(
    db: sqlite3.Connection, width: int, after: int = 0, chosen: Filter | None = None
) -> Iterator[tuple[Ids, NDArray[np.uint8]]]:
    """Ids and packed codes in blocks, by id.

    Args:
        db: a connection.
        width: bytes of a code.
        after: only ids above this one.
        chosen: which; all when left out.

    Yields:
        ([n] int64, [n, width] uint8).

    Raises:
        GalleryError: a code is of another width, which only damage can bring about.
    """
    where, values = condition(db, chosen or {})
    # a code of another length is not even read: it may be as long as the file
    code = f"CASE WHEN typeof(code) = 'blob' AND length(code) = {width} THEN code END"
    found = db.execute(
        f"SELECT id, {code} FROM sightings WHERE id > ? AND {where} ORDER BY id", [after, *values]
    )
    while block := found.fetchmany(_BLOCK):
        charge(db, len(block) * (width + ROW))
        ids = np.array([row[0] for row in block], np.int64)
        wrong = [row[0] for row in block if row[1] is None]
        if wrong:
            raise GalleryError(f"the code of sighting {wrong[0]} is damaged: not {width} bytes")
        data = np.frombuffer(b"".join([row[1] for row in block]), np.uint8)
        yield ids, data.reshape(len(ids), width)


def summary(db: sqlite3.Connection) -> dict[str, Any]:
    """How many sightings, identities, thumbnails and cameras there are, and from when to when."""
    first, last = db.execute("SELECT min(time), max(time) FROM sightings").fetchone()
    if not all(time is None or is_time(time) for time in (first, last)):
        raise GalleryError("the times of sightings are damaged")
    numbers = {
        table: int(db.execute(f"SELECT count(*) FROM {table} WHERE 1").fetchone()[0])
        for table in ("sightings", "identities", "thumbnails")
    }
    return {**numbers, "cameras": cameras(db), "first": first, "last": last}


def cameras(db: sqlite3.Connection) -> dict[str, int]:
    """Name of each camera → how many sightings it has."""
    found = db.execute("SELECT camera, count(*) FROM sightings GROUP BY camera")
    return {as_text(name): int(number) for name, number in found}


def labels(db: sqlite3.Connection, most: int, seed: int) -> tuple[list[int], list[int], list[int]]:
    """Of each sighting whose identity is known: the identity, a number of its camera, its id.

    Args:
        db: a connection.
        most: how many at most; drawn where there are more.
        seed: of the draw.
    """
    found = db.execute(
        "SELECT identity, dense_rank() OVER (ORDER BY camera), id FROM sightings "
        "WHERE identity IS NOT NULL ORDER BY id"
    ).fetchall()
    if len(found) > most:
        drawn = np.random.default_rng(seed).permutation(len(found))[:most]
        found = [found[i] for i in np.sort(drawn).tolist()]
    if not all(isinstance(row[0], int) for row in found):
        raise GalleryError("the identity of a sighting is damaged: it is no number")
    return [row[0] for row in found], [row[1] for row in found], [row[2] for row in found]
