"""What every gallery is: commands, demo and search speak to this, wherever it is kept."""

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, ClassVar, NamedTuple, Self, Unpack

import numpy as np
from numpy.typing import NDArray

from reid_hash.calibration import Calibration, calibrate_codes
from reid_hash.codes import Codes
from reid_hash.errors import GalleryError
from reid_hash.gallery.sighting import Filter, Identity, Match, Sighting

_CALIBRATED = 50_000  # sightings that a calibration looks at: some seconds for each length


class Found(NamedTuple):
    """The answer to one query.

    Attributes:
        matches: the nearest sightings, by (distance, id).
        exact: whether it is certain that none is nearer than these.
    """

    matches: list[Match]
    exact: bool


class AnyGallery(ABC):
    """Sightings of people, to be searched by code; a context manager.

    `gallery.Gallery` keeps them in a folder, `milvus_gallery.MilvusGallery` on a Milvus
    server. Open one with `gallery.open`. Every method that writes raises GalleryError where the
    gallery is open read-only or cannot be written.

    Attributes:
        place: where it is, as text for messages: its folder or address.
        read_only: nothing can be changed.
        bits: length of its codes.
        weights: [bits] float32, its bit weights: they count, not those of the query.
        model: fingerprint of the network whose codes it takes; empty where that is unknown.
        model_file: where that network's checkpoint was; empty where that is unknown.
        real_queries: whether a query of real values is answered as fast as one of codes.
    """

    real_queries: ClassVar[bool]
    place: str
    read_only: bool
    bits: int
    weights: NDArray[np.float32]
    model: str
    model_file: str

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        """Number of sightings."""
        return self.count()

    def search(
        self,
        query: Codes | NDArray[np.floating],
        k: int = 10,
        *,
        bits: int | None = None,
        weighted: bool = True,
        **where: Unpack[Filter],
    ) -> list[list[Match]]:
        """The nearest sightings of each query, by (distance, id); see `find`."""
        found = self.find(query, k, bits=bits, weighted=weighted, **where)
        return [one.matches for one in found]

    def forget(self, **where: Unpack[Filter]) -> int:
        """Erase sightings, and the names of identities of which none is left; gives how many.

        A folder has nothing of them left when this returns: rows, thumbnails, logs and caches. On
        Milvus they are out of every answer, and the server frees their bytes later.

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

    def calibrate(self, lengths: Sequence[int], queries: int = 2000, seed: int = 0) -> Calibration:
        """Calibrate on the gallery's own identities, and keep the result in the gallery.

        They must be people that the network was not trained on, seen by several cameras. Each is
        searched for once with the own sightings enrolled and once without, as a stranger.

        Args:
            lengths: code lengths.
            queries: how many sightings are searched for; drawn where there are more.
            seed: of the draw.
        """
        labelled = self.labelled(_CALIBRATED, seed)
        codes, ids = self.codes(ids=labelled[2])
        there = np.isin(labelled[2], ids)  # some may have been erased since
        labels, cameras = (np.asarray(values)[there].tolist() for values in labelled[:2])
        about = f"{len(ids):,} sightings of {len(set(labels)):,} identities of the gallery"
        calibration = calibrate_codes(codes, labels, cameras, lengths, queries, seed, about)
        self.calibration = calibration
        return calibration

    @property
    @abstractmethod
    def calibration(self) -> Calibration | None:
        """What distances mean in this gallery, or None where that was not calibrated."""

    @calibration.setter
    @abstractmethod
    def calibration(self, calibration: Calibration | None) -> None: ...

    @abstractmethod
    def close(self) -> None:
        """Close it; what was added is safe before."""

    @abstractmethod
    def add(self, codes: Codes, sightings: Sequence[Sighting]) -> NDArray[np.int64]:
        """Add sightings with their codes.

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
    ) -> list[Found]:
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
    def codes(self, **where: Unpack[Filter]) -> tuple[Codes, NDArray[np.int64]]:
        """Codes of sightings and their ids [n] int64, by id; see `Filter`."""

    @abstractmethod
    def labelled(self, most: int, seed: int = 0) -> tuple[list[int], list[int], list[int]]:
        """Of each sighting whose identity is known: the identity, a number of its camera, its id.

        Args:
            most: how many at most; drawn where there are more. They come by id.
            seed: of the draw.
        """

    @abstractmethod
    def identities(self) -> list[Identity]:
        """All identities with how many sightings they have and from when to when."""

    @abstractmethod
    def assign(self, ids: Sequence[int], identity: int | str | None) -> int | None:
        """Say of whom sightings are: a number, a name (made where it is new), or None.

        Returns:
            The identity's number.
        """

    @abstractmethod
    def merge(self, kept: int | str, other: int | str) -> int:
        """Make two identities one; gives its number. The name of `kept` stays, if it has one."""

    @abstractmethod
    def split(
        self,
        identity: int | str,
        ids: Sequence[int] = (),
        tracks: Sequence[int] = (),
        name: str | None = None,
    ) -> int:
        """Take sightings or tracks of an identity out into a new one; gives the new number."""

    @abstractmethod
    def name(self, identity: int | str, name: str | None) -> int:
        """Name an identity, or take its name away with None; gives its number."""

    @abstractmethod
    def info(self) -> dict[str, Any]:
        """What the gallery holds: numbers, times in seconds since 1970."""

    @abstractmethod
    def verify(self) -> list[str]:
        """A line for each thing that is damaged; none where all is well."""

    @abstractmethod
    def _forget(self, where: Filter) -> int: ...
