"""The gallery on Milvus: the same as `gallery.Gallery`, past one machine.

A collection holds sightings and codes, a second one (`NAME_meta`) the values of the gallery and the
names of identities. Several processes may write at a time. Thumbnails are not kept.
"""

import time
from collections.abc import Sequence
from typing import Self, Unpack, cast

import numpy as np
from numpy.typing import NDArray

from reid_hash.codes import Codes
from reid_hash.errors import GalleryError
from reid_hash.gallery.base import check_added, cut
from reid_hash.gallery.milvus import nearest
from reid_hash.gallery.milvus.identities import MilvusPeople, chunks
from reid_hash.gallery.milvus.link import LIMIT
from reid_hash.gallery.milvus.rows import FIELDS, NOBODY, to_row, to_sighting
from reid_hash.gallery.sighting import Answer, Filter, Match, Sighting

_REQUEST = 2_000  # rows: some MB, below the 64 MB that Milvus takes, however long their texts
_QUERIES = 8  # searched for at a time: of each, up to LIMIT codes come back


class MilvusGallery(MilvusPeople):
    """Sightings of people on a Milvus server or in a file of milvus-lite; see `gallery.Gallery`.

    Make one with `create` or `open`. What differs from a folder: each answer says whether it is
    exact (`find`), which for real values it seldom is; numbers are made by the writers and long;
    thumbnails are not kept; `add` of more than 2,000 sightings is several requests; and forgotten
    sightings are out of every answer at once, but their bytes go when Milvus compacts. Every method
    raises GalleryError where the server does not answer.

    Attributes: see `MilvusPlace`.
    """

    real_queries = False

    def add_codes(self, codes: Codes, sightings: Sequence[Sighting]) -> NDArray[np.int64]:
        """Add sightings with their codes; gives their ids [n] int64, ascending.

        Where one of several requests fails, those before are taken out again, if the server lets.

        Args:
            codes: n codes, of the gallery's model and length.
            sightings: n of them, without ids. Thumbnails are left out.

        Raises:
            CodeError: the codes are of another model or length.
            GalleryError: a sighting's values cannot be stored, or the server does not take them.
        """
        self._write()
        check_added(self.place, self._template, codes, len(sightings))
        if not len(sightings):
            return np.zeros(0, np.int64)
        now, blob, width = time.time(), codes.packed.tobytes(), codes.packed.shape[1]
        identities, new = self._identities_of(sightings)
        ids = self._numbers(len(sightings))
        rows = [
            to_row(ids[i], blob[i * width : (i + 1) * width], sighting, now, identities[i])
            for i, sighting in enumerate(sightings)
        ]
        self._meta.put_identities(cast("dict[int, str | None]", new))
        for start in range(0, len(rows), _REQUEST):
            try:
                self._link.insert(self._name, rows[start : start + _REQUEST])
            except GalleryError as error:
                self._undo(ids[: start + _REQUEST], error)
                raise
        return np.array(ids, np.int64)

    def _undo(self, ids: list[int], error: GalleryError) -> None:
        try:
            self._delete(ids)
        except GalleryError:
            raise GalleryError(
                f"{error}; some of {len(ids):,} sightings from number {ids[0]} on may be there"
            ) from error

    def find(
        self,
        query: Codes | NDArray[np.floating],
        k: int = 10,
        *,
        bits: int | None = None,
        weighted: bool = True,
        **where: Unpack[Filter],
    ) -> list[Answer]:
        """As `AnyGallery.find`.

        Args:
            query: see `AnyGallery.find`.
            k: how many to find, 1 … 16,384, or more where there are no more sightings.
            bits: compare the first so many bits only. Milvus ranks candidates by all bits, so the
                answer of a short prefix is rarely certain in a big gallery.
            weighted: by weighted Hamming distance, else by the plain one.
            where: among which sightings; see `Filter`.

        Raises:
            CodeError: the query is of another model or length.
        """
        if k < 1:
            raise GalleryError(f"at least 1 match is to be found, not {k}")
        if k > LIMIT:  # more than there are is all
            k = min(k, max(1, len(self)))
        if k > LIMIT:
            raise GalleryError(f"Milvus finds at most {LIMIT:,} matches, not {k:,}")
        compared = cut(self.place, self._template, query, bits)
        length = compared.bits if isinstance(compared, Codes) else compared.shape[1]
        like = self._template.prefix(length)
        like = like if weighted else like.unweighted()
        whole = nearest.whole_bits(query, self._template.packed.shape[1])
        limits = nearest.bounds(compared, like, whole)
        term = self._expression(where)
        if term is None:
            return [Answer([], True) for _ in limits]
        found = []
        for start in range(0, len(limits), _QUERIES):
            block = slice(start, start + _QUERIES)
            found += nearest.search(
                compared[block],
                like,
                limits[block],
                k,
                lambda sent, count: self._link.nearest(
                    self._name, "code", sent, count, term, self.plan.probes
                ),
                self._stored,
                LIMIT,
                self.plan.kind == "BIN_FLAT",
            )
        return self._described(found)

    @property
    def people(self) -> Self:
        """The identities of the gallery: their methods are its own, see `MilvusPeople`."""
        return self

    def _stored(self, ids: Sequence[int]) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
        """Ids of those sightings that are there, ascending, and their packed codes."""
        codes, there = self.codes(ids=ids)
        return there, codes.packed

    def _described(self, found: list[nearest.Nearest]) -> list[Answer]:
        ids = sorted({int(number) for one in found for number in one.ids})
        rows = {row["id"]: row for row in self._chosen(ids, FIELDS)}
        names = self._names(rows.values())
        seen = {number: to_sighting(row, names) for number, row in rows.items()}
        return [
            Answer(
                [
                    Match(seen[number], distance)
                    for number, distance in zip(
                        one.ids.tolist(), one.distances.tolist(), strict=True
                    )
                    if number in seen
                ],
                one.exact and all(number in seen for number in one.ids.tolist()),
            )
            for one in found
        ]

    def sightings(
        self,
        *,
        after: int = 0,
        limit: int | None = None,
        newest: bool = False,
        thumbnails: bool = False,
        **where: Unpack[Filter],
    ) -> list[Sighting]:
        """Sightings by id, or by time from the newest on; see `gallery.Gallery.sightings`.

        Milvus sorts by id alone: `newest` reads the times of all that are chosen. There are no
        thumbnails.
        """
        term = self._expression(where)
        if newest:
            times = [
                (row["time"], row["id"]) for row in self._rows(term, ["id", "time"], None, after)
            ]
            first = [number for _, number in sorted(times, reverse=True)[:limit]]
            there = {row["id"]: row for row in self._chosen(sorted(first), FIELDS)}
            rows = [there[number] for number in first if number in there]
        else:
            rows = list(self._rows(term, FIELDS, limit, after))
        names = self._names(rows)
        return [to_sighting(row, names) for row in rows]

    def count(self, **where: Unpack[Filter]) -> int:
        """Number of sightings; see `Filter`."""
        term = self._expression(where)
        return 0 if term is None else self._link.count(self._name, term)

    def codes(self, **where: Unpack[Filter]) -> tuple[Codes, NDArray[np.int64]]:
        """Codes of sightings and their ids [n] int64, by id; see `Filter`."""
        wanted = where.get("ids")
        parts = [where]
        if wanted is not None:
            parts = [{**where, "ids": part} for part in chunks(sorted({int(i) for i in wanted}))]
        rows = [
            (row["id"], row["code"])
            for part in parts
            for row in self._rows(self._expression(part), ["id", "code"])
        ]
        packed = np.frombuffer(b"".join(code for _, code in rows), np.uint8)
        packed = packed.reshape(len(rows), self._template.packed.shape[1])
        ids = np.array([number for number, _ in rows], np.int64)
        return Codes(packed, self.bits, self.weights, self.model), ids

    def labelled(self, most: int, seed: int = 0) -> tuple[list[int], list[int], list[int]]:
        """See `AnyGallery.labelled`. Reads identity and camera of every sighting of somebody."""
        rows = list(self._rows(f"identity != {NOBODY}", ["id", "identity", "camera"]))
        if len(rows) > most:
            drawn = np.random.default_rng(seed).permutation(len(rows))[:most]
            rows = [rows[i] for i in np.sort(drawn).tolist()]
        cameras = np.unique([row["camera"] for row in rows], return_inverse=True)[1]
        return [row["identity"] for row in rows], cameras.tolist(), [row["id"] for row in rows]

    def _forget(self, where: Filter) -> int:
        self._write()
        term = self._expression(where)
        if term is None:
            return 0
        rows = [(row["id"], row["identity"]) for row in self._rows(term, ["id", "identity"])]
        self._delete([number for number, _ in rows])
        self._drop_empty({identity for _, identity in rows} - {NOBODY})
        return len(rows)

    def _delete(self, ids: list[int]) -> None:
        for start in range(0, len(ids), _REQUEST):
            self._link.delete(self._name, f"id in {ids[start : start + _REQUEST]}")
