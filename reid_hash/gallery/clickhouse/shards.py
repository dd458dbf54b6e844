"""Several galleries searched as one: each answers its exact k nearest, and these are merged.

Each is opened in a process of its own, for a process has one embedded engine. The sightings are
divided among them, by id or by site: no id is in two. An answer is whole or an error: where one of
them cannot answer, what the others found is not passed off as the nearest of all.
"""

import multiprocessing
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any, NamedTuple, Self, Unpack

import numpy as np
from numpy.typing import NDArray

from reid_hash.codes import Codes
from reid_hash.errors import GalleryError, ReidHashError
from reid_hash.gallery.clickhouse.address import ClickHouseAddress
from reid_hash.gallery.clickhouse.scan import Hits, make_queries, merge
from reid_hash.gallery.sighting import Filter

_START = 60.0  # seconds that a process gets to open its gallery
_ANSWER = 600.0  # seconds that it gets to answer
_STOP = 10.0


class _Shard(NamedTuple):
    address: ClickHouseAddress
    process: Any
    pipe: "Connection[Any, Any]"


class Shards:
    """Galleries of one model and length, each in a process of its own; a context manager.

    Args:
        places: addresses of the galleries.

    Raises:
        GalleryError: one of them cannot be opened, or holds other codes than the first.
    """

    def __init__(self, places: Sequence[ClickHouseAddress]) -> None:
        if not places:
            raise GalleryError("name the galleries that are searched as one")
        context = multiprocessing.get_context("spawn")  # an engine does not live through a fork
        self._shards: list[_Shard] = []
        try:
            for address in places:
                ours, theirs = context.Pipe()
                process = context.Process(target=_serve, args=(address, theirs), daemon=True)
                process.start()
                theirs.close()
                self._shards.append(_Shard(address, process, ours))
            said: list[Codes] = [self._hear(i, _START) for i in range(len(places))]
            self.template = said[0]
            for address, other in zip(places, said, strict=True):
                if other != self.template:
                    raise GalleryError(
                        f"{address} holds other codes than {places[0]}: length, weights and model "
                        "must be the same"
                    )
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def find(
        self,
        query: Codes | NDArray[np.floating],
        k: int = 10,
        *,
        bits: int | None = None,
        weighted: bool = True,
        **where: Unpack[Filter],
    ) -> list[Hits]:
        """The k nearest in all shards, as ids [k] int64 and distances [k] float64, for each query.

        Args: as `AnyGallery.find`; identities by name are looked up in each shard.

        Raises:
            GalleryError: a shard cannot answer.
        """
        for i, shard in enumerate(self._shards):
            try:
                shard.pipe.send((query, k, bits, weighted, where))
            except OSError as error:
                raise self._gone(i) from error
        found = [self._hear(i, _ANSWER) for i in range(len(self._shards))]
        return [merge(parts, k) for parts in zip(*found, strict=True)]

    def _hear(self, i: int, seconds: float) -> Any:
        """What a shard says; GalleryError where it fails, dies, or says nothing."""
        shard = self._shards[i]
        try:
            if not shard.pipe.poll(seconds):
                raise GalleryError(f"{self._called(i)} did not answer in {seconds:.0f} seconds")
            sound, said = shard.pipe.recv()
        except (EOFError, OSError) as error:
            raise self._gone(i) from error
        if not sound:
            raise GalleryError(f"{self._called(i)} cannot answer: {said}")
        return said

    def _called(self, i: int) -> str:
        return f"shard {i + 1} of {len(self._shards)}, {self._shards[i].address},"

    def _gone(self, i: int) -> GalleryError:
        return GalleryError(
            f"{self._called(i)} ended; nothing is answered, for what the others found may not be "
            "the nearest"
        )

    def close(self) -> None:
        """End the processes."""
        for shard in self._shards:
            shard.pipe.close()  # which is how they know
        for shard in self._shards:
            shard.process.join(_STOP)
            if shard.process.is_alive():
                shard.process.kill()


def _serve(address: ClickHouseAddress, pipe: "Connection[Any, Any]") -> None:
    """Answer searches of one shard until the pipe ends."""
    from reid_hash.gallery.clickhouse.gallery import ClickHouseGallery

    try:
        gallery = ClickHouseGallery.open(address, read_only=True)
    except ReidHashError as error:
        pipe.send((False, str(error)))
        return
    with gallery:
        template = gallery.codes(ids=[])[0]
        pipe.send((True, template))
        while True:
            try:
                query, k, bits, weighted, where = pipe.recv()
            except (EOFError, OSError):
                return
            try:
                length = template.bits if bits is None else bits
                like = template.prefix(length)
                cut = query.prefix(length) if isinstance(query, Codes) else query[:, :length]
                found = gallery.nearest(make_queries(cut, like, weighted), k, where)
                pipe.send((True, found))
            except ReidHashError as error:
                pipe.send((False, str(error)))
