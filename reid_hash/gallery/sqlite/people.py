"""Identities: which sightings are of one person."""

import sqlite3
from collections.abc import Sequence

from reid_hash.errors import GalleryError
from reid_hash.gallery.sighting import Filter, Identity, check_name
from reid_hash.gallery.sqlite import query as select
from reid_hash.gallery.sqlite import rows


def identities(db: sqlite3.Connection) -> list[Identity]:
    """All identities, by number, with how many sightings they have and from when to when."""
    found = db.execute(
        "SELECT identities.id, name, count(*), min(time), max(time) "
        "FROM identities JOIN sightings ON identity = identities.id GROUP BY identities.id"
    )
    people = [Identity(*row) for row in found]
    for one in people:
        named = one.name is None or isinstance(one.name, str)
        if not (named and select.is_time(one.first) and select.is_time(one.last)):
            raise GalleryError(f"identity #{one.id} is damaged: a value is of another type")
    return people


def assign(db: sqlite3.Connection, ids: Sequence[int], identity: int | str | None) -> int | None:
    """Say of whom sightings are; gives the identity's number.

    Args:
        db: in a transaction.
        ids: of the sightings.
        identity: number or name; a new name makes an identity. None: of nobody known.

    Raises:
        GalleryError: a sighting or the identity is not there, or a sighting is damaged.
    """
    wanted = sorted({int(number) for number in ids})
    if select.count(db, {"ids": wanted}) != len(wanted):
        there = set(select.ids_of(db, {"ids": wanted}).tolist())
        missing = next(number for number in wanted if number not in there)
        raise GalleryError(f"there is no sighting {missing} in the gallery")
    number: int | None = None
    if isinstance(identity, str):
        number = select.find_identity(db, identity) or rows.add_identity(db, identity)
    elif identity is not None:
        number = select.require_identity(db, identity)
    _move(db, {"ids": wanted}, number)
    return number


def merge(db: sqlite3.Connection, kept: int | str, other: int | str) -> int:
    """Make two identities one: the sightings of `other` go to `kept`; gives its number.

    The name of `kept` stays; where it has none, that of `other` does.
    """
    to, gone = select.require_identity(db, kept), select.require_identity(db, other)
    if to == gone:
        raise GalleryError(f"identity {kept} cannot be merged with itself")
    names = dict(
        db.execute("SELECT id, name FROM identities WHERE id IN (?, ?)", (to, gone)).fetchall()
    )
    _move(db, {"identities": [gone]}, to)
    if names[to] is None and names[gone] is not None:
        rename(db, to, names[gone])
    return to


def split(
    db: sqlite3.Connection,
    identity: int | str,
    ids: Sequence[int] = (),
    tracks: Sequence[int] = (),
    name: str | None = None,
) -> int:
    """Take sightings of an identity out into a new one; gives the new one's number.

    Args:
        db: in a transaction.
        identity: number or name.
        ids: sightings to take out.
        tracks: tracks whose sightings to take out as well.
        name: of the new identity.

    Raises:
        GalleryError: it has no such sighting, or none would be left to it.
    """
    old = select.require_identity(db, identity)
    chosen: set[int] = set(select.ids_of(db, {"identities": [old], "ids": ids}).tolist())
    if set(map(int, ids)) - chosen:
        raise GalleryError(f"sighting {min(set(ids) - chosen)} is not of identity {identity}")
    for track in tracks:
        of_track = select.ids_of(db, {"identities": [old], "tracks": [track]})
        if not len(of_track):
            raise GalleryError(f"identity {identity} has no sighting of track {track}")
        chosen |= set(of_track.tolist())
    if not chosen:
        raise GalleryError("say which sightings or tracks to split off")
    if len(chosen) == select.count(db, {"identities": [old]}):
        raise GalleryError(f"these are all sightings of identity {identity}: nothing to split")
    if name is not None:
        _refuse_taken(db, name)
    new = rows.add_identity(db, name)
    _move(db, {"ids": sorted(chosen)}, new)
    return new


def rename(db: sqlite3.Connection, identity: int | str, name: str | None) -> int:
    """Give an identity a name, or take it away with None; gives its number."""
    number = select.require_identity(db, identity)
    if name is not None:
        check_name(name)
        if select.find_identity(db, name) != number:
            _refuse_taken(db, name)
    db.execute(
        "UPDATE identities SET name = ?, checksum = checksum(id, ?) WHERE id = ?",
        (name, name, number),
    )
    return number


def _refuse_taken(db: sqlite3.Connection, name: str) -> None:
    taken = select.find_identity(db, name)
    if taken is not None:
        raise GalleryError(f"{name} is the name of identity #{taken} already; merge the two")


def _move(db: sqlite3.Connection, chosen: Filter, identity: int | None) -> None:
    """Give the chosen sightings to an identity, and drop those to which none is left."""
    where, values = select.condition(db, chosen)
    # a new checksum over a damaged row would hide the damage
    damaged = db.execute(
        f"SELECT id FROM sightings WHERE {where} AND checksum <> checksum({select.SEALED}) LIMIT 1",
        values,
    ).fetchone()
    if damaged is not None:
        raise GalleryError(f"sighting {damaged[0]} is damaged: its checksum differs")
    sealed = select.SEALED.removesuffix("identity") + "?"
    db.execute(
        f"UPDATE sightings SET identity = ?, checksum = checksum({sealed}) WHERE {where}",
        [identity, identity, *values],
    )
    rows.drop_empty_identities(db)
