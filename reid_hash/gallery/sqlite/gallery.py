"""The gallery: sightings of people with their codes, in a folder.

`gallery.sqlite` is the truth; everything else in the folder is a cache that may be deleted. One
process writes at a time, and any number of others read meanwhile.
"""

import time
from collections.abc import Sequence
from typing import Unpack

import numpy as np
from numpy.typing import NDArray

from reid_hash.codes import Codes
from reid_hash.errors import GalleryError
from reid_hash.gallery import compatibility
from reid_hash.gallery.base import Found
from reid_hash.gallery.sighting import Filter, Identity, Match, Sighting
from reid_hash.gallery.sqlite import people, rows
from reid_hash.gallery.sqlite import query as select
from reid_hash.gallery.sqlite.folder import GalleryFolder
from reid_hash.gallery.sqlite.rows import erase

_ATTEMPTS = 3
"""Another thread may have made the index newer than the rows that a search sees: look again."""


class Gallery(GalleryFolder):
    """Sightings of people, to be searched by code; make one with `create`, `open` or `load`.

    A context manager. May be used from several threads; what writes takes turns, searches do not
    wait for it. Every method that writes raises GalleryError where the gallery is open read-only or
    the disk does not take the data; then nothing of that call is kept, and all before it is.

    Attributes: see `GalleryFolder`.

    Example:
        >>> import tempfile
        >>> codes = Codes.from_outputs([[1.0, 1.0], [-1.0, 1.0]], model="a")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with Gallery.create(folder, codes.bits, codes.weights, codes.model) as gallery:
        ...         _ = gallery.add(codes, [Sighting(camera="door"), Sighting(camera="hall")])
        ...         (nearest,) = gallery.search(codes[:1], k=1, cameras=["hall"])
        >>> nearest[0].sighting.id, nearest[0].distance
        (2, 1.0)
    """

    real_queries = True

    def add(self, codes: Codes, sightings: Sequence[Sighting]) -> NDArray[np.int64]:
        """Add sightings with their codes in one transaction: on the disk when it returns.

        Args:
            codes: n codes, of the gallery's model and length.
            sightings: n of them, without ids.

        Returns:
            [n] int64, their ids: ascending, above all that there ever were.

        Raises:
            CodeError: the codes are of another model or length.
            GalleryError: see the class; or a sighting's values cannot be stored.
        """
        compatibility.check_added(self.place, self._template, codes, len(sightings))
        with self._database.writing() as db:
            return rows.insert(db, codes.packed, sightings, time.time())

    def find(
        self,
        query: Codes | NDArray[np.floating],
        k: int = 10,
        *,
        bits: int | None = None,
        weighted: bool = True,
        **where: Unpack[Filter],
    ) -> list[Found]:
        """As `AnyGallery.find`; a folder's answers are always exact."""
        if k < 1:
            raise GalleryError(f"at least 1 match is to be found, not {k}")
        cut = compatibility.cut(self.place, self._template, query, bits)
        for _ in range(_ATTEMPTS):
            with self._database.reading() as db:
                only, dropped = select.candidates(db, where)
                found = self._index.search(db, cut, k + len(dropped), weighted, only)
                ids = np.unique(found.ids[found.ids >= 0]).tolist()
                seen = {sighting.id: sighting for sighting in select.sightings(db, {"ids": ids})}
            if len(seen) == len(ids):
                break
        answers = []
        for numbers, distances in zip(found.ids.tolist(), found.distances.tolist(), strict=True):
            pairs = zip(numbers, distances, strict=True)
            matches = [
                Match(seen[number], distance)
                for number, distance in pairs
                if number in seen and number not in dropped
            ]
            answers.append(Found(matches[:k], True))
        return answers

    def sightings(
        self,
        *,
        after: int = 0,
        limit: int | None = None,
        newest: bool = False,
        thumbnails: bool = False,
        **where: Unpack[Filter],
    ) -> list[Sighting]:
        """Sightings by id, or by time from the newest on.

        Args:
            after: only ids above this one: the next page.
            limit: how many at most.
            newest: from the newest on.
            thumbnails: with their thumbnails.
            where: which; see `Filter`.
        """
        with self._database.reading() as db:
            return list(select.sightings(db, where, after, limit, newest, thumbnails))

    def count(self, **where: Unpack[Filter]) -> int:
        """Number of sightings; see `Filter`."""
        with self._database.reading() as db:
            return select.count(db, where)

    def codes(self, **where: Unpack[Filter]) -> tuple[Codes, NDArray[np.int64]]:
        """Codes of sightings and their ids [n] int64, by id; see `Filter`."""
        with self._database.reading() as db:
            blocks = list(select.codes(db, self._template.packed.shape[1], chosen=where))
        ids = np.concatenate([np.zeros(0, np.int64), *(ids for ids, _ in blocks)])
        packed = np.concatenate([self._template.packed, *(packed for _, packed in blocks)])
        return Codes(packed, self.bits, self.weights, self.model), ids

    def cameras(self) -> dict[str, int]:
        """Name of each camera → how many sightings it has."""
        with self._database.reading() as db:
            return select.cameras(db)

    def identities(self) -> list[Identity]:
        """All identities with how many sightings they have and from when to when."""
        with self._database.reading() as db:
            return people.identities(db)

    def assign(self, ids: Sequence[int], identity: int | str | None) -> int | None:
        """Say of whom sightings are: a number, a name (made where it is new), or None.

        Returns:
            The identity's number.
        """
        with self._database.writing() as db:
            return people.assign(db, ids, identity)

    def merge(self, kept: int | str, other: int | str) -> int:
        """Make two identities one; gives its number. The name of `kept` stays, if it has one."""
        with self._database.writing() as db:
            return people.merge(db, kept, other)

    def split(
        self,
        identity: int | str,
        ids: Sequence[int] = (),
        tracks: Sequence[int] = (),
        name: str | None = None,
    ) -> int:
        """Take sightings or tracks of an identity out into a new one; gives the new number."""
        with self._database.writing() as db:
            return people.split(db, identity, ids, tracks, name)

    def name(self, identity: int | str, name: str | None) -> int:
        """Name an identity, or take its name away with None; gives its number."""
        with self._database.writing() as db:
            return people.rename(db, identity, name)

    def _forget(self, where: Filter) -> int:
        return erase(self._database, self._index, where)

    def labelled(self, most: int, seed: int = 0) -> tuple[list[int], list[int], list[int]]:
        """Of each sighting whose identity is known: the identity, a number of its camera, its id.

        Args:
            most: how many at most; drawn where there are more.
            seed: of the draw.
        """
        with self._database.reading() as db:
            return select.labels(db, most, seed)
