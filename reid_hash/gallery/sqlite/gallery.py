"""The gallery: sightings of people with their codes, in a folder.

`gallery.sqlite` is the truth; everything else in the folder is a cache that may be deleted. One
process writes at a time, and any number of others read meanwhile.
"""

import contextlib
import logging
import os
import secrets
import sqlite3
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, Unpack

import numpy as np
from numpy.typing import ArrayLike, NDArray
from typing_extensions import override

from reid_hash.calibration import Calibration
from reid_hash.codes import Codes
from reid_hash.errors import GalleryError, ReidHashError
from reid_hash.gallery.base import AnyGallery, check, check_added, cut
from reid_hash.gallery.export import io
from reid_hash.gallery.service.address import is_service, parse_service
from reid_hash.gallery.sighting import Answer, Filter, Match, Sighting
from reid_hash.gallery.sqlite import query as select
from reid_hash.gallery.sqlite import rows
from reid_hash.gallery.sqlite.cache import remove_leftovers
from reid_hash.gallery.sqlite.database import Database, plain_errors
from reid_hash.gallery.sqlite.files import (
    DATABASE,
    ReadableBy,
    describe_wide,
    gallery_files,
    make_folder,
    modes_of,
)
from reid_hash.gallery.sqlite.index import GalleryIndex
from reid_hash.gallery.sqlite.people import People
from reid_hash.gallery.sqlite.schema import (
    SCHEMA,
    create_database,
    get_meta,
    put_meta,
    read_facts,
    require_version,
)
from reid_hash.gallery.sqlite.verify import verify
from reid_hash.gallery.sqlite.write_ahead_log import is_empty, log_of
from reid_hash.utils.files import replacing

if TYPE_CHECKING:
    from reid_hash.models.encoder import Encoder

_LOG = logging.getLogger(__name__)

_ATTEMPTS = 3
"""Another thread may have made the index newer than the rows that a search sees: look again."""

StrPath = str | os.PathLike[str]


class Gallery(AnyGallery):
    """Sightings of people, to be searched by code or image; opened, or made where there is none.

    A context manager. May be used from several threads; what writes takes turns, searches do not
    wait for it. Every method that writes raises GalleryError where the gallery is open read-only or
    the disk does not take the data; then nothing of that call is kept, and all before it is.

    Args:
        path: its folder; or the address of a service, http://HOST or https://HOST, which gives a
            `gallery.service.gallery.ServiceGallery`.
        model: an encoder, whose codes it takes and which encodes images; or codes, however many, of
            that length, weights and model. May be left out where there is a gallery already.
        read_only: write nothing; then there may be any number of others.
        readable_by: who may read the files of a gallery that is made: `owner`, `group` or
            `everybody`. On Windows the folder that it is in decides.
        key: of a service; that in $REID_HASH_KEY when left out.

    Attributes:
        folder: where it is.
        readable_by: who may read its files. For the others see `AnyGallery`.

    Raises:
        GalleryError: there is none and no model to make it for, it is damaged, or somebody else
            writes to it.
        CodeError: the gallery holds codes of another model, or longer ones.

    Example:
        >>> import tempfile
        >>> codes = Codes.from_outputs([[1.0, 1.0], [-1.0, 1.0]], model="a")
        >>> with tempfile.TemporaryDirectory() as folder, Gallery(folder, codes) as gallery:
        ...     _ = gallery.add(codes, [Sighting(camera="door"), Sighting(camera="hall")])
        ...     (nearest,) = gallery.search(codes[:1], k=1, cameras=["hall"])
        >>> nearest.sighting.id, nearest.distance
        (2, 1.0)
    """

    real_queries = True
    keeps_documents = True

    def __new__(
        cls,
        path: StrPath,
        model: "Encoder | Codes | None" = None,
        *,
        read_only: bool = False,
        readable_by: ReadableBy = "owner",
        key: str | None = None,
    ) -> Self:
        """Make a gallery of a folder; of an address, the gallery behind that service."""
        if isinstance(path, str) and is_service(path):
            from reid_hash.gallery.service.gallery import ServiceGallery

            return ServiceGallery.of(parse_service(path, key), model, read_only)  # type: ignore[return-value]
        return super().__new__(cls)

    def __init__(
        self,
        path: StrPath,
        model: "Encoder | Codes | None" = None,
        *,
        read_only: bool = False,
        readable_by: ReadableBy = "owner",
        key: str | None = None,
    ) -> None:
        if key is not None:
            raise GalleryError(f"{path} is a folder, which takes no key; a service does")
        folder = Path(path)
        like = None if model is None else _template_of(model)
        if like is not None and not read_only and not (folder / DATABASE).exists():
            _make(folder, like, "", readable_by)
        self.folder, self.read_only, self.place = folder, read_only, str(folder)
        self._database = Database(folder, read_only)
        if self._database.log_damage is not None:
            _LOG.warning("gallery %s: %s", folder, self._database.log_damage)
        try:
            with self._database.reading() as db:
                require_version(db, folder)
                facts = read_facts(db)
            self._template, self.model_file = facts.template, facts.model_file
            self.bits, self.model = facts.template.bits, facts.template.model
            self.weights, self.readable_by = facts.template.weights, facts.readable_by
            if like is not None:  # a gallery may keep the first bits of longer codes
                check(self.place, self._template, min(like.bits, self.bits), like.model)
            self._index = GalleryIndex(
                folder, facts.name, facts.template, modes_of(facts.readable_by).file
            )
            if not read_only and (wide := describe_wide(folder, facts.readable_by)):
                _LOG.warning("gallery %s: %s; `gallery verify --fix` narrows it", folder, wide)
            if not read_only:
                remove_leftovers(folder)
                rows.finish_erasing(self._database, self._index)
        except BaseException:
            self._database.close()
            raise
        self._closed = False
        self._people = People(self._database)
        if not isinstance(model, Codes):
            self.encoder = model

    def __repr__(self) -> str:
        if self._closed:
            return f"Gallery({str(self.folder)!r}, closed)"
        mode = ", read-only" if self.read_only else ""
        return f"Gallery({str(self.folder)!r}, {len(self):,} sightings, {self.bits} bits{mode})"

    @classmethod
    def create(
        cls,
        path: StrPath,
        bits: int,
        weights: ArrayLike | None = None,
        model: str = "",
        model_file: str = "",
        readable_by: ReadableBy = "owner",
    ) -> Self:
        """Make an empty gallery and open it.

        Args:
            path: its folder, which may be there already, but hold no gallery.
            bits: length of its codes.
            weights: [bits] real ≥ 0; all ones when left out.
            model: fingerprint of the network whose codes it takes.
            model_file: where that network's checkpoint is, to find it again.
            readable_by: who may read its files: `owner`, `group` or `everybody`. On Windows the
                folder that it is in decides.

        Raises:
            GalleryError: there is a gallery already, or it cannot be written.
            CodeError: the weights do not fit.
        """
        like = Codes.empty(bits, weights, model)
        _make(Path(path), like, model_file, readable_by)
        return cls(path)

    @classmethod
    def open(cls, path: StrPath, read_only: bool = False) -> Self:
        """Open a gallery, to write to it or only to read.

        Args:
            path: its folder.
            read_only: write nothing; then there may be any number of others.

        Raises:
            GalleryError: there is none, it is damaged, or somebody else writes to it.
        """
        return cls(path, read_only=read_only)

    @classmethod
    def load(cls, path: StrPath, file: StrPath) -> Self:
        """Make a gallery of what `export` wrote, ids included, and open it."""
        header = io.read_file(Path(file)).header
        gallery = cls.create(path, header["bits"], header["weights"], header["model"])
        try:
            gallery.import_file(file)
        except BaseException:
            gallery.close()
            remove_leftovers(gallery.folder)
            for left in list(gallery_files(gallery.folder)):
                left.unlink()
            raise
        return gallery

    @override
    def close(self) -> None:
        """Write the cache of the indexes if it is too far behind, and close."""
        if not self.read_only:
            # a cache: the rows are safe without it
            with contextlib.suppress(ReidHashError), self._database.reading() as db:
                self._index.write(db)
        self._database.close()
        self._closed = True

    @override
    def add_codes(self, codes: Codes, sightings: Sequence[Sighting]) -> NDArray[np.int64]:
        check_added(self.place, self._template, codes, len(sightings))
        with self._database.writing() as db:
            ids = rows.insert(db, codes.packed, sightings, time.time())
        self._people.used(one.identity for one in sightings)
        return ids

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
        for _ in range(_ATTEMPTS):
            with self._database.reading() as db:
                only, dropped = select.candidates(db, where)
                found = self._index.search(db, compared, k + len(dropped), weighted, only)
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
            answers.append(Answer(matches[:k]))
        return answers

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
        with self._database.reading() as db:
            return list(select.sightings(db, where, after, limit, newest, thumbnails))

    @override
    def count(self, **where: Unpack[Filter]) -> int:
        with self._database.reading() as db:
            return select.count(db, where)

    @override
    def codes(self, **where: Unpack[Filter]) -> tuple[Codes, NDArray[np.int64]]:
        with self._database.reading() as db:
            blocks = list(select.codes(db, self._template.packed.shape[1], chosen=where))
        ids = np.concatenate([np.zeros(0, np.int64), *(ids for ids, _ in blocks)])
        packed = np.concatenate([self._template.packed, *(packed for _, packed in blocks)])
        return Codes(packed, self.bits, self.weights, self.model), ids

    @override
    def cameras(self) -> dict[str, int]:
        with self._database.reading() as db:
            return select.cameras(db)

    @override
    def labelled(self, most: int, seed: int = 0) -> tuple[list[int], list[int], list[int]]:
        with self._database.reading() as db:
            return select.labels(db, most, seed)

    @property
    @override
    def people(self) -> People:
        return self._people

    @override
    def new_identity(self) -> int:
        return self._people.new()

    @override
    def _forget(self, where: Filter) -> int:
        return rows.erase(self._database, self._index, where, self._people.unused)

    def write_cache(self) -> bool:
        """Write the cache of the indexes now, whole; gives whether it was behind.

        `close` does so where the cache lacks more than a hundredth of the sightings. A program
        that runs for long may do it at times, for others that open the gallery meanwhile.
        """
        with self._database.alone(), self._database.reading() as db:
            return self._index.write(db, lag=0)

    @override
    def verify(self) -> list[str]:
        return verify(self.folder)

    @override
    def info(self) -> dict[str, Any]:
        """What the gallery holds: numbers, times in seconds since 1970, bytes, state of caches."""
        with self._database.reading() as db:
            calibration = _calibration(db)
            return {
                "folder": str(self.folder),
                "bits": self.bits,
                "model": self.model,
                "model_file": self.model_file,
                **select.summary(db),
                "bytes": sum(p.stat().st_size for p in self.folder.glob("gallery*")),
                "index_cache": self._index.state(db),
                "readable_by": self.readable_by,
                "permissions": describe_wide(self.folder, self.readable_by),
                "calibrated_bits": calibration.lengths if calibration else [],
            }

    @property
    @override
    def calibration(self) -> Calibration | None:
        with self._database.reading() as db:
            return _calibration(db)

    @calibration.setter
    @override
    def calibration(self, calibration: Calibration | None) -> None:
        with self._database.writing() as db:
            put_meta(db, "calibration", calibration and calibration.to_json())

    @override
    def document(self, name: str) -> str | None:
        with self._database.reading() as db:
            text = get_meta(db, f"document {name}")
        return None if text is None else str(text)

    @override
    def keep_document(self, name: str, text: str | None) -> None:
        with self._database.writing() as db:
            put_meta(db, f"document {name}", text)

    @contextlib.contextmanager
    @override
    def exported(self) -> Iterator[io.Exported]:
        with self._database.reading() as db:
            yield io.read_database(db)

    @override
    def take_in(self, exported: io.Exported) -> int:
        """See `AnyGallery.take_in`; in one transaction."""
        with self._database.writing() as db:
            added = io.insert_file(db, exported)
            if exported.header["calibration"] and get_meta(db, "calibration") is None:
                put_meta(db, "calibration", exported.header["calibration"])
        return added


def _template_of(model: "Encoder | Codes") -> Codes:
    """No code, of a model's length, weights and fingerprint."""
    if isinstance(model, Codes):
        return model[:0]
    return Codes.empty(model.bits, model.bit_weights, model.fingerprint)


def _make(folder: Path, like: Codes, model_file: str, readable_by: ReadableBy) -> None:
    """Make an empty gallery; see `Gallery.create`."""
    modes_of(readable_by)
    if (folder / DATABASE).exists():
        raise GalleryError(f"there is a gallery in {folder} already")
    if not is_empty(log_of(folder / DATABASE)):  # SQLite would bring it into the new database
        raise GalleryError(
            f"{folder} holds the log of a gallery whose {DATABASE} is gone: {DATABASE}-wal; "
            "move it away"
        )
    meta = {
        "schema": SCHEMA,
        "gallery": secrets.token_hex(8),
        "bits": like.bits,
        "weights": like.weights.astype("<f4").tobytes(),
        "model": like.model,
        "model_file": model_file,
        "erasures": 0,
        "readable_by": readable_by,
    }
    make_folder(folder, readable_by)
    mode = modes_of(readable_by).file
    with replacing(folder / DATABASE, mode) as temporary, plain_errors(folder, "create"):
        create_database(temporary, meta)
    _sync(folder, folder.absolute().parent)


def _calibration(db: sqlite3.Connection) -> Calibration | None:
    text = get_meta(db, "calibration")
    return None if text is None else Calibration.from_json(text)


def _sync(*folders: Path) -> None:
    """Have the names in folders on the disk: a file is safe only where its name is."""
    for folder in folders:
        with contextlib.suppress(OSError):  # Windows opens no folders
            handle = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
