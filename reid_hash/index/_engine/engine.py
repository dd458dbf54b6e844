"""Search over segments: batches of queries, chunks of them on threads, adaptive fetch sizes."""

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

_CHUNK = 16  # queries per fast-scan call: one pass over long codes, two over short ones
_BATCH = 256  # queries whose tables and candidates are in memory at once
_SMALL = 2**19  # codes times queries; below, handing work to threads costs more than it saves
_SPARE = 1.25  # fetch this factor more than the last search needed
_FORGET = 0.95  # shrink the fetch by this factor for each chunk of queries that needed less

Slots = Sequence[NDArray[np.int64] | None]


class Engine:
    """State shared by all searches of one index.

    Args:
        threads: number of search threads.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads
        # Codes to fetch per segment, learned for each (code length, k).
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
        """Find the k nearest codes of each query, as `CodeIndex.search` does.

        Args:
            segments: the segments to search.
            like: codes with the length, weights and model of the stored ones.
            width: bytes per stored code; bits beyond the length of `like` cost nothing.
            scanned: number of leading bytes that fast scan compares.
            query: codes, or asymmetric queries [queries, bits] float.
            k: number of codes to find, ≥ 1.
            only: ids to search among. Default: all.
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
        for start in range(0, max(len(query), 1), _BATCH):  # at least once, to check the query
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
        """Yield (rows, matches) for the queries that the hash tables can answer."""
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
        """Yield (first query, answer) for one chunk of queries after another."""
        size = _CHUNK
        if len(segments) < self.threads:  # too few segments to share: share the queries
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
            # All queries scan one segment before the next, so that it stays in the shared cache.
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
        """Fast-scan each segment for one chunk of queries; the calling thread takes a share.

        Worker threads only scan: each hand-over of Python's lock takes as long as scanning 50,000
        codes.
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
    """Answer queries from the hash tables, plus a scan of the segments without tables."""
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
    """Call `nearest` on finished looks, all submitted earlier, so waiting cannot deadlock."""
    return nearest(segments, slots, [future.result() for future in looking], queries, k, fetch)


def among(
    segments: Sequence[Searchable], only: NDArray[np.int64]
) -> tuple[list[Searchable], list[NDArray[np.int64] | None]]:
    """Return the segments that hold some of the ids (ascending), and their positions there."""
    holding: list[Searchable] = []
    slots: list[NDArray[np.int64] | None] = []
    for segment in segments:
        places = segment.places(only)
        if len(places):
            holding.append(segment)
            slots.append(places)
    return holding, slots
