"""What every gallery offers: commands, demo and search speak to this, wherever it is kept."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, NamedTuple, Protocol, Self, Unpack

import numpy as np
from numpy.typing import NDArray

from reid_hash.codes import Codes
from reid_hash.search.openset import Calibration
from reid_hash.search.sighting import Filter, Identity, Match, Sighting


class Found(NamedTuple):
    """The answer to one query.

    Attributes:
        matches: the nearest sightings, by (distance, id).
        exact: whether it is certain that none is nearer than these.
    """

    matches: list[Match]
    exact: bool


class AnyGallery(Protocol):
    """Sightings of people, to be searched by code; a context manager.

    `gallery.Gallery` keeps them in a folder, `milvus.MilvusGallery` on a Milvus server; what they
    have in common is described in full at `gallery.Gallery`. Make one with `gallery_open`.
    """

    @property
    def place(self) -> str:
        """Where it is, for messages: its folder or address."""
        ...

    @property
    def bits(self) -> int:
        """Length of its codes."""
        ...

    @property
    def weights(self) -> NDArray[np.float32]:
        """[bits], its bit weights: they count, not those of the query."""
        ...

    @property
    def model(self) -> str:
        """Fingerprint of the network whose codes it takes; empty where that is unknown."""
        ...

    @property
    def model_file(self) -> str:
        """Where that network's checkpoint was; empty where that is unknown."""
        ...

    @property
    def calibration(self) -> Calibration | None:
        """What distances mean in this gallery, or None where that was not calibrated."""
        ...

    @calibration.setter
    def calibration(self, calibration: Calibration | None) -> None: ...

    def __enter__(self) -> Self:
        """Itself; `close` when the block ends."""
        ...

    def __exit__(self, *_: object) -> None: ...

    def close(self) -> None:
        """Close it; what was added is safe before."""
        ...

    def __len__(self) -> int:
        """Number of sightings."""
        ...

    def add(self, codes: Codes, sightings: Sequence[Sighting]) -> NDArray[np.int64]:
        """Add sightings with their codes; gives their ids [n], ascending."""
        ...

    def search(
        self,
        query: Codes | NDArray[np.floating],
        k: int = 10,
        *,
        bits: int | None = None,
        weighted: bool = True,
        **where: Unpack[Filter],
    ) -> list[list[Match]]:
        """The nearest sightings of each query."""
        ...

    def find(
        self,
        query: Codes | NDArray[np.floating],
        k: int = 10,
        *,
        bits: int | None = None,
        weighted: bool = True,
        **where: Unpack[Filter],
    ) -> list[Found]:
        """As `search`, with whether each answer is known to be exact."""
        ...

    def sightings(
        self,
        *,
        after: int = 0,
        limit: int | None = None,
        newest: bool = False,
        thumbnails: bool = False,
        **where: Unpack[Filter],
    ) -> list[Sighting]:
        """Sightings by id, or by time from the newest on."""
        ...

    def count(self, **where: Unpack[Filter]) -> int:
        """Number of the chosen sightings."""
        ...

    def codes(self, **where: Unpack[Filter]) -> tuple[Codes, NDArray[np.int64]]:
        """Codes of the chosen sightings and their ids, by id."""
        ...

    def identities(self) -> list[Identity]:
        """All identities with how many sightings they have and from when to when."""
        ...

    def assign(self, ids: Sequence[int], identity: int | str | None) -> int | None:
        """Say of whom sightings are; gives the identity's number."""
        ...

    def merge(self, kept: int | str, other: int | str) -> int:
        """Make two identities one; gives its number."""
        ...

    def split(
        self,
        identity: int | str,
        ids: Sequence[int] = (),
        tracks: Sequence[int] = (),
        name: str | None = None,
    ) -> int:
        """Take sightings or tracks of an identity out into a new one; gives the new number."""
        ...

    def name(self, identity: int | str, name: str | None) -> int:
        """Name an identity, or take its name away with None; gives its number."""
        ...

    def forget(self, **where: Unpack[Filter]) -> int:
        """Erase the chosen sightings; gives how many."""
        ...

    def prune(self, keep: timedelta, now: float | None = None) -> int:
        """Erase what is older than `keep`; gives how many sightings that was."""
        ...

    def calibrate(self, lengths: Sequence[int], queries: int = 2000, seed: int = 0) -> Calibration:
        """Calibrate on the gallery's own identities, and keep the result."""
        ...

    def info(self) -> dict[str, Any]:
        """What the gallery holds."""
        ...

    def verify(self) -> list[str]:
        """A line for each thing that is damaged."""
        ...
