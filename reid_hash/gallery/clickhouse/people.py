"""Identities of a gallery in ClickHouse: which sightings are of one person."""

import secrets
import time
from collections.abc import Iterable, Sequence

from reid_hash.errors import GalleryError, MissingError
from reid_hash.gallery.clickhouse.link import Columns, Link, number, text, turn_of
from reid_hash.gallery.clickhouse.rows import NUMBERS, Batches, Names, condition
from reid_hash.gallery.clickhouse.schema import get_meta, put_meta
from reid_hash.gallery.sighting import Filter, Identity, Sighting, check_name, is_text

_ATTEMPTS = 100
_WAITING = 3600.0  # seconds for which an identity of another process may wait for its sightings
_LAST = "last identity"


class ClickHousePeople:
    """The identities of a gallery; see `AnyPeople`.

    Args:
        link: to the gallery.
        names: of its tables.
        batches: of its sightings.
        read_only: nothing can be changed.
    """

    def __init__(self, link: Link, names: Names, batches: Batches, read_only: bool) -> None:
        self._link, self._names, self._batches = link, names, batches
        self._read_only = read_only
        self._turn = turn_of(link.address)

    def identities(self) -> list[Identity]:
        """All identities, by number, with how many sightings they have and from when to when."""
        found = self._link.rows(
            "SELECT identity, count(), min(time), max(time) "
            f"FROM {self._names('sighting_rows')} WHERE identity IS NOT NULL "
            f"AND {self._batches.view().condition()} GROUP BY identity ORDER BY identity"
        )
        named = self.names()
        return [Identity(one, named.get(one), count, a, b) for one, count, a, b in found]

    def assign(self, ids: Sequence[int], identity: int | str | None) -> int | None:
        """See `AnyPeople.assign`."""
        self._write()
        with self._turn:
            wanted = sorted({int(one) for one in ids})
            there = self._ids({"ids": wanted})
            if len(there) < len(wanted):
                missing = next(one for one in wanted if one not in there)
                raise MissingError(f"there is no sighting {missing} in the gallery")
            to: int | None = None
            if isinstance(identity, str):
                to = self.find(identity)
                to = self.make(identity) if to is None else to
            elif identity is not None:
                to = self.require(identity)
            self._move({"ids": wanted}, to)
        return to

    def merge(self, kept: int | str, other: int | str) -> int:
        """See `AnyPeople.merge`."""
        self._write()
        with self._turn:
            to, gone = self.require(kept), self.require(other)
            if to == gone:
                raise GalleryError(f"identity {kept} cannot be merged with itself")
            named = self.names([to, gone])
            self._move({"identities": [gone]}, to)
            self.drop([gone])
            if named.get(to) is None and named.get(gone) is not None:
                self._rename(to, named[gone])
        return to

    def split(
        self,
        identity: int | str,
        ids: Sequence[int] = (),
        tracks: Sequence[int] = (),
        name: str | None = None,
    ) -> int:
        """See `AnyPeople.split`."""
        self._write()
        with self._turn:
            old = self.require(identity)
            chosen = self._ids({"identities": [old], "ids": ids})
            strange = {int(one) for one in ids} - chosen
            if strange:
                raise MissingError(f"sighting {min(strange)} is not of identity {identity}")
            for track in tracks:
                theirs = self._ids({"identities": [old], "tracks": [track]})
                if not theirs:
                    raise MissingError(f"identity {identity} has no sighting of track {track}")
                chosen |= theirs
            if not chosen:
                raise GalleryError("say which sightings or tracks to split off")
            if len(chosen) == len(self._ids({"identities": [old]})):
                raise GalleryError(
                    f"these are all sightings of identity {identity}: nothing to split"
                )
            if name is not None:
                self._refuse_taken(name)
            new = self.make(name)
            self._move({"ids": sorted(chosen)}, new)
        return new

    def name(self, identity: int | str, name: str | None) -> int:
        """See `AnyPeople.name`."""
        self._write()
        with self._turn:
            one = self.require(identity)
            if name is not None:
                check_name(name)
                if self.find(name) != one:
                    self._refuse_taken(name)
            self._rename(one, name)
        return one

    # ---- for the gallery

    def find(self, identity: int | str) -> int | None:
        """The number of an identity that is given by number or name, or None."""
        if isinstance(identity, str):
            if not is_text(identity):
                return None
            term = f"name = {text(identity)}"
        elif 0 < int(identity) < NUMBERS:
            term = f"id = {number(identity)}"
        else:
            return None
        found = self._link.rows(
            f"SELECT id FROM {self._names('identities')} WHERE {term} ORDER BY id LIMIT 1"
        )
        return int(found[0][0]) if found else None

    def require(self, identity: int | str) -> int:
        """The number of an identity; GalleryError if it is not there."""
        found = self.find(identity)
        if found is None:
            shown = identity if isinstance(identity, str) else f"#{identity}"
            raise MissingError(f"there is no identity {shown} in the gallery")
        return found

    def names(self, identities: Iterable[int | None] | None = None) -> dict[int, str]:
        """Number → name, of those that have one: of all identities, or of some."""
        where = "name IS NOT NULL"
        if identities is not None:
            wanted = sorted({one for one in identities if one is not None})
            if not wanted:
                return {}
            where += f" AND id IN ({', '.join(map(number, wanted))})"
        found = self._link.rows(
            f"SELECT id, name FROM {self._names('identities')} WHERE {where} LIMIT 1 BY id"
        )
        return {int(one): str(name) for one, name in found}

    def make(self, name: str | None, wanted: int | None = None) -> int:
        """Make an identity; gives its number, the next one where none is given.

        Two writers may take a number or name at the same moment: whoever then sees the other's row
        takes his own back. A name that another has made first is that identity's.
        """
        if name is not None:
            check_name(name)
        for _ in range(_ATTEMPTS):
            with self._turn:
                last = self.last()
                one = last + 1 if wanted is None else wanted
                if not last < one < NUMBERS:
                    raise GalleryError(f"there is no number {one} left for an identity")
                token = secrets.token_hex(8)
                columns: Columns = {
                    "id": ("Int64", [one]),
                    "name": ("Nullable(String)", [name]),
                    "token": ("String", [token]),
                    "made": ("Float64", [time.time()]),
                }
                self._link.insert("identities", columns)
                same = f"id = {one}" + ("" if name is None else f" OR name = {text(name)}")
                rivals = self._link.rows(
                    f"SELECT id, token FROM {self._names('identities')} WHERE {same}"
                )
                if len(rivals) == 1:
                    return one
                self._delete(f"token = {text(token)}")
            time.sleep(secrets.randbelow(20) / 1000)
            if name is not None and (other := self.find(name)) is not None:
                return other
        raise GalleryError("too many writers make identities at the same moment; try again")

    def last(self) -> int:
        """The highest number that an identity ever had; 0 where there was none."""
        noted = get_meta(self._link, _LAST) or "0"
        if not noted.isdecimal() or int(noted) >= NUMBERS:
            raise GalleryError(f"the counter of identities is damaged: {noted[:40]!r}")
        there = self._link.value(f"SELECT max(id) FROM {self._names('identities')}")
        return max(int(noted), int(there or 0))

    def of(self, sightings: Sequence[Sighting]) -> tuple[list[int | None], list[int]]:
        """The identities of sightings that are to be added; names that are new are made.

        Returns:
            (a number or None for each, those that were made for it).
        """
        known: dict[int | str, int] = {}
        made = []
        keys = [one.name if one.identity is None else one.identity for one in sightings]
        for key in dict.fromkeys(keys):
            if isinstance(key, str):
                check_name(key)
        try:
            for key in dict.fromkeys(keys):
                if key is None:
                    continue
                found = self.find(key) if isinstance(key, str) else self.require(key)
                if found is None:
                    found = self.make(str(key))
                    made.append(found)
                known[key] = found
        except BaseException:
            self.drop(made)
            raise
        return [None if key is None else known[key] for key in keys], made

    def drop(self, identities: Iterable[int]) -> list[int]:
        """Take out those of some identities that no sighting has; gives which these were."""
        wanted = sorted(set(identities))
        if not wanted:
            return []
        listed = ", ".join(map(str, wanted))
        used = self._link.rows(
            f"SELECT DISTINCT identity FROM {self._names('sighting_rows')} "
            f"WHERE identity IN ({listed})"
        )
        gone = sorted(set(wanted) - {int(one) for (one,) in used})
        if gone:
            self._delete(f"id IN ({', '.join(map(str, gone))})")
        return gone

    def drop_left(self) -> list[int]:
        """Take out identities whose sightings a retention time has taken."""
        before = time.time() - _WAITING
        found = self._link.rows(
            f"SELECT id FROM {self._names('identities')} WHERE made < {before!r} AND id NOT IN "
            f"(SELECT identity FROM {self._names('sighting_rows')} WHERE identity IS NOT NULL)"
        )
        return self.drop(int(one) for (one,) in found)

    def condition(self, chosen: Filter) -> str:
        """A filter as an SQL condition on sightings that readers see now."""
        return f"{condition(chosen, self.find)} AND {self._batches.view().condition()}"

    # ---- inside

    def _write(self) -> None:
        if self._read_only:
            raise GalleryError(
                f"gallery {self._link.address} is read-only open: nothing can be changed"
            )

    def _ids(self, chosen: Filter) -> set[int]:
        found = self._link.rows(
            f"SELECT id FROM {self._names('sighting_rows')} WHERE {self.condition(chosen)}"
        )
        return {int(one) for (one,) in found}

    def _move(self, chosen: Filter, to: int | None) -> None:
        """Give sightings to an identity, and drop those to which none is left."""
        where = condition(chosen, self.find)
        before = self._link.rows(
            f"SELECT DISTINCT identity FROM {self._names('sighting_rows')} "
            f"WHERE {where} AND identity IS NOT NULL"
        )
        self._link.run(
            f"ALTER TABLE {self._names.changed('sighting_rows')} UPDATE identity = "
            f"{'NULL' if to is None else number(to)} WHERE {where}",
            mutations_sync=2,
        )
        self.drop({int(one) for (one,) in before} - {to})

    def _rename(self, one: int, name: str | None) -> None:
        shown = "NULL" if name is None else text(name)
        self._link.run(
            f"ALTER TABLE {self._names.changed('identities')} UPDATE name = {shown} "
            f"WHERE id = {number(one)}",
            mutations_sync=2,
        )

    def _refuse_taken(self, name: str) -> None:
        taken = self.find(name)
        if taken is not None:
            raise GalleryError(f"{name} is the name of identity #{taken} already; merge the two")

    def _delete(self, where: str) -> None:
        put_meta(self._link, _LAST, str(self.last()))  # numbers are never given twice
        self._link.run(
            f"ALTER TABLE {self._names.changed('identities')} DELETE WHERE {where}",
            mutations_sync=2,
        )
