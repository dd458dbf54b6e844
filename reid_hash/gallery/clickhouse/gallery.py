"""The gallery in ClickHouse: on a server, on a cluster, or in an engine of this process."""

import contextlib
import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, ClassVar, Self, Unpack

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from reid_hash.calibration import Calibration
from reid_hash.codes import Codes
from reid_hash.errors import GalleryError
from reid_hash.gallery.base import AnyGallery, check_added, cut
from reid_hash.gallery.clickhouse import rows, scan, schema
from reid_hash.gallery.clickhouse.address import ClickHouseAddress
from reid_hash.gallery.clickhouse.erase import erase, settle
from reid_hash.gallery.clickhouse.link import Link, turn_of
from reid_hash.gallery.clickhouse.people import ClickHousePeople
from reid_hash.gallery.clickhouse.rows import FIELDS, Batches, Names
from reid_hash.gallery.export.io import FORMAT, Exported, check_ids
from reid_hash.gallery.sighting import Answer, Filter, Match, Sighting, fields_of

_CHUNK = 10_000  # ids in one statement
_PART = 20_000  # rows of an export that are Python objects at a time
_ATTEMPTS = 3  # a sighting that a search found may be erased before it is read
_SHOWN = 20


class ClickHouseGallery(AnyGallery):
    """Sightings of people in ClickHouse, to be searched by code; see `AnyGallery`.

    May be used from several threads, which may all write. Of the folder of an embedded engine one
    process at a time has it open, read-only or not.

    Attributes:
        address: where it is.
        cluster: name of the cluster that it is spread over; empty for one node.

    For the others see `AnyGallery`.
    """

    real_queries: ClassVar[bool] = True

    def __init__(self, address: ClickHouseAddress, link: Link, read_only: bool) -> None:
        self.place, self.read_only, self.address = str(address), read_only, address
        facts = schema.read_facts(link)
        self._template, self.model_file, self.cluster = facts
        self.bits, self.model = self._template.bits, self._template.model
        self.weights = self._template.weights
        self._counted = (-1, 0)
        self._link, self._names = link, Names(address.database, self.cluster)
        self._batches = Batches(link, self._names)
        self._people = ClickHousePeople(link, self._names, self._batches, read_only)
        if not read_only:
            self._batches.tidy()
            self._people.drop_left()

    def __repr__(self) -> str:
        mode = ", read-only" if self.read_only else ""
        return f"ClickHouseGallery({self.place!r}, {self.bits} bits{mode})"

    @classmethod
    def create(
        cls, address: ClickHouseAddress, like: Codes, model_file: str = "", cluster: str = ""
    ) -> Self:
        """Make an empty gallery and open it.

        Args:
            address: where; a folder is made where there is none, for its owner alone.
            like: codes of its length, weights and model; how many does not matter.
            model_file: where the network's checkpoint is, to find it again.
            cluster: name of the server's cluster to spread it over; one node when left out.

        Raises:
            GalleryError: there is a gallery already, or it cannot be made.
        """
        folder = address.folder
        if folder is not None:
            if cluster:
                raise GalleryError(f"{address}: an embedded engine is no cluster")
            if cls.there(address):
                raise GalleryError(f"there is a gallery at {address} already")
            try:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                if any(folder.iterdir()):
                    raise GalleryError(f"{address}: the folder holds other things; name a new one")
            except OSError as error:
                raise GalleryError(f"gallery {address} cannot be made: {error}") from error
        link = Link(address)
        try:
            schema.create(link, like[:0], model_file, cluster)
            return cls(address, link, read_only=False)
        except BaseException:
            link.close()
            raise

    @classmethod
    def open(cls, address: ClickHouseAddress, read_only: bool = False) -> Self:
        """Open a gallery, to write to it or only to read.

        Raises:
            GalleryError: there is none, it is damaged, its server does not answer, or another
                process has its folder open.
        """
        if address.folder is not None:
            if not address.folder.is_dir():
                raise GalleryError(f"{address} is no gallery: there is no folder {address.folder}")
            schema.check_folder(address)
        link = Link(address)
        try:
            return cls(address, link, read_only)
        except BaseException:
            link.close()
            raise

    @classmethod
    def there(cls, address: ClickHouseAddress) -> bool:
        """Whether there is a gallery; GalleryError where the server does not answer."""
        if address.folder is not None:
            return (address.folder / "metadata" / f"{address.database}.sql").exists()
        link = Link(address)
        try:
            if not schema.has_database(link):
                return False
            schema.check_tables(link)
            return True
        except GalleryError:
            return False
        finally:
            link.close()

    @override
    def close(self) -> None:
        self._link.close()

    def _write(self) -> None:
        if self.read_only:
            raise GalleryError(f"gallery {self.place} is read-only open: nothing can be changed")

    @override
    def add_codes(self, codes: Codes, sightings: Sequence[Sighting]) -> NDArray[np.int64]:
        self._write()
        check_added(self.place, self._template, codes, len(sightings))
        return self._insert(codes, sightings, time.time())

    def _insert(
        self, codes: Codes, sightings: Sequence[Sighting], now: float, keep_ids: bool = False
    ) -> NDArray[np.int64]:
        fields = [fields_of(one, now) for one in sightings]  # before an identity is made for any
        identities, made = self._people.of(sightings)
        try:
            return rows.insert(
                self._link,
                self._batches,
                codes.packed,
                self.bits,
                sightings,
                fields,
                identities,
                keep_ids,
            )
        except BaseException:
            with contextlib.suppress(GalleryError):
                self._people.drop(made)
            raise

    @override
    def find(
        self,
        query: Codes | NDArray[np.floating],
        k: int = 10,
        *,
        bits: int | None = None,
        weighted: bool = True,
        **where: Unpack[Filter],
    ) -> list[Answer]:
        if k < 1:
            raise GalleryError(f"at least 1 match is to be found, not {k}")
        compared = cut(self.place, self._template, query, bits)
        length = compared.bits if isinstance(compared, Codes) else compared.shape[1]
        queries = scan.make_queries(compared, self._template.prefix(length), weighted)
        for _ in range(_ATTEMPTS):
            found = self.nearest(queries, k, where)
            wanted = np.unique(np.concatenate([np.zeros(0, np.int64), *(ids for ids, _ in found)]))
            seen = self._by_id(wanted.tolist())
            if len(seen) == len(wanted):
                break
        return [
            Answer(
                [
                    Match(seen[number], distance)
                    for number, distance in zip(ids.tolist(), far.tolist(), strict=True)
                    if number in seen
                ]
            )
            for ids, far in found
        ]

    def nearest(self, queries: scan.Queries, k: int, where: Filter) -> list[scan.Hits]:
        """Ids and distances of the k nearest of each query, by (distance, id).

        Args:
            queries: from `scan.make_queries`, with this gallery's weights.
            k: how many to find.
            where: among which sightings.
        """
        view, condition = self._batches.view(), rows.condition(where, self._people.find)
        last, count = self._counted
        if last != view.last:  # how many there are decides how they are looked at, no more
            count = int(self._link.value(f"SELECT count() FROM {self._names('sighting_rows')}"))
            self._counted = view.last, count
        return scan.search(self._link, self._names, view, queries, k, condition, count)

    def _by_id(self, ids: Sequence[int]) -> dict[int | None, Sighting]:
        """Sightings of ids that are seen."""
        seen: dict[int | None, Sighting] = {}
        for start in range(0, len(ids), _CHUNK):
            listed = ", ".join(map(str, ids[start : start + _CHUNK]))
            for one in self._read(f"id IN ({listed})"):
                seen[one.id] = one
        return seen

    @override
    def sightings(
        self,
        *,
        after: int = 0,
        limit: int | None = None,
        newest: bool = False,
        thumbnails: bool = False,
        **where: Unpack[Filter],
    ) -> list[Sighting]:
        found = self._sightings(where, after, limit, newest)
        if not thumbnails:
            return found
        pictures: dict[int, bytes] = {}
        for start in range(0, len(found), _CHUNK):
            pictures |= self._thumbnails([one.id or 0 for one in found[start : start + _CHUNK]])
        return [_with_thumbnail(one, pictures.get(one.id or 0)) for one in found]

    def _sightings(
        self, where: Filter, after: int = 0, limit: int | None = None, newest: bool = False
    ) -> list[Sighting]:
        terms = self._people.condition(where)
        if after:
            terms += f" AND id > {min(max(int(after), -1), rows.NUMBERS)}"
        order = "time DESC, id DESC" if newest else "id"
        most = "" if limit is None else f" LIMIT {min(max(int(limit), 0), rows.NUMBERS)}"
        return self._read(f"{terms} ORDER BY {order}{most}")

    def _read(self, where: str) -> list[Sighting]:
        table = self._names("sighting_rows")
        found = self._link.rows(f"SELECT {FIELDS} FROM {table} WHERE {where}")
        names = self._people.names(row[-1] for row in found)
        return [rows.to_sighting(row, names) for row in found]

    def _thumbnails(self, ids: Sequence[int]) -> dict[int, bytes]:
        if not ids:
            return {}
        found = self._link.rows(
            f"SELECT sighting, jpeg FROM {self._names('thumbnails')} "
            f"WHERE sighting IN ({', '.join(map(str, ids))}) LIMIT 1 BY sighting",
            raw=["jpeg"],
        )
        return {int(one): bytes(jpeg) for one, jpeg in found}

    @override
    def count(self, **where: Unpack[Filter]) -> int:
        terms = self._people.condition(where)
        table = self._names("sighting_rows")
        return int(self._link.value(f"SELECT count() FROM {table} WHERE {terms}"))

    @override
    def codes(self, **where: Unpack[Filter]) -> tuple[Codes, NDArray[np.int64]]:
        terms = self._people.condition(where)
        width = schema.words(self.bits)
        columns = ", ".join(["id", *(f"c{j}" for j in range(width))])
        data = self._link.packed(
            f"SELECT {columns} FROM {self._names('sighting_rows')} WHERE {terms} ORDER BY id"
        )
        table = np.frombuffer(data, "<u8").reshape(-1, 1 + width)
        packed = rows.unpack_words(table[:, 1:], self.bits)
        codes = Codes(packed, self.bits, self.weights, self.model)  # looks at the padding
        return codes, table[:, 0].astype(np.int64)

    @override
    def labelled(self, most: int, seed: int = 0) -> tuple[list[int], list[int], list[int]]:
        found = self._link.rows(
            "SELECT assumeNotNull(identity), dense_rank() OVER (ORDER BY camera), id "
            f"FROM {self._names('sighting_rows')} WHERE identity IS NOT NULL "
            f"AND {self._batches.view().condition()} ORDER BY id"
        )
        if len(found) > most:
            drawn = np.random.default_rng(seed).permutation(len(found))[:most]
            found = [found[i] for i in np.sort(drawn).tolist()]
        return [row[0] for row in found], [row[1] for row in found], [row[2] for row in found]

    @override
    def cameras(self) -> dict[str, int]:
        found = self._link.rows(
            f"SELECT camera, count() FROM {self._names('sighting_rows')} "
            f"WHERE {self._batches.view().condition()} GROUP BY camera ORDER BY camera"
        )
        return {str(name): int(count) for name, count in found}

    @property
    @override
    def people(self) -> ClickHousePeople:
        return self._people

    @override
    def new_identity(self) -> int:
        self._write()
        return self._people.make(None)

    @override
    def _forget(self, where: Filter) -> int:
        self._write()
        with turn_of(self.address):
            receipt = erase(self._link, self._names, self._people, where)
        self.receipt = str(receipt)
        return receipt.sightings

    @override
    def retain(self, keep: timedelta | None) -> None:
        """See `AnyGallery.retain`.

        An embedded engine does so while a process has it open, within the hour; a server always.
        """
        self._write()
        seconds = None if keep is None else int(keep.total_seconds())
        if seconds is not None and not 0 < seconds < 2**31:
            raise GalleryError("a retention time is between a second and 68 years")
        for table in schema.SHARDED:
            # moments that a DateTime does not know are taken to its ends
            moment = "toDateTime(least(greatest(time, 0), 2147483647), 'UTC')"
            if seconds is not None:
                change = f"MODIFY TTL {moment} + toIntervalSecond({seconds})"
            elif not self._retained(table):
                continue
            else:
                change = "REMOVE TTL"
            self._link.run(f"ALTER TABLE {self._names.changed(table)} {change}", mutations_sync=2)
        settle(self._link, self._names)

    def _retained(self, table: str) -> bool:
        name = self._names.local(table).split(".")[1]
        made = self._link.rows(
            "SELECT create_table_query FROM system.tables WHERE database = "
            f"'{self.address.database}' AND name = '{name}'"
        )
        return bool(made) and " TTL " in made[0][0]

    @property
    @override
    def calibration(self) -> Calibration | None:
        text = schema.get_meta(self._link, "calibration")
        return Calibration.from_json(text) if text else None

    @calibration.setter
    @override
    def calibration(self, calibration: Calibration | None) -> None:
        self._write()
        text = "" if calibration is None else calibration.to_json()
        schema.put_meta(self._link, "calibration", text)

    @override
    def document(self, name: str) -> str | None:
        return schema.get_meta(self._link, f"document {name}") or None

    @override
    def keep_document(self, name: str, text: str | None) -> None:
        self._write()
        schema.put_meta(self._link, f"document {name}", text or "")

    @override
    def info(self) -> dict[str, Any]:
        table, seen = self._names("sighting_rows"), self._batches.view().condition()
        ((count, first, last, people),) = self._link.rows(
            f"SELECT count(), min(time), max(time), uniqExact(identity) FROM {table} WHERE {seen}"
        )
        pictures = self._link.value(f"SELECT count() FROM {self._names('thumbnails')}")
        size = self._link.value(
            "SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND database = "
            f"'{self.address.database}'"
        )
        calibration = self.calibration
        return {
            "folder": self.place,
            "bits": self.bits,
            "model": self.model,
            "model_file": self.model_file,
            "sightings": count,
            "identities": people,
            "thumbnails": pictures,
            "cameras": self.cameras(),
            "first": first if count else None,
            "last": last if count else None,
            "bytes": int(size or 0),
            "engine": f"ClickHouse {self._link.value('SELECT version()')}",
            "cluster": self.cluster,
            "calibrated_bits": calibration.lengths if calibration else [],
        }

    @override
    def verify(self) -> list[str]:
        lines: list[str] = []
        for look in (self._values, self._parts, self._damaged_rows, self._loose):
            try:
                found = list(itertools.islice(look(), _SHOWN + 1))
            except (GalleryError, ValueError) as error:
                found = [str(error)]
            lines += found[:_SHOWN] + (["and more"] if len(found) > _SHOWN else [])
        return lines

    def _values(self) -> Iterator[str]:
        schema.read_facts(self._link)
        _ = self.calibration
        yield from ()

    def _parts(self) -> Iterator[str]:
        """Parts whose bytes are not those that were written."""
        for table in schema.columns_of(self.bits):
            found = self._link.said(
                f"CHECK TABLE {self._names.local(table)}", check_query_single_value_result=0
            )
            for part, sound, message in found:
                if not sound:
                    yield f"table {table}, part {part}: {message.split('. ')[0][:200]}"

    def _damaged_rows(self) -> Iterator[str]:
        known = {
            int(one) for (one,) in self._link.rows(f"SELECT id FROM {self._names('identities')}")
        }
        last = 0
        padding = -self.bits % 64
        word = f"c{schema.words(self.bits) - 1}"
        excess = f"bitShiftRight({word}, {64 - padding}) != 0" if padding else "0"
        for block in self._link.blocks(
            f"SELECT {FIELDS}, {excess} FROM {self._names('sighting_rows')} ORDER BY id"
        ):
            for *row, odd in block:
                number = row[0]
                if number == last:
                    yield f"sighting {number} is there twice"
                last = number
                fault = rows.row_fault(row)
                if fault is not None:
                    yield f"sighting {number}: {fault}"
                if odd:
                    yield f"sighting {number}: the padding of its code is not zero"
                if row[-1] is not None and row[-1] not in known:
                    yield f"sighting {number} is of identity #{row[-1]}, which is not there"

    def _loose(self) -> Iterator[str]:
        seen = self._batches.view().condition().replace("id ", "sighting ")
        for (number,) in self._link.rows(
            f"SELECT sighting FROM {self._names('thumbnails')} WHERE {seen} AND sighting NOT IN "
            f"(SELECT id FROM {self._names('sighting_rows')}) ORDER BY sighting LIMIT {_SHOWN}"
        ):
            yield f"thumbnail of sighting {number}, which is not there"

    # ---- moving it

    @contextlib.contextmanager
    @override
    def exported(self) -> Iterator[Exported]:
        view = self._batches.view()
        count = int(
            self._link.value(
                f"SELECT count() FROM {self._names('sighting_rows')} WHERE {view.condition()}"
            )
        )
        identities = self._link.rows(
            f"SELECT id, name FROM {self._names('identities')} ORDER BY id LIMIT 1 BY id"
        )
        header = {
            "format": FORMAT,
            "bits": self.bits,
            "weights": self.weights.tolist(),
            "model": self.model,
            "calibration": schema.get_meta(self._link, "calibration") or None,
            "identities": [list(row) for row in identities],
            "sightings": count,
        }
        yield Exported(header, self._exported_parts(view))

    def _exported_parts(self, view: rows.View) -> Iterator[dict[str, list[Any]]]:
        after = 0
        width = schema.words(self.bits)
        code = ", ".join(f"c{j}" for j in range(width))
        names = FIELDS.split(", ")
        while True:
            found = self._link.rows(
                f"SELECT {code}, {FIELDS} FROM {self._names('sighting_rows')} "
                f"WHERE id > {after} AND {view.condition()} ORDER BY id LIMIT {_PART}"
            )
            if not found:
                return
            table = [row[width:] for row in found]
            for row in table:
                fault = rows.row_fault(row)
                if fault is not None:
                    raise GalleryError(f"sighting {row[0]} is damaged: {fault}")
            words = np.array([row[:width] for row in found], np.uint64)
            packed = rows.unpack_words(words, self.bits)
            part = dict(zip(names, map(list, zip(*table, strict=True)), strict=True))
            part["code"] = [one.tobytes() for one in packed]
            pictures = self._thumbnails(part["id"])
            part["thumbnail"] = [pictures.get(one) for one in part["id"]]
            yield part
            after = part["id"][-1]

    @override
    def take_in(self, exported: Exported) -> int:
        self._write()
        header = exported.header
        unused = not self._batches.last_id() and not self._people.last()
        numbers: dict[int | None, int | None] = {None: None}
        for number, name in sorted(header["identities"]):
            found = None if name is None else self._people.find(name)
            numbers[number] = found or self._people.make(name, number if unused else None)
        added, last = 0, 0
        taken: list[tuple[int, int]] = []
        try:
            for part in exported.parts:
                last = check_ids(part["id"], last)
                if not numbers.keys() >= set(part["identity"]):
                    raise GalleryError("a sighting is of an identity that the file does not list")
                sightings = [
                    Sighting(
                        *(camera, moment, source, track, frame),
                        None if box == [None] * 4 else (box[0], box[1], box[2], box[3]),
                        *(jpeg, numbers[identity], None, number),
                    )
                    for number, camera, moment, source, track, frame, *box, identity, jpeg in zip(
                        *(part[name] for name in (*FIELDS.split(", "), "thumbnail")), strict=True
                    )
                ]
                if not sightings:
                    continue
                packed = np.frombuffer(b"".join(part["code"]), np.uint8)
                codes = Codes(packed.reshape(len(sightings), -1), self.bits)
                ids = self._insert(codes, sightings, 0.0, keep_ids=unused)
                taken.append((int(ids[0]), int(ids[-1])))
                added += len(sightings)
            if added != header["sightings"]:
                raise GalleryError(f"{added:,} sightings in place of {header['sightings']:,}")
        except BaseException:
            with contextlib.suppress(GalleryError):
                self._take_out(taken)
                self._people.drop(one for one in numbers.values() if one is not None)
            raise
        if header["calibration"] and self.calibration is None:
            schema.put_meta(self._link, "calibration", header["calibration"])
        self._people.drop_left()
        return added

    def _take_out(self, ranges: Sequence[tuple[int, int]]) -> None:
        """Take parts of an import out that failed later on."""
        for first, last in ranges:
            for table, column in (("thumbnails", "sighting"), ("sighting_rows", "id")):
                self._link.run(
                    f"ALTER TABLE {self._names.changed(table)} DELETE "
                    f"WHERE {column} BETWEEN {first} AND {last}",
                    mutations_sync=2,
                )


def _with_thumbnail(sighting: Sighting, jpeg: bytes | None) -> Sighting:
    return sighting if jpeg is None else replace(sighting, thumbnail=jpeg)
