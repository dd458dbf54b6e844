"""What every gallery is: commands, demo and search speak to this, wherever it is kept."""

import os
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, Self, Unpack

import numpy as np
from numpy.typing import NDArray

from reid_hash.calibration import (
    ByIdentity,
    ByTrack,
    Calibration,
    Evidence,
    Seen,
    calibrate_queries,
)
from reid_hash.codes import Codes
from reid_hash.errors import CheckpointError, CodeError, GalleryError
from reid_hash.gallery import encoding
from reid_hash.gallery.sighting import Answer, Filter, Identity, Match, Sighting

if TYPE_CHECKING:
    from reid_hash.gallery.export.io import Exported
    from reid_hash.models.encoder import Encoder

_PAUSE = 600.0  # seconds without a sighting after which a track number is of another track
_CALIBRATED = 50_000  # sightings that a calibration looks at: some seconds for each length


class AnyPeople(Protocol):
    """The identities of a gallery: which sightings are of one person.

    Every method that writes raises GalleryError where an identity or sighting is not there, and
    where the gallery is open read-only.
    """

    def identities(self) -> list[Identity]:
        """All identities with how many sightings they have and from when to when."""
        ...

    def assign(self, ids: Sequence[int], identity: int | str | None) -> int | None:
        """Say of whom sightings are: a number, a name (made where it is new), or None.

        Returns:
            The identity's number.
        """
        ...

    def merge(self, kept: int | str, other: int | str) -> int:
        """Make two identities one: the sightings of `other` go to `kept`.

        Returns:
            The number of `kept`. Its name stays; where it has none, that of `other` does.
        """
        ...

    def split(
        self,
        identity: int | str,
        ids: Sequence[int] = (),
        tracks: Sequence[int] = (),
        name: str | None = None,
    ) -> int:
        """Take sightings of an identity out into a new one.

        Args:
            identity: number or name.
            ids: sightings to take out.
            tracks: tracks whose sightings to take out as well.
            name: of the new identity.

        Returns:
            The new identity's number.

        Raises:
            GalleryError: it has no such sighting, or none would be left to it.
        """
        ...

    def name(self, identity: int | str, name: str | None) -> int:
        """Give an identity a name, or take it away with None; gives its number."""
        ...


class AnyGallery(ABC):
    """Sightings of people, to be searched by code; a context manager.

    `sqlite.gallery.Gallery` keeps them in a folder, `clickhouse.gallery.ClickHouseGallery` in
    ClickHouse. Open one with `open.open_gallery`. Every method that writes raises GalleryError
    where the gallery is open read-only or cannot be written.

    Attributes:
        place: where it is, as text for messages: its folder or address.
        read_only: nothing can be changed.
        bits: length of its codes.
        weights: [bits] float32, its bit weights: they count, not those of the query.
        model: fingerprint of the network whose codes it takes; empty where that is unknown.
        model_file: where that network's checkpoint was; empty where that is unknown.
        encoder: the network itself, for images that are added or searched for; None until it is
            given, or needed and found.
        people: its identities: assign, merge, split, name.
        keeps_documents: whether `keep_document` does.
        real_queries: whether a query of real values is answered as fast as one of codes.
        receipt: of what was erased last: what was asked, how many, when, what was checked. Empty
            where the gallery gives none.
    """

    real_queries: ClassVar[bool]
    keeps_documents: ClassVar[bool] = False
    place: str
    read_only: bool
    bits: int
    weights: NDArray[np.float32]
    model: str
    model_file: str
    encoder: "Encoder | None" = None
    receipt: str = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        """Number of sightings."""
        return self.count()

    def add(
        self,
        items: "Codes | encoding.Images",
        sightings: Sequence[Sighting] | None = None,
        *,
        camera: str = "",
        time: float | None = None,
        source: str | None = None,
        name: str | None = None,
        thumbnails: bool = True,
    ) -> NDArray[np.int64]:
        """Add codes, or images, which the gallery's network encodes.

        Args:
            items: n codes of the gallery's model and length, or n images: paths (folders stand for
                all images below them), PIL images or [height, width, 3] uint8 RGB arrays; also one
                alone.
            sightings: n of them, without ids. Left out, each has the values that follow.
            camera: name of the camera.
            time: when, in seconds since 1970, UTC; the time of adding when left out.
            source: what they come from; each image's own path when left out.
            name: of the identity, which is made where it is new.
            thumbnails: keep a small JPEG of each image whose sighting has none.

        Returns:
            [n] int64, their ids: ascending, above all that there ever were. Codes are added in one
            step; images in steps of some hundred: where one fails, those before are kept.

        Raises:
            CodeError: the codes are of another model or length.
            CheckpointError: there are images, and the gallery's network is not found.
            DataError: an image cannot be read.
            GalleryError: a sighting's values cannot be stored.
        """
        if isinstance(items, Codes):
            if sightings is None:
                sightings = [Sighting(camera, time, source or "", name=name)] * len(items)
            return self.add_codes(items, sightings)
        images = encoding.listed(items)
        if sightings is None:
            sightings = [
                Sighting(camera, time, encoding.source_of(image, source), name=name)
                for image in images
            ]
        if len(images) != len(sightings):
            raise CodeError(f"{len(images)} images for {len(sightings)} sightings")
        network = self.network()
        added = [np.zeros(0, np.int64)]
        for rows in encoding.blocks(len(images)):
            encoded = encoding.encode(network, images[rows], sightings[rows], thumbnails)
            added.append(self.add_codes(encoded.codes.shortened(self.bits), encoded.sightings))
        return np.concatenate(added)

    def search(
        self,
        query: "Codes | NDArray[Any] | encoding.Image",
        k: int = 10,
        *,
        bits: int | None = None,
        weighted: bool = True,
        asymmetric: bool = False,
        **where: Unpack[Filter],
    ) -> list[Match]:
        """Find the nearest sightings of one query, by (distance, id); see `find`.

        Args:
            query: the path of an image, a PIL image or a [height, width, 3] uint8 RGB array, which
                the gallery's network encodes; one code; or a vector [bits] of real values.
            k: how many to find, ≥ 1.
            bits: compare the first so many bits only; all when left out.
            weighted: by weighted Hamming distance, else by the plain one.
            asymmetric: an image is compared by its real values, not by its code.
            where: among which sightings; see `Filter`.

        Raises:
            CodeError: the query is not one, or of another model or length.
            CheckpointError: it is an image, and the gallery's network is not found.
            DataError: the image cannot be read.
        """
        one = self._one_query(query, asymmetric)
        (found,) = self.search_many(one, k, bits=bits, weighted=weighted, **where)
        return found

    def search_many(
        self,
        queries: Codes | NDArray[np.floating],
        k: int = 10,
        *,
        bits: int | None = None,
        weighted: bool = True,
        **where: Unpack[Filter],
    ) -> list[list[Match]]:
        """Find the nearest sightings of each query, by (distance, id); see `find`."""
        found = self.find(queries, k, bits=bits, weighted=weighted, **where)
        return [one.matches for one in found]

    def network(self) -> "Encoder":
        """The network that makes the gallery's codes; loaded when it is first needed.

        Raises:
            CheckpointError: it is none of the shipped models, and not where the gallery says.
            CodeError: what is there is another network.
        """
        if self.encoder is None:
            file = encoding.find_network(self.place, self.model, self.model_file)
            if file is None:
                raise CheckpointError(
                    f"the model of gallery {self.place}, {self.model or 'unknown'}, is not found; "
                    "give the model where the gallery is opened"
                )
            self.encoder = encoding.load_network(self.place, self.model, file)
        return self.encoder

    def _one_query(
        self, query: "Codes | NDArray[Any] | encoding.Image", asymmetric: bool
    ) -> Codes | NDArray[np.floating]:
        """A query as `find` takes it: one code, or real values [1, bits]."""
        if isinstance(query, Codes):
            if len(query) != 1 or asymmetric:
                what = "a code has no real values" if asymmetric else f"{len(query)} codes"
                raise CodeError(f"{what}: search for one code, or for many with search_many")
            return query
        if isinstance(query, np.ndarray) and query.ndim < 3:
            if query.ndim != 1:
                raise CodeError(
                    f"real values of shape {list(query.shape)} are not one query [bits]; "
                    "search for many with search_many"
                )
            return np.asarray(query[None], np.float64)
        if isinstance(query, list | tuple):
            return np.asarray(query, np.float64)[None]
        codes, values = encoding.encode_queries(self.network(), [query])
        codes = codes.shortened(self.bits)
        return values[:, : codes.bits] if asymmetric else codes

    def forget(self, **where: Unpack[Filter]) -> int:
        """Erase sightings, and the names of identities of which none is left; gives how many.

        Nothing of them is left in the gallery's files when this returns: rows, thumbnails, logs
        and caches.

        Args:
            where: which; all that is given must be true of a sighting. See `Filter`.
        """
        if not any(value is not None for value in where.values()):
            raise GalleryError("say what to forget: an identity, a source, a camera or a time")
        return self._forget(where)

    def prune(self, keep: timedelta, now: float | None = None) -> int:
        """Erase what is older than `keep`; gives how many sightings that was.

        Args:
            keep: age up to which sightings stay.
            now: time the age is counted from, seconds since 1970, UTC; the present when left out.
        """
        moment = time.time() if now is None else now
        return self.forget(until=moment - keep.total_seconds())

    def retain(self, keep: timedelta | None) -> None:
        """Have the gallery itself erase what gets older than `keep`; None ends that.

        Raises:
            GalleryError: it cannot: a folder has nobody who would.
        """
        raise GalleryError(
            f"gallery {self.place} erases nothing by itself: run `gallery prune` at times"
        )

    def calibrate(
        self,
        lengths: Sequence[int],
        queries: int = 2000,
        seed: int = 0,
        by: Literal["identities", "tracks"] | None = None,
    ) -> Calibration:
        """Calibrate queries that are codes on the gallery's own sightings, and keep the result.

        They must be of people that the network was not trained on. By identities, each sighting is
        searched for once with those of other cameras enrolled and once without, as a stranger. By
        tracks, without any labels: people whom a source shows at once are strangers to each other,
        and sightings of a track are of one person; see `calibration.ByTrack`. For other kinds of
        query, and other images, see `app.calibrate`.

        Args:
            lengths: code lengths.
            queries: how many sightings are searched for; drawn where there are more.
            seed: of the draw.
            by: what is known of the sightings; identities where there are two, when left out.

        Raises:
            GalleryError: of no two sightings it is known that they are of two people.
        """
        found = None if by == "tracks" else self.labelled(_CALIBRATED, seed)
        known: Evidence
        if found is not None and (by == "identities" or len(set(found[0])) > 1):
            codes, ids = self.codes(ids=found[2])
            there = np.isin(found[2], ids)  # some may have been erased since
            labels, cameras = (np.asarray(values)[there] for values in found[:2])
            several = len(np.unique(cameras)) > 1
            known = ByIdentity(Seen(labels, cameras if several else None), queries, seed)
            about = (
                f"{len(ids):,} sightings of {len(np.unique(labels)):,} identities of the gallery"
            )
        else:
            codes, seen = self._tracked()
            known = ByTrack(seen, queries, seed)
            about = f"{known.about} of the gallery"
        self.calibration = calibrate_queries(codes, known, lengths, about=about)
        return self.calibration

    def _tracked(self) -> tuple[Codes, Seen]:
        """Codes of the newest sightings that have a track or frame, and what is known of each."""
        found = {
            one.id: one
            for one in self.sightings(limit=_CALIBRATED, newest=True)
            if one.source and (one.track is not None or one.frame is not None)
        }
        codes, ids = self.codes(ids=[number for number in found if number is not None])
        seen = [found[number] for number in ids.tolist()]
        places: dict[tuple[object, ...], int] = {}
        last: dict[tuple[str, str, int], tuple[int, float]] = {}
        cameras, tracks = np.zeros((2, len(seen)), np.int64)
        times = np.array([one.time or 0.0 for one in seen])
        for row in np.argsort(times, kind="stable").tolist():
            one, time = seen[row], float(times[row])
            if one.track is None:  # only what one frame shows was there at once
                place: tuple[object, ...] = (one.source, one.camera, one.frame, "frame")
                tracks[row] = row
            else:
                place, key = (one.source, one.camera), (one.source, one.camera, one.track)
                number, before = last.get(key, (row, time))
                # a live source that is opened again counts its tracks from 1
                tracks[row] = number if time - before <= _PAUSE else row
                last[key] = int(tracks[row]), time
            cameras[row] = places.setdefault(place, len(places))
        return codes, Seen(cameras=cameras, tracks=tracks, times=times)

    @property
    @abstractmethod
    def calibration(self) -> Calibration | None:
        """What distances mean in this gallery, or None where that was not calibrated."""

    @calibration.setter
    @abstractmethod
    def calibration(self, calibration: Calibration | None) -> None: ...

    @abstractmethod
    def document(self, name: str) -> str | None:
        """A text that was kept under a name, such as the network of cameras; None without one."""

    @abstractmethod
    def keep_document(self, name: str, text: str | None) -> None:
        """Keep a text under a name, in place of what was there; None takes it away.

        Args:
            name: letters and digits.
            text: some kilobytes of JSON.
        """

    @abstractmethod
    def close(self) -> None:
        """Close it; what was added is safe before."""

    @abstractmethod
    def add_codes(self, codes: Codes, sightings: Sequence[Sighting]) -> NDArray[np.int64]:
        """Add sightings with their codes, all or none.

        Args:
            codes: n codes, of the gallery's model and length.
            sightings: n of them, without ids.

        Returns:
            [n] int64, their ids: ascending, above all that there ever were.

        Raises:
            CodeError: the codes are of another model or length.
            GalleryError: a sighting's values cannot be stored.
        """

    @abstractmethod
    def find(
        self,
        query: Codes | NDArray[np.floating],
        k: int = 10,
        *,
        bits: int | None = None,
        weighted: bool = True,
        **where: Unpack[Filter],
    ) -> list[Answer]:
        """Find the nearest sightings of each query, and say whether it is certain that they are.

        Args:
            query: codes of the gallery's model and length, or of length `bits`; or real values
                [queries, bits] in -1 … 1 of its model (`distances.query_values`), compared as
                `distances.asymmetric` does. Nobody checks of which model those are.
            k: how many to find, ≥ 1.
            bits: compare the first so many bits only; all when left out.
            weighted: by weighted Hamming distance, else by the plain one.
            where: among which sightings; see `Filter`.

        Returns:
            For each query its matches by (distance, id); fewer than k where there are no more.

        Raises:
            CodeError: the query is of another model or length.
        """

    @abstractmethod
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
            thumbnails: with their thumbnails, where they are kept.
            where: which; see `Filter`.
        """

    @abstractmethod
    def count(self, **where: Unpack[Filter]) -> int:
        """Number of sightings; see `Filter`."""

    @abstractmethod
    def cameras(self) -> dict[str, int]:
        """Name of each camera → how many sightings it has."""

    @abstractmethod
    def codes(self, **where: Unpack[Filter]) -> tuple[Codes, NDArray[np.int64]]:
        """Codes of sightings and their ids [n] int64, by id; see `Filter`."""

    @abstractmethod
    def labelled(self, most: int, seed: int = 0) -> tuple[list[int], list[int], list[int]]:
        """Of each sighting whose identity is known: the identity, a number of its camera, its id.

        Args:
            most: how many at most; drawn where there are more. They come by id.
            seed: of the draw.
        """

    @property
    @abstractmethod
    def people(self) -> AnyPeople:
        """The identities of the gallery."""

    @abstractmethod
    def new_identity(self) -> int:
        """Make an identity without a name and without sightings yet; gives its number.

        Sightings are then added, or assigned, to that number.
        """

    @abstractmethod
    def info(self) -> dict[str, Any]:
        """What the gallery holds: numbers, times in seconds since 1970."""

    @abstractmethod
    def verify(self) -> list[str]:
        """A line for each thing that is damaged; none where all is well."""

    @abstractmethod
    def exported(self) -> "AbstractContextManager[Exported]":
        """All that the gallery holds, to be written or read part by part within the block."""

    @abstractmethod
    def take_in(self, exported: "Exported") -> int:
        """Add all that another gallery held; gives how many sightings.

        A gallery that was never used takes over the ids. In another one sightings get new ids, and
        identities of the same name are the same.

        Args:
            exported: of this gallery's model and length; see `import_file`.

        Raises:
            GalleryError: it is damaged, or cannot be stored.
        """

    def export(self, file: str | os.PathLike[str]) -> int:
        """Write the gallery to a .parquet or .npz file; gives the number of sightings."""
        from reid_hash.gallery.export import io

        with self.exported() as exported:
            io.write_file(Path(file), exported)
        return int(exported.header["sightings"])

    def import_file(self, file: str | os.PathLike[str]) -> int:
        """Add all that `export` wrote; see `take_in`.

        Raises:
            CodeError: it is of another model or length.
            GalleryError: see the class; or the file is damaged.
        """
        from reid_hash.gallery.export import io

        exported = io.read_file(Path(file))
        like = Codes.empty(self.bits, self.weights, self.model)
        check(self.place, like, int(exported.header["bits"]), exported.header["model"])
        return self.take_in(exported)

    @abstractmethod
    def _forget(self, where: Filter) -> int: ...


def check(place: str, like: Codes, bits: int, model: str) -> None:
    """Raise CodeError unless codes of that length and model belong to a gallery.

    Args:
        place: where the gallery is.
        like: codes of its length and model.
        bits: length of the codes.
        model: theirs; "" is unknown.
    """
    if bits != like.bits:
        raise CodeError(
            f"codes of {bits} bits do not fit gallery {place}, which holds {like.bits} bits"
        )
    if model and model != like.model:
        raise CodeError(
            f"codes of model {model} do not fit gallery {place}, which holds codes of "
            f"{'model ' + like.model if like.model else 'an unknown model'}; encode them with "
            "the gallery's model"
        )


def check_added(place: str, like: Codes, codes: Codes, sightings: int) -> None:
    """Raise CodeError unless codes can be added as those of so many sightings; see `check`."""
    check(place, like, codes.bits, codes.model)
    if codes.model != like.model:
        raise CodeError(
            f"the codes do not say which model made them; gallery {place} takes those of model "
            f"{like.model}"
        )
    if len(codes) != sightings:
        raise CodeError(f"{len(codes)} codes for {sightings} sightings")


def cut(
    place: str, like: Codes, query: Codes | NDArray[np.floating], bits: int | None
) -> Codes | NDArray[np.floating]:
    """A query at the length that is compared.

    Args:
        place: where the gallery is.
        like: codes of its length and model.
        query: codes, or real values [queries, bits], of the gallery's length or of `bits`.
        bits: compare the first so many only; all when left out.

    Raises:
        CodeError: the query is of another length or model.
    """
    length = like.bits if bits is None else like.prefix(bits).bits
    if not isinstance(query, Codes):
        values = np.asarray(query)
        if values.ndim != 2 or values.shape[1] not in (like.bits, length):
            raise CodeError(
                f"real values of shape {list(values.shape)} do not fit gallery {place}, which "
                f"holds {like.bits} bits"
            )
        return values[:, :length]
    if query.bits < like.bits and query.bits != length:
        raise CodeError(
            f"codes of {query.bits} bits do not fit gallery {place}, which holds {like.bits} bits; "
            f"compare their length alone with --bits {query.bits}"
        )
    # who asks for a length may come with codes that are cut to it already
    check(place, like, like.bits if query.bits == length else query.bits, query.model)
    return query.prefix(length)
