"""Identities of a gallery on Milvus: which sightings are of one person."""

from collections.abc import Iterable, Iterator, Sequence

from reid_hash.errors import GalleryError
from reid_hash.gallery.milvus.link import Row
from reid_hash.gallery.milvus.place import MilvusPlace
from reid_hash.gallery.milvus.rows import (
    NOBODY,
    SEALED,
    check_text,
    expression,
    row_checksum,
    sealed,
)
from reid_hash.gallery.sighting import Filter, Identity, Sighting, check_name

_CHUNK = 5_000  # ids in one expression: some 100 KB
_CHANGED = 2_000  # rows in one request
_NAME = 1024  # bytes


class MilvusPeople(MilvusPlace):
    """What a gallery on Milvus knows of identities; see `milvus_gallery.MilvusGallery`."""

    def identities(self) -> list[Identity]:
        """All identities with how many sightings they have and from when to when.

        Reads identity and time of every sighting of somebody.
        """
        seen: dict[int, tuple[int, float, float]] = {}
        for row in self._rows(f"identity != {NOBODY}", ["id", "identity", "time"]):
            moment = row["time"]
            count, first, last = seen.get(row["identity"], (0, moment, moment))
            seen[row["identity"]] = count + 1, min(first, moment), max(last, moment)
        names = self._meta.names()
        return [Identity(number, names.get(number), *seen[number]) for number in sorted(seen)]

    def assign(self, ids: Sequence[int], identity: int | str | None) -> int | None:
        """Say of whom sightings are: a number, a name (made where it is new), or None.

        Returns:
            The identity's number.
        """
        self._write()
        rows = list(self._chosen(sorted({int(number) for number in ids}), [*SEALED, "checksum"]))
        missing = {int(number) for number in ids} - {row["id"] for row in rows}
        if missing:
            raise GalleryError(f"there is no sighting {min(missing)} in the gallery")
        number: int | None = None
        if isinstance(identity, str):
            number = self._find(identity)
            if number is None:
                number = self._new_identity(identity)
        elif identity is not None:
            number = self._require(identity)
        self._move(rows, number)
        return number

    def merge(self, kept: int | str, other: int | str) -> int:
        """Make two identities one; gives its number. The name of `kept` stays, if it has one."""
        self._write()
        to, gone = self._require(kept), self._require(other)
        if to == gone:
            raise GalleryError(f"identity {kept} cannot be merged with itself")
        names = self._meta.names()
        self._move(list(self._rows(f"identity == {gone}", [*SEALED, "checksum"])), to)
        self._meta.drop_identities([gone])
        if names.get(to) is None and names.get(gone) is not None:
            self._meta.put_identities({to: names[gone]})
        return to

    def split(
        self,
        identity: int | str,
        ids: Sequence[int] = (),
        tracks: Sequence[int] = (),
        name: str | None = None,
    ) -> int:
        """Take sightings or tracks of an identity out into a new one; gives the new number."""
        self._write()
        old = self._require(identity)
        rows = list(self._rows(f"identity == {old}", [*SEALED, "checksum"]))
        strange = {int(number) for number in ids} - {row["id"] for row in rows}
        if strange:
            raise GalleryError(f"sighting {min(strange)} is not of identity {identity}")
        for track in tracks:
            if all(row["track"] != track for row in rows):
                raise GalleryError(f"identity {identity} has no sighting of track {track}")
        wanted = {int(number) for number in ids}
        chosen = [row for row in rows if row["id"] in wanted or row["track"] in set(tracks)]
        if not chosen:
            raise GalleryError("say which sightings or tracks to split off")
        if len(chosen) == len(rows):
            raise GalleryError(f"these are all sightings of identity {identity}: nothing to split")
        if name is not None:
            self._refuse_taken(name)
        new = self._new_identity(name)
        self._move(chosen, new)
        return new

    def name(self, identity: int | str, name: str | None) -> int:
        """Name an identity, or take its name away with None; gives its number."""
        self._write()
        number = self._require(identity)
        if name is not None:
            _check_name(name)
            if self._find(name) != number:
                self._refuse_taken(name)
        self._meta.put_identities({number: name})
        return number

    def new_identity(self) -> int:
        """Make an identity without a name and without sightings yet; gives its number."""
        self._write()
        return self._new_identity(None)

    def _find(self, identity: int | str) -> int | None:
        """The number of an identity that is given by number or name, or None."""
        if isinstance(identity, str):
            return None if "\n" in identity or "\r" in identity else self._meta.named(identity)
        return int(identity) if self._meta.has_identity(int(identity)) else None

    def _require(self, identity: int | str) -> int:
        found = self._find(identity)
        if found is None:
            shown = identity if isinstance(identity, str) else f"#{identity}"
            raise GalleryError(f"there is no identity {shown} in the gallery")
        return found

    def _refuse_taken(self, name: str) -> None:
        taken = self._find(name)
        if taken is not None:
            raise GalleryError(f"{name} is the name of identity #{taken} already; merge the two")

    def _new_identity(self, name: str | None) -> int:
        if name is not None:
            _check_name(name)
        (number,) = self._numbers(1)
        self._meta.put_identities({number: name})
        return number

    def _identities_of(self, sightings: Sequence[Sighting]) -> tuple[list[int], dict[int, str]]:
        """The identity of each sighting that is to be added, and those that are to be made."""
        known: dict[int | str, int] = {}
        new: dict[int, str] = {}
        for one in sightings:
            key = one.name if one.identity is None else one.identity
            if key is None or key in known:
                continue
            found = self._find(key) if isinstance(key, str) else self._require(key)
            if found is None and isinstance(key, str):
                _check_name(key)
                (found,) = self._numbers(1)
                new[found] = key
            assert found is not None
            known[key] = found
        keys = [one.name if one.identity is None else one.identity for one in sightings]
        return [NOBODY if key is None else known[key] for key in keys], new

    def _names(self, rows: Iterable[Row]) -> dict[int, str]:
        """Names of the identities of some rows."""
        wanted = {row["identity"] for row in rows} - {NOBODY}
        names = self._meta.names() if wanted else {}
        return {number: name for number, name in names.items() if number in wanted and name}

    def _expression(self, chosen: Filter) -> str | None:
        """A filter as Milvus's expression; see `expression`."""
        rest: Filter = {**chosen}
        wanted = rest.get("identities")
        if wanted is not None:
            rest["identities"] = [self._require(one) for one in wanted]
        excluded = rest.get("exclude_identities")
        if excluded is not None:  # whoever is not there is excluded already
            found = (self._find(one) for one in excluded)
            rest["exclude_identities"] = [one for one in found if one is not None]
        return expression(rest)

    def _chosen(self, ids: Sequence[int], names: Sequence[str]) -> Iterator[Row]:
        """Rows of some ids, by id; those that are not there are left out.

        Args:
            ids: ascending.
            names: of columns; the first is the id.
        """
        for chunk in chunks(ids):
            yield from self._rows(expression({"ids": chunk}), names)

    def _move(self, rows: list[Row], identity: int | None) -> None:
        """Give rows to an identity, and drop identities to which none is left."""
        for row in rows:  # a new checksum over a damaged row would hide the damage
            if row["checksum"] != row_checksum(row):
                raise GalleryError(f"sighting {row['id']} is damaged: its checksum differs")
        before = {row["identity"] for row in rows} - {NOBODY, identity}
        moved = [
            sealed({**{name: row[name] for name in SEALED}, "identity": identity or NOBODY})
            for row in rows
        ]
        for start in range(0, len(moved), _CHANGED):
            self._link.upsert(self._name, moved[start : start + _CHANGED])
        self._drop_empty(before)

    def _drop_empty(self, identities: set[int]) -> None:
        """Take out those of some identities that no sighting has."""
        empty = [n for n in identities if not self._link.count(self._name, f"identity == {n}")]
        self._meta.drop_identities(empty)


def chunks(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    """Ids in parts that an expression takes."""
    for start in range(0, len(ids), _CHUNK):
        yield ids[start : start + _CHUNK]


def _check_name(name: str) -> None:
    check_text(check_name(name), "the name of an identity", _NAME)
