"""Making, opening and closing a gallery; what is done with an open one is in `gallery`."""

import contextlib
import logging
import os
import secrets
import sqlite3
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from reid_hash.calibration import Calibration
from reid_hash.codes import Codes
from reid_hash.errors import GalleryError, ReidHashError
from reid_hash.gallery import compatibility
from reid_hash.gallery.base import AnyGallery
from reid_hash.gallery.export import io
from reid_hash.gallery.sqlite import query as select
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
from reid_hash.gallery.sqlite.log import is_empty, log_of
from reid_hash.gallery.sqlite.rows import finish_erasing
from reid_hash.gallery.sqlite.schema import (
    SCHEMA,
    create_database,
    get_meta,
    put_meta,
    read_facts,
    require_version,
)
from reid_hash.gallery.sqlite.verify import verify
from reid_hash.utils.files import replacing

_LOG = logging.getLogger(__name__)

StrPath = str | os.PathLike[str]


class GalleryFolder(AnyGallery):
    """A gallery's folder, open; see `gallery.Gallery`.

    Attributes:
        folder: where it is.
        readable_by: who may read its files. For the others see `AnyGallery`.
    """

    def __init__(self, folder: Path, read_only: bool) -> None:
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
            self._index = GalleryIndex(
                folder, facts.name, facts.template, modes_of(facts.readable_by).file
            )
            if not read_only and (wide := describe_wide(folder, facts.readable_by)):
                _LOG.warning("gallery %s: %s; `gallery verify --fix` narrows it", folder, wide)
            if not read_only:
                remove_leftovers(folder)
                finish_erasing(self._database, self._index)
        except BaseException:
            self._database.close()
            raise

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
        folder = Path(path)
        template = Codes(np.zeros((0, -(-bits // 8)), np.uint8), bits, weights, model)  # type: ignore[arg-type]
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
            "bits": bits,
            "weights": template.weights.astype("<f4").tobytes(),
            "model": model,
            "model_file": model_file,
            "erasures": 0,
            "readable_by": readable_by,
        }
        make_folder(folder, readable_by)
        mode = modes_of(readable_by).file
        with replacing(folder / DATABASE, mode) as temporary, plain_errors(folder, "create"):
            create_database(temporary, meta)
        _sync(folder, folder.absolute().parent)
        return cls(folder, False)

    @classmethod
    def open(cls, path: StrPath, read_only: bool = False) -> Self:
        """Open a gallery, to write to it or only to read.

        Args:
            path: its folder.
            read_only: write nothing; then there may be any number of others.

        Raises:
            GalleryError: there is none, it is damaged, or somebody else writes to it.
        """
        return cls(Path(path), read_only)

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

    def close(self) -> None:
        """Write the cache of the indexes if it is too far behind, and close."""
        if not self.read_only:
            # a cache: the rows are safe without it
            with contextlib.suppress(ReidHashError), self._database.reading() as db:
                self._index.write(db)
        self._database.close()

    def write_cache(self) -> bool:
        """Write the cache of the indexes now, whole; gives whether it was behind.

        `close` does so where the cache lacks more than a hundredth of the sightings. A program
        that runs for long may do it at times, for others that open the gallery meanwhile.
        """
        with self._database.alone(), self._database.reading() as db:
            return self._index.write(db, lag=0)

    def verify(self) -> list[str]:
        """A line for each thing in the folder that is damaged; none where all is well."""
        return verify(self.folder)

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
    def calibration(self) -> Calibration | None:
        """What distances mean in this gallery, or None where that was not calibrated."""
        with self._database.reading() as db:
            return _calibration(db)

    @calibration.setter
    def calibration(self, calibration: Calibration | None) -> None:
        with self._database.writing() as db:
            put_meta(db, "calibration", calibration and calibration.to_json())

    def export(self, file: StrPath) -> int:
        """Write the gallery to a .parquet or .npz file; gives the number of sightings."""
        with self._database.reading() as db:
            exported = io.read_database(db)
            io.write_file(Path(file), exported)
        return int(exported.header["sightings"])

    def import_file(self, file: StrPath) -> int:
        """Add all that `export` wrote, in one transaction; gives how many sightings.

        A gallery that was never used takes over the ids. In another one sightings get new ids, and
        identities of the same name are the same.

        Raises:
            CodeError: it is of another model or length.
            GalleryError: see the class; or the file is damaged.
        """
        exported = io.read_file(Path(file))
        bits, model = int(exported.header["bits"]), exported.header["model"]
        compatibility.check(self.place, self._template, bits, model)
        with self._database.writing() as db:
            added = io.insert_file(db, exported)
            if exported.header["calibration"] and get_meta(db, "calibration") is None:
                put_meta(db, "calibration", exported.header["calibration"])
        return added


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
