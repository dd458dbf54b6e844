"""Searching: by sighting, picture, code, embedding or real values."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any, cast

import numpy as np
from fastapi import APIRouter, Query
from numpy.typing import NDArray
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from reid_hash.calibration import NAMES, Kind
from reid_hash.codes import Codes
from reid_hash.gallery.answers import answers
from reid_hash.gallery.base import AnyGallery
from reid_hash.gallery.sighting import Answer, Filter
from reid_hash.web.api import schemas
from reid_hash.web.api.pictures import encode_embeddings, encode_pictures
from reid_hash.web.api.problems import Problem
from reid_hash.web.api.route import ApiRoute, json_answer, needs
from reid_hash.web.api.service import Service
from reid_hash.web.api.sightings import FILES, files_of, read_codes

_Asked = (
    schemas.SightingQuery
    | schemas.PictureQuery
    | schemas.CodeQuery
    | schemas.EmbeddingQuery
    | schemas.ValuesQuery
)
_STORED = {schemas.SightingQuery, schemas.CodeQuery}
"""Kinds of queries that cost so little that several requests are better answered in one go."""


def routes(service: Service) -> APIRouter:
    """The operations that search."""
    router = APIRouter(route_class=ApiRoute, tags=["search"])

    @router.post("/search", response_model=schemas.FoundAnswers, openapi_extra=needs("read"))
    def search(asked: schemas.Search) -> Response:
        """Find the nearest sightings of each query."""
        where = asked.where.filter() if asked.where else Filter()
        _check(service, asked)

        def answer(queries: Sequence[_Asked]) -> Sequence[Answer]:
            with service.reading() as gallery:
                return _search(service, gallery, queries, asked, where)

        kinds = {type(one) for one in asked.queries}
        if len(kinds) == 1 and kinds <= _STORED and asked.far is None and not where:
            kind = (*kinds, asked.k, asked.bits, asked.weighted, asked.asymmetric)
            return _told(service.together.ask(kind, asked.queries, answer), asked)
        return _told(answer(asked.queries), asked)

    @router.post(
        "/search/files",
        response_model=schemas.FoundAnswers,
        openapi_extra={**needs("read"), "requestBody": FILES},
    )
    async def search_files(
        request: Request, asked: Annotated[schemas.SearchByFile, Query()]
    ) -> Response:
        """Find the nearest sightings of each picture of a form."""
        _check(service, asked)
        pictures = await files_of(service, request)
        return await run_in_threadpool(search_pictures, pictures, asked)

    def search_pictures(pictures: list[bytes], asked: schemas.SearchByFile) -> Response:
        given = {"cameras": asked.camera, "since": asked.since, "until": asked.until}
        where = cast(Filter, {k: v for k, v in given.items() if v is not None})
        encoded = encode_pictures(service.served, pictures, service.settings.limits.pixels)
        with service.reading() as gallery:
            looked_for = encoded.values if asked.asymmetric else encoded.codes
            found = _find(gallery, looked_for, asked, where)
        return _told(found, asked)

    def _told(found: Sequence[Answer], asked: schemas.Search | schemas.SearchByFile) -> Response:
        service.metrics.searched.inc(len(found))
        return json_answer({"answers": [_object(one, asked.far is not None) for one in found]})

    return router


def _check(service: Service, asked: schemas.Search | schemas.SearchByFile) -> None:
    """Problem where the gallery cannot answer it."""
    if asked.bits is not None and asked.bits > service.served.bits:
        bits = service.served.bits
        raise Problem(422, "too-many-bits", f"the gallery's codes have {bits} bits")
    if asked.asymmetric and not asked.weighted:
        raise Problem(409, "contradiction", "asymmetric distances are weighted")


def _search(
    service: Service,
    gallery: AnyGallery,
    queries: Sequence[_Asked],
    asked: schemas.Search,
    where: Filter,
) -> list[Answer]:
    """An answer a query: codes and real values are searched for in one go each."""
    like = service.served.empty
    packed = np.zeros((len(queries), like.packed.shape[1]), np.uint8)
    values = np.zeros((len(queries), like.bits))
    real: list[int] = []
    itself: dict[int, int] = {}
    for kind in {type(one) for one in queries}:
        rows = [i for i, one in enumerate(queries) if type(one) is kind]
        those: list[Any] = [queries[i] for i in rows]
        if kind is schemas.ValuesQuery:
            if any(len(one.values) != like.bits for one in those):
                raise Problem(422, "other-codes", f"a query has {like.bits} values, one a bit")
            values[rows] = [one.values for one in those]
            real += rows
        elif kind is schemas.SightingQuery:
            numbers = [one.sighting for one in those]
            codes, there = gallery.codes(ids=numbers)
            row_of = {number: row for row, number in enumerate(there.tolist())}
            for number in numbers:
                if number not in row_of:
                    raise Problem(404, "not-found", f"there is no sighting {number}")
            packed[rows] = codes.packed[[row_of[number] for number in numbers]]
            itself |= dict(zip(rows, numbers, strict=True))
        elif kind is schemas.CodeQuery:
            packed[rows] = read_codes(service, [one.code for one in those]).packed
        else:
            if kind is schemas.PictureQuery:
                sent = [schemas.decoded(one.image) for one in those]
                encoded = encode_pictures(service.served, sent, service.settings.limits.pixels)
            else:
                encoded = encode_embeddings(service.served, [one.embedding for one in those])
            packed[rows] = encoded.codes.packed
            if asked.asymmetric:
                values[rows] = encoded.values
                real += rows
    found: dict[int, Answer] = {}
    coded = [i for i in range(len(queries)) if i not in set(real)]
    if coded:
        codes = Codes(packed[coded], like.bits, like.weights, like.model)
        more = 1 if itself else 0
        for i, one in zip(coded, _find(gallery, codes, asked, where, more), strict=True):
            matches = [m for m in one.matches if m.sighting.id != itself.get(i)][: asked.k]
            found[i] = replace(one, matches=matches)
    if real:
        found |= dict(zip(real, _find(gallery, values[real], asked, where), strict=True))
    return [found[i] for i in range(len(queries))]


def _find(
    gallery: AnyGallery,
    query: Codes | NDArray[np.floating],
    asked: schemas.Search | schemas.SearchByFile,
    where: Filter,
    more: int = 0,
) -> list[Answer]:
    k = asked.k + more
    if asked.far is None:  # then nobody need count what is searched
        return gallery.find(query, k, bits=asked.bits, weighted=asked.weighted, **where)
    kind: Kind = "weighted" if asked.weighted else "hamming"
    if not isinstance(query, Codes):
        kind = "asymmetric"
    length, calibration = asked.bits or gallery.bits, gallery.calibration
    if calibration is None or (length, kind) not in calibration.tables:
        raise Problem(
            *(409, "not-calibrated", f"no calibration of {length} bits for {NAMES[kind]}"),
            "see `reid-hash gallery calibrate`",
        )
    names = [""] * len(query)
    return answers(gallery, query, names, k, asked.bits, asked.weighted, asked.far, where)


def _object(found: Answer, rated: bool) -> dict[str, Any]:
    threshold = found.threshold
    return {
        "matches": [
            {
                "sighting": schemas.sighting_object(match.sighting),
                "distance": match.distance,
                "within": found.within(match) if rated else None,
            }
            for match in found.matches
        ],
        "exact": found.exact,
        "searched": found.searched if rated else None,
        # JSON knows no infinity, which is the threshold where every match counts
        "threshold": None if threshold in (None, float("inf")) else threshold,
        "stranger": found.stranger if rated else None,
        "resolved": found.resolved,
    }
