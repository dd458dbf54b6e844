"""Making, opening and closing a gallery on Milvus; an open one is in `milvus_gallery`."""

import json
import threading
from collections.abc import Iterator, Sequence
from typing import Any, Self

from numpy.typing import ArrayLike

from reid_hash.calibration import Calibration
from reid_hash.codes import Codes
from reid_hash.errors import GalleryError
from reid_hash.gallery.base import AnyGallery
from reid_hash.gallery.milvus.address import MilvusAddress
from reid_hash.gallery.milvus.collection import Plan, plan
from reid_hash.gallery.milvus.link import Link, Row
from reid_hash.gallery.milvus.meta import Meta
from reid_hash.gallery.milvus.numbers import Numbers
from reid_hash.gallery.milvus.rows import NOBODY, SEALED, columns, row_checksum
from reid_hash.gallery.sqlite.verify import SHOWN
from reid_hash.utils.files import json_text

_FORMAT = 1


class MilvusPlace(AnyGallery):
    """A gallery on Milvus, open; see `milvus_gallery.MilvusGallery`.

    Attributes:
        address: its address.
        plan: how its collection was made. For the others see `AnyGallery`.
    """

    def __init__(self, address: MilvusAddress, read_only: bool, link: Link) -> None:
        self.place, self.read_only, self.address = str(address), read_only, address
        self._link, self._name = link, address.name
        self._meta = Meta(link, f"{address.name}_meta")
        self._made: tuple[Numbers, str] | None = None
        self._turn = threading.RLock()
        text = self._meta.get("header") if link.has(f"{self._name}_meta") else None
        if text is None:
            raise GalleryError(f"{address} is no gallery: there is no collection with its values")
        header = json.loads(text)
        if header["format"] != _FORMAT:
            raise GalleryError(
                f"gallery {address} is of version {header['format']}; this version of reid-hash "
                f"reads version {_FORMAT}"
            )
        self.bits, self.model = int(header["bits"]), str(header["model"])
        self.model_file = str(header["model_file"])
        self.plan = Plan(*header["plan"])
        self._template = Codes.empty(self.bits, header["weights"], self.model)
        self.weights = self._template.weights
        for name in (self._name, f"{self._name}_meta"):
            link.load(name)

    @classmethod
    def create(
        cls,
        address: MilvusAddress,
        bits: int,
        weights: ArrayLike | None = None,
        model: str = "",
        model_file: str = "",
        expected: int = 0,
    ) -> Self:
        """Make an empty gallery and open it.

        Args:
            address: where; a file is made where there is none.
            bits: length of its codes.
            weights: [bits] real ≥ 0; all ones when left out.
            model: fingerprint of the network whose codes it takes.
            model_file: where that network's checkpoint is, to find it again.
            expected: how many sightings there will be: decides shards and index on a server.

        Raises:
            GalleryError: there is a gallery already, or it cannot be made.
            CodeError: the weights do not fit.
        """
        like = Codes.empty(bits, weights, model)
        # milvus-lite knows one shard and BIN_FLAT
        how = plan(expected, bits) if address.file is None else Plan()
        header = {
            "format": _FORMAT,
            "bits": bits,
            "weights": like.weights.tolist(),
            "model": model,
            "model_file": model_file,
            "plan": list(how),
        }
        link = Link(address, new=True)
        try:
            meta = Meta(link, f"{address.name}_meta")
            for name in (address.name, f"{address.name}_meta"):
                if link.has(name):
                    raise GalleryError(f"there is a collection {name} at {address} already")
            meta.create()
            link.create(address.name, columns(bits), how.shards, how.kind, how.lists)
            meta.set("header", json_text(header))  # last: what has no header is no gallery
            return cls(address, False, link)
        except BaseException:
            link.close()
            raise

    @classmethod
    def open(cls, address: MilvusAddress, read_only: bool = False) -> Self:
        """Open a gallery, to write to it or only to read.

        Raises:
            GalleryError: there is none, it is damaged, or its server does not answer.
        """
        link = Link(address)
        try:
            return cls(address, read_only, link)
        except BaseException:
            link.close()
            raise

    @classmethod
    def there(cls, address: MilvusAddress) -> bool:
        """Whether there is a gallery; GalleryError where the server does not answer."""
        if address.file is not None and not address.file.exists():
            return False
        link = Link(address)
        try:
            return link.has(f"{address.name}_meta")
        finally:
            link.close()

    def close(self) -> None:
        """Close it; what was added is safe before."""
        try:
            with self._turn:
                if self._made is not None:
                    self._meta.release(self._made[1])
                    self._made = None
        finally:
            self._link.close()

    def _write(self) -> None:
        """Raise GalleryError unless the gallery is open for writing."""
        if self.read_only:
            raise GalleryError(f"gallery {self.place} is read-only open: nothing can be changed")

    def _numbers(self, count: int) -> list[int]:
        """New numbers, ascending."""
        with self._turn:
            if self._made is None:
                self._made = self._meta.claim_numbers()
            numbers: list[int] = self._made[0].take(count).tolist()
            return numbers

    def _rows(
        self, where: str | None, names: Sequence[str], limit: int | None = None, after: int = 0
    ) -> Iterator[Row]:
        """Rows by id; `where` is None for none."""
        if where is not None:
            yield from self._link.rows(self._name, where, names, limit, after)

    @property
    def calibration(self) -> Calibration | None:
        """What distances mean in this gallery, or None where that was not calibrated."""
        text = self._meta.get("calibration")
        return None if text is None else Calibration.from_json(text)

    @calibration.setter
    def calibration(self, calibration: Calibration | None) -> None:
        self._write()
        if calibration is None:
            self._meta.remove("calibration")
        else:
            self._meta.set("calibration", calibration.to_json())

    def info(self) -> dict[str, Any]:
        """What the gallery holds: numbers, times in seconds since 1970. Reads every row."""
        cameras: dict[str, int] = {}
        identities: set[int] = set()
        times: list[float] = []
        for row in self._rows("", ["id", "camera", "time", "identity"]):
            cameras[row["camera"]] = cameras.get(row["camera"], 0) + 1
            identities.add(row["identity"])
            times = [min([*times[:1], row["time"]]), max([*times[1:], row["time"]])]
        return {
            "folder": self.place,
            "bits": self.bits,
            "model": self.model,
            "model_file": self.model_file,
            "sightings": sum(cameras.values()),
            "identities": len(identities - {NOBODY}),
            "thumbnails": 0,
            "cameras": cameras,
            "first": times[0] if times else None,
            "last": times[1] if times else None,
            "shards": self.plan.shards,
            "index": self.plan.kind,
            "calibrated_bits": self.calibration.lengths if self.calibration else [],
        }

    def verify(self) -> list[str]:
        """A line for each thing that is damaged. Reads every row."""
        lines = list(self._damage())
        more = len(lines) - SHOWN
        return lines[:SHOWN] + ([f"and {more:,} more"] if more > 0 else [])

    def _damage(self) -> Iterator[str]:
        try:
            _ = self.calibration
        except (GalleryError, ValueError) as error:
            yield f"values: {error}"
        names = self._meta.names()
        last = None
        for row in self._rows("", [*SEALED, "checksum"]):
            number, identity = row["id"], row["identity"]
            if row["checksum"] != row_checksum(row):
                yield f"sighting {number}: its checksum differs"
            if identity != NOBODY and identity not in names:
                yield f"sighting {number} is of identity #{identity}, which is not there"
            if number == last:
                yield f"sighting {number} is there twice"
            last = number
