"""A gallery behind a service: the same methods, each of them a request."""

import base64
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Self, Unpack

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from reid_hash.calibration import Calibration
from reid_hash.codes import Codes
from reid_hash.errors import GalleryError, MissingError
from reid_hash.gallery.base import AnyGallery, check, check_added, cut
from reid_hash.gallery.export.io import Exported
from reid_hash.gallery.service.address import ServiceAddress
from reid_hash.gallery.service.link import Link
from reid_hash.gallery.sighting import Answer, Filter, Identity, Match, Sighting
from reid_hash.utils.files import json_text
from reid_hash.utils.timestamps import format_time

if TYPE_CHECKING:
    from reid_hash.models.encoder import Encoder

_ADDED = 1000  # sightings of a request
_QUERIES = 100  # queries of a request
_PAGE = 1000  # sightings of an answer
_NEAREST = 1000  # matches of a query at most
_IDS = 10_000  # ids of a filter


class ServiceGallery(AnyGallery):
    """A gallery that `reid-hash serve` serves, perhaps on another machine.

    What its key is not for raises GalleryError. `add_codes` of more than 1,000 sightings is several
    requests; each is done once, also where a connection breaks.

    Args:
        address: of the service.
        read_only: change nothing, whatever the key is for.
    """

    real_queries = True

    def __init__(self, address: ServiceAddress, read_only: bool = False) -> None:
        self.place, self.read_only, self.model_file = str(address), read_only, ""
        self._link = Link(address)
        try:
            told = self._link.get("/gallery")
            self.bits, self.model = int(told["bits"]), str(told["model"])
            weights = np.array(told["weights"], np.float32)
            self._template = Codes.empty(self.bits, weights, self.model)
            self.weights = self._template.weights
        except (KeyError, TypeError, ValueError) as error:
            self.close()
            raise GalleryError(f"{address} gives an answer that is none of a service") from error
        except BaseException:
            self.close()
            raise

    def __repr__(self) -> str:
        return f"ServiceGallery({self.place!r}, {self.bits} bits)"

    @classmethod
    def open(cls, address: ServiceAddress, read_only: bool = False) -> Self:
        """Open a gallery.

        Raises:
            GalleryError: there is none, or the service does not answer or wants another key.
        """
        return cls(address, read_only)

    @classmethod
    def of(
        cls, address: ServiceAddress, model: "Encoder | Codes | None", read_only: bool = False
    ) -> Self:
        """Open a gallery for a model: an encoder, or codes of it.

        Raises:
            CodeError: the gallery holds codes of another model, or longer ones.
        """
        gallery = cls(address, read_only)
        if model is not None:
            named = model.model if isinstance(model, Codes) else model.fingerprint
            try:  # a gallery may keep the first bits of longer codes
                check(gallery.place, gallery._template, min(model.bits, gallery.bits), named)
            except BaseException:
                gallery.close()
                raise
        if not isinstance(model, Codes):
            gallery.encoder = model
        return gallery

    @override
    def close(self) -> None:
        self._link.close()

    def _write(self, path: str, asked: dict[str, Any] | None, method: str = "POST") -> Any:
        if self.read_only:
            raise GalleryError(f"gallery {self.place} is read-only open: nothing can be changed")
        return self._link.write(path, asked, method)

    @override
    def add_codes(self, codes: Codes, sightings: Sequence[Sighting]) -> NDArray[np.int64]:
        check_added(self.place, self._template, codes, len(sightings))
        ids: list[int] = []
        for start in range(0, len(sightings), _ADDED):
            block = slice(start, start + _ADDED)
            told = [
                {**_asked(one), "code": _b64(code.tobytes())}
                for one, code in zip(sightings[block], codes.packed[block], strict=True)
            ]
            ids += self._write("/sightings", {"sightings": told})["ids"]
        return np.array(ids, np.int64)

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
        if k > _NEAREST:  # more than there are is all
            k = min(k, max(1, self.count(**where)))
        if k > _NEAREST:
            raise GalleryError(f"a service finds at most {_NEAREST:,} matches, not {k:,}")
        compared = cut(self.place, self._template, query, bits)
        asked: list[dict[str, Any]]
        if isinstance(compared, Codes):
            width = self._template.packed.shape[1]
            packed = np.zeros((len(compared), width), np.uint8)  # what is not compared is zero
            packed[:, : compared.packed.shape[1]] = compared.packed
            length, asked = compared.bits, [{"code": _b64(row.tobytes())} for row in packed]
        else:
            values = np.zeros((len(compared), self.bits))
            length = compared.shape[1]
            values[:, :length] = compared
            asked = [{"values": row} for row in values.tolist()]
        how = {"k": k, "bits": length, "weighted": weighted, "where": _where(where)}
        found: list[Answer] = []
        for start in range(0, len(asked), _QUERIES):
            told = self._link.read("/search", {"queries": asked[start : start + _QUERIES], **how})
            found += [
                Answer(
                    [Match(_sighting(m["sighting"]), float(m["distance"])) for m in one["matches"]],
                    bool(one["exact"]),
                )
                for one in told["answers"]
            ]
        return found

    def _pages(self, where: Filter, after: int = 0, **how: Any) -> Iterator[list[dict[str, Any]]]:
        ids = where.get("ids")
        if ids is not None and len(ids) > _IDS:
            wanted = sorted({int(i) for i in ids})
            for start in range(0, len(wanted), _IDS):
                part: Filter = {**where, "ids": wanted[start : start + _IDS]}
                yield from self._pages(part, after, **how)
            return
        cursor = f"i{after}" if after > 0 and how.get("order", "id") == "id" else None
        while True:
            asked = {"where": _where(where), "limit": _PAGE, "cursor": cursor, **how}
            told = self._link.read("/sightings/query", asked)
            yield told["sightings"]
            cursor = told["next"]
            if cursor is None:
                return

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
        how: dict[str, Any] = {"order": "newest" if newest else "id", "thumbnails": thumbnails}
        if limit is not None and limit < _PAGE:
            how["limit"] = max(1, limit)
        found: list[Sighting] = []
        for page in self._pages(where, after, **how):
            found += [_sighting(one) for one in page if one["id"] > after]
            if limit is not None and len(found) >= limit:
                return found[:limit]
        return found

    @override
    def count(self, **where: Unpack[Filter]) -> int:
        return int(self._link.read("/sightings/count", _where(where))["sightings"])

    @override
    def codes(self, **where: Unpack[Filter]) -> tuple[Codes, NDArray[np.int64]]:
        wanted = where.get("ids")
        if wanted is not None and not len(wanted):
            return self._template, np.zeros(0, np.int64)
        rows = [one for page in self._pages(where, codes=True) for one in page]
        width = self._template.packed.shape[1]
        data = b"".join(base64.b64decode(one["code"]) for one in rows)
        packed = np.frombuffer(data, np.uint8).reshape(len(rows), width)
        ids = np.array([one["id"] for one in rows], np.int64)
        return Codes(packed, self.bits, self.weights, self.model), ids

    @override
    def cameras(self) -> dict[str, int]:
        return {one["camera"]: one["sightings"] for one in self._link.get("/cameras")["cameras"]}

    @override
    def labelled(self, most: int, seed: int = 0) -> tuple[list[int], list[int], list[int]]:
        rows = [one for one in self.sightings() if one.identity is not None]
        if len(rows) > most:
            drawn = np.random.default_rng(seed).permutation(len(rows))[:most]
            rows = [rows[i] for i in np.sort(drawn).tolist()]
        cameras = np.unique([one.camera for one in rows], return_inverse=True)[1]
        return (
            [one.identity or 0 for one in rows],
            cameras.tolist(),
            [one.id or 0 for one in rows],
        )

    @property
    @override
    def people(self) -> Self:
        """The identities of the gallery: their methods are its own, see `AnyPeople`."""
        return self

    def identities(self) -> list[Identity]:
        """See `AnyPeople.identities`."""
        found: list[Identity] = []
        cursor = ""
        while True:
            told = self._link.get(f"/people?limit={_PAGE}" + (cursor and f"&cursor={cursor}"))
            found += [
                Identity(one["identity"], one["name"], one["sightings"], one["first"], one["last"])
                for one in told["people"]
            ]
            if told["next"] is None:
                return found
            cursor = str(told["next"])

    def assign(self, ids: Sequence[int], identity: int | str | None) -> int | None:
        """See `AnyPeople.assign`."""
        asked = {"ids": [int(i) for i in ids], "identity": identity}
        number: int | None = self._write("/people/assign", asked)["identity"]
        return number

    def merge(self, kept: int | str, other: int | str) -> int:
        """See `AnyPeople.merge`."""
        told = self._write(f"/people/{self._number(kept)}/merge", {"other": other})
        return int(told["identity"])

    def split(
        self,
        identity: int | str,
        ids: Sequence[int] = (),
        tracks: Sequence[int] = (),
        name: str | None = None,
    ) -> int:
        """See `AnyPeople.split`."""
        asked = {"ids": [int(i) for i in ids], "tracks": [int(i) for i in tracks], "name": name}
        return int(self._write(f"/people/{self._number(identity)}/split", asked)["identity"])

    def name(self, identity: int | str, name: str | None) -> int:
        """See `AnyPeople.name`."""
        told = self._write(f"/people/{self._number(identity)}/name", {"name": name}, "PUT")
        return int(told["identity"])

    def _number(self, identity: int | str) -> int:
        if not isinstance(identity, str):
            return int(identity)
        for one in self.identities():
            if one.name == identity:
                return one.id
        raise MissingError(f"there is no identity {identity} in the gallery")

    @override
    def new_identity(self) -> int:
        return int(self._write("/people", None)["identity"])

    @override
    def info(self) -> dict[str, Any]:
        told = self._link.get("/gallery")
        people = self.identities()
        return {
            "address": self.place,
            "bits": self.bits,
            "model": self.model,
            "model_file": "",
            "sightings": told["sightings"],
            "identities": len(people),
            "cameras": self.cameras(),
            "calibrated_bits": told["calibrated_bits"],
        }

    @override
    def verify(self) -> list[str]:
        raise GalleryError(f"{self.place}: verify it where it is kept")

    @override
    def _forget(self, where: Filter) -> int:
        told = self._write("/forget", _where(where))
        self.receipt = (
            f"receipt {told['receipt']} of {self.place}, for {told['caller']}: "
            f"{told['sightings']:,} sightings erased at {format_time(told['done'])}"
        )
        return int(told["sightings"])

    @override
    def document(self, name: str) -> str | None:
        """None: what is kept under names stays where the gallery is kept."""
        return None

    @override
    def keep_document(self, name: str, text: str | None) -> None:
        raise GalleryError(f"{self.place}: learn its {name} where the gallery is kept")

    @override
    def exported(self) -> AbstractContextManager[Exported]:
        raise GalleryError(f"{self.place}: export or copy the gallery where it is kept")

    @override
    def take_in(self, exported: Exported) -> int:
        raise GalleryError(f"{self.place}: import into the gallery where it is kept")

    @property
    @override
    def calibration(self) -> Calibration | None:
        told = self._link.get("/calibration")["calibration"]
        return None if told is None else Calibration.from_json(json_text(told))

    @calibration.setter
    @override
    def calibration(self, calibration: Calibration | None) -> None:
        raise GalleryError(
            f"{self.place}: calibrate the gallery where it is kept, with reid-hash gallery "
            "calibrate"
        )


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _asked(one: Sighting) -> dict[str, Any]:
    """A sighting as the service takes it."""
    numbers = {"track": one.track, "frame": one.frame}
    told: dict[str, Any] = {
        "camera": one.camera,
        "source": one.source,
        "time": None if one.time is None else float(one.time),
        "box": None if one.box is None else [float(v) for v in one.box],
        "identity": one.name if one.identity is None else int(one.identity),
        **{key: None if value is None else int(value) for key, value in numbers.items()},
    }
    if one.thumbnail is not None:
        told["thumbnail"] = _b64(one.thumbnail)
    return told


def _sighting(told: dict[str, Any]) -> Sighting:
    box = None if told["box"] is None else tuple(told["box"])
    small = told.get("thumbnail")
    return Sighting(
        *(told["camera"], told["time"], told["source"], told["track"], told["frame"], box),  # type: ignore[arg-type]
        thumbnail=None if small is None else base64.b64decode(small),
        identity=told["identity"],
        name=told["name"],
        id=told["id"],
    )


def _where(where: Filter) -> dict[str, Any]:
    """A filter as JSON: NumPy's numbers are none."""
    told: dict[str, Any] = {}
    for key, value in where.items():
        if value is None:
            continue
        if key in ("since", "until"):
            told[key] = float(value)  # type: ignore[arg-type]
        else:
            told[key] = [one if isinstance(one, str) else int(one) for one in value]  # type: ignore[attr-defined]
    return told
