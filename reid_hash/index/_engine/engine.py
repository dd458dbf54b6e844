"""Searches among segments: queries in batches, chunks of them on threads, the fetch learned."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future

import numpy as np
from numpy.typing import NDArray

from reid_hash.codes import Codes
from reid_hash.index._engine.probe import Probed, probe
from reid_hash.index._engine.query_tables import QueryTables, check_values, query_tables
from reid_hash.index._engine.scan import Answer, Found, look, nearest, to_fetch
from reid_hash.index._engine.segments import Scanned, Searchable
from reid_hash.index._engine.threads import faiss_threads, pool
from reid_hash.index.base import Matches, check_search, no_matches

_CHUNK = 16  # queries in a call of fast scan: a pass over long codes, two over short ones
_BATCH = 256  # queries whose tables and candidates are held at a time
_SMALL = 2**19  # codes times queries from which on handing work to threads pays
_SPARE = 1.25  # what to fetch more than was needed before
_FORGET = 0.95  # for each chunk of queries that needed less

Slots = Sequence[NDArray[np.int64] | None]


class Engine:
    """What searches of one index share.

    Args:
        threads: that search at a time.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads
        # How many codes of a segment to fetch, learned, for each length of code and k.
        self._fetch: dict[tuple[int, int], float] = {}

    def search(
        self,
        segments: Sequence[Searchable],
        like: Codes,
        width: int,
        scanned: int,
        query: Codes | NDArray[np.floating],
        k: int,
        only: NDArray[np.int64] | None,
    ) -> Matches:
        """The k nearest codes of each query, as `CodeIndex.search`.

        Args:
            segments: all codes, or those that are worth a look.
            like: codes of the length, weights and model that count.
            width: bytes of a stored code; further bits than `like` has are free.
            scanned: how many of these fast scan compares.
            query: codes, or real values [queries, bits].
            k: how many to find, ≥ 1.
            only: ids to search among.
        """
        only = check_search(k, only)
        if not isinstance(query, Codes):
            query = check_values(query, like.bits)
        slots: Slots = [None] * len(segments)
        if only is not None:
            segments, slots = among(segments, only)
        possible = sum(len(p if s is None else s) for p, s in zip(segments, slots, strict=True))
        wanted = min(k, possible)
        matches = no_matches(len(query), wanted)
        for start in range(0, max(len(query), 1), _BATCH):  # once at least, for its checks
            some = query if len(query) <= _BATCH else query[start : start + _BATCH]
            queries = query_tables(some, like, width, scanned)
            if not wanted:
                break
            fetch = self._fetch.get((like.bits, wanted), 1.5 * wanted + 16)
            rest = np.arange(len(queries))
            if only is None and any(segment.tables is not None for segment in segments):
                for rows, found in self._looked_up(segments, queries, wanted, int(fetch)):
                    matches.distances[start + rows, :wanted] = found.distances
                    matches.ids[start + rows, :wanted] = found.ids
                    rest = np.setdiff1d(rest, rows)
                queries = queries.rows(rest)
            for first, answer in self._answers(segments, slots, queries, wanted, int(fetch)):
                rows = start + rest[first : first + len(answer.matches.ids)]
                matches.distances[rows, :wanted] = answer.matches.distances
                matches.ids[rows, :wanted] = answer.matches.ids
                if only is None:
                    fetch = max(_SPARE * answer.needed + 8, _FORGET * fetch)
                    self._fetch[like.bits, wanted] = fetch
        return matches

    def _looked_up(
        self, segments: Sequence[Searchable], queries: QueryTables, k: int, fetch: int
    ) -> Iterator[tuple[NDArray[np.int64], Matches]]:
        """(queries, matches) of those that the hash tables can answer."""
        chunks = [(i, queries.rows(slice(i, i + _CHUNK))) for i in range(0, len(queries), _CHUNK)]
        if self.threads == 1 or len(chunks) == 1:
            answers = (_from_tables(segments, chunk, k, fetch) for _, chunk in chunks)
        else:
            workers = pool(self.threads)
            futures = [
                workers.submit(_from_tables, segments, chunk, k, fetch) for _, chunk in chunks
            ]
            answers = (future.result() for future in futures)
        for (first, _), (rows, matches) in zip(chunks, answers, strict=True):
            yield first + rows, matches

    def _answers(
        self, segments: Sequence[Searchable], slots: Slots, queries: QueryTables, k: int, fetch: int
    ) -> Iterator[tuple[int, Answer]]:
        """One chunk of queries after the other: (first query, answer)."""
        size = _CHUNK
        if len(segments) < self.threads:  # too few to share among threads: share the queries
            size = min(_CHUNK, -(-len(queries) // self.threads))
        chunks = [(i, queries.rows(slice(i, i + size))) for i in range(0, len(queries), size)]
        pairs = list(zip(segments, slots, strict=True))
        with faiss_threads(1):
            work = len(queries) * sum(segment.work for segment in segments)
            if self.threads == 1 or work < _SMALL:
                for first, chunk in chunks:
                    found = [look(segment, chunk, k, fetch, some) for segment, some in pairs]
                    yield first, nearest(segments, slots, found, chunk, k, fetch)
                return
            workers = pool(self.threads)
            if len(chunks) == 1:
                [(first, chunk)] = chunks
                fetches = [to_fetch(segment, fetch, some) for segment, some in pairs]
                scans = self._scanned(segments, chunk, fetches)
                found = [
                    look(segment, chunk, k, fetch, some, scanned)
                    for (segment, some), scanned in zip(pairs, scans, strict=True)
                ]
                yield first, nearest(segments, slots, found, chunk, k, fetch)
                return
            # all queries look at one segment before the next, so that it stays in the shared cache
            looking = [
                [workers.submit(look, segment, chunk, k, fetch, some) for _, chunk in chunks]
                for segment, some in pairs
            ]
            ranking = [
                workers.submit(_ranked, segments, slots, chunk, k, fetch, futures)
                for (_, chunk), futures in zip(chunks, zip(*looking, strict=True), strict=True)
            ]
            for (first, _), future in zip(chunks, ranking, strict=True):
                yield first, future.result()

    def _scanned(
        self, segments: Sequence[Searchable], queries: QueryTables, fetches: Sequence[int]
    ) -> list[Scanned | None]:
        """Fast scan of each segment for one chunk of queries, this thread taking its share.

        Threads scan and do nothing else: each hand-over of Python's lock takes as long as the scan
        of 50,000 codes.
        """

        def some(share: int) -> list[Scanned | None]:
            return [
                segment.scan(queries.vectors, fetch) if fetch else None
                for segment, fetch in pairs[share::shares]
            ]

        pairs = list(zip(segments, fetches, strict=True))
        shares = min(self.threads, len(pairs))
        others = [pool(self.threads).submit(some, share) for share in range(1, shares)]
        by_share = [some(0), *(other.result() for other in others)]
        return [by_share[place % shares][place // shares] for place in range(len(pairs))]


def _from_tables(
    segments: Sequence[Searchable], queries: QueryTables, k: int, fetch: int
) -> Probed:
    """What the hash tables tell of a chunk of queries, with the codes that are in none."""
    tabled = [segment for segment in segments if segment.tables is not None]
    rows, matches = probe(tabled, queries, k)
    others = [segment for segment in segments if segment.tables is None]
    wanted = min(k, sum(map(len, others)))
    if not len(rows) or not wanted:
        return Probed(rows, matches)
    queries = queries.rows(rows)
    with faiss_threads(1):
        found = [look(segment, queries, wanted, fetch, None) for segment in others]
        more = nearest(others, [None] * len(others), found, queries, wanted, fetch).matches
    distances, ids = (np.concatenate(both, axis=1) for both in zip(matches, more, strict=True))
    order = np.lexsort((ids, distances))[:, :k]
    return Probed(rows, Matches(*(np.take_along_axis(a, order, axis=1) for a in (distances, ids))))


def _ranked(
    segments: Sequence[Searchable],
    slots: Slots,
    queries: QueryTables,
    k: int,
    fetch: int,
    looking: Sequence[Future[Found]],
) -> Answer:
    """`nearest` when all looks are done, which began before: it waits for none to get a turn."""
    return nearest(segments, slots, [future.result() for future in looking], queries, k, fetch)


def among(
    segments: Sequence[Searchable], only: NDArray[np.int64]
) -> tuple[list[Searchable], list[NDArray[np.int64] | None]]:
    """The segments that hold some of these ids (ascending), and the places where they hold them."""
    holding: list[Searchable] = []
    slots: list[NDArray[np.int64] | None] = []
    for segment in segments:
        places = segment.places(only)
        if len(places):
            holding.append(segment)
            slots.append(places)
    return holding, slots
