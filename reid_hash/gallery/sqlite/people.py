"""Identities: which sightings are of one person."""

import sqlite3
from collections.abc import Iterable, Sequence

from reid_hash.errors import GalleryError, MissingError
from reid_hash.gallery.sighting import Filter, Identity, check_name
from reid_hash.gallery.sqlite import query as select
from reid_hash.gallery.sqlite import rows
from reid_hash.gallery.sqlite.database import Database


class People:
    """The identities of a gallery: which sightings are of one person; see `AnyPeople`.

    Args:
        database: of the gallery.

    Attributes:
        unused: identities of `new` that no sighting has yet. Others that no sighting has are taken
            out with each change.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self.unused: set[int] = set()

    def new(self) -> int:
        """Make an identity without a name and without sightings; gives its number."""
        with self._database.writing() as db:
            number = rows.add_identity(db, None)
        self.unused.add(number)
        return number

    def used(self, identities: Iterable[int | None]) -> None:
        """Note that sightings were added to some identities."""
        self.unused.difference_update(one for one in identities if one is not None)

    def identities(self) -> list[Identity]:
        """All identities, by number, with how many sightings they have and from when to when."""
        with self._database.reading() as db:
            return _identities(db)

    def assign(self, ids: Sequence[int], identity: int | str | None) -> int | None:
        """See `AnyPeople.assign`."""
        with self._database.writing() as db:
            number = _assign(db, ids, identity, self.unused)
        self.used([number])
        return number

    def merge(self, kept: int | str, other: int | str) -> int:
        """See `AnyPeople.merge`."""
        with self._database.writing() as db:
            return _merge(db, kept, other, self.unused)

    def split(
        self,
        identity: int | str,
        ids: Sequence[int] = (),
        tracks: Sequence[int] = (),
        name: str | None = None,
    ) -> int:
        """See `AnyPeople.split`."""
        with self._database.writing() as db:
            return _split(db, identity, ids, tracks, name, self.unused)

    def name(self, identity: int | str, name: str | None) -> int:
        """See `AnyPeople.name`."""
        with self._database.writing() as db:
            return _rename(db, identity, name)


def _identities(db: sqlite3.Connection) -> list[Identity]:
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


def _assign(
    db: sqlite3.Connection, ids: Sequence[int], identity: int | str | None, spared: set[int]
) -> int | None:
    wanted = sorted({int(number) for number in ids})
    if select.count(db, {"ids": wanted}) != len(wanted):
        there = set(select.ids_of(db, {"ids": wanted}).tolist())
        missing = next(number for number in wanted if number not in there)
        raise MissingError(f"there is no sighting {missing} in the gallery")
    number: int | None = None
    if isinstance(identity, str):
        number = select.find_identity(db, identity) or rows.add_identity(db, identity)
    elif identity is not None:
        number = select.require_identity(db, identity)
    _move(db, {"ids": wanted}, number, spared)
    return number


def _merge(db: sqlite3.Connection, kept: int | str, other: int | str, spared: set[int]) -> int:
    to, gone = select.require_identity(db, kept), select.require_identity(db, other)
    if to == gone:
        raise GalleryError(f"identity {kept} cannot be merged with itself")
    names = dict(
        db.execute("SELECT id, name FROM identities WHERE id IN (?, ?)", (to, gone)).fetchall()
    )
    _move(db, {"identities": [gone]}, to, spared)
    if names[to] is None and names[gone] is not None:
        _rename(db, to, names[gone])
    return to


def _split(
    db: sqlite3.Connection,
    identity: int | str,
    ids: Sequence[int],
    tracks: Sequence[int],
    name: str | None,
    spared: set[int],
) -> int:
    old = select.require_identity(db, identity)
    chosen: set[int] = set(select.ids_of(db, {"identities": [old], "ids": ids}).tolist())
    if set(map(int, ids)) - chosen:
        raise MissingError(f"sighting {min(set(ids) - chosen)} is not of identity {identity}")
    for track in tracks:
        of_track = select.ids_of(db, {"identities": [old], "tracks": [track]})
        if not len(of_track):
            raise MissingError(f"identity {identity} has no sighting of track {track}")
        chosen |= set(of_track.tolist())
    if not chosen:
        raise GalleryError("say which sightings or tracks to split off")
    if len(chosen) == select.count(db, {"identities": [old]}):
        raise GalleryError(f"these are all sightings of identity {identity}: nothing to split")
    if name is not None:
        _refuse_taken(db, name)
    new = rows.add_identity(db, name)
    _move(db, {"ids": sorted(chosen)}, new, spared)
    return new


def _rename(db: sqlite3.Connection, identity: int | str, name: str | None) -> int:
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


def _move(db: sqlite3.Connection, chosen: Filter, identity: int | None, spared: set[int]) -> None:
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
    rows.drop_empty_identities(db, spared)
