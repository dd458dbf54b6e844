"""Sightings: adding, listing, looking at one."""

import hashlib
import math
from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Header, Path, Query
from python_multipart.multipart import parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from reid_hash.codes import Codes
from reid_hash.errors import CodeError
from reid_hash.gallery.base import AnyGallery
from reid_hash.gallery.sighting import Filter, Sighting
from reid_hash.web.api import schemas
from reid_hash.web.api.pictures import check_thumbnail, encode_embeddings, encode_pictures
from reid_hash.web.api.problems import Problem
from reid_hash.web.api.route import ApiRoute, IdempotencyKey, json_answer, needs
from reid_hash.web.api.service import Service

SightingId = Annotated[int, Path(ge=1, le=2**53 - 1, description="Number of a sighting.")]


def read_codes(service: Service, given: Sequence[str]) -> Codes:
    """Codes of the gallery from base64.

    Raises:
        Problem: one is of another length.
    """
    like = service.served.empty
    packed = np.zeros((len(given), like.packed.shape[1]), np.uint8)
    for row, text in enumerate(given):
        data = schemas.decoded(text)
        if len(data) != packed.shape[1]:
            raise Problem(
                *(422, "other-codes", f"a code has {packed.shape[1]} bytes, not {len(data)}"),
                f"the gallery holds codes of {like.bits} bits",
            )
        packed[row] = np.frombuffer(data, np.uint8)
    try:
        return Codes(packed, like.bits, like.weights, like.model)
    except CodeError as error:
        raise Problem(422, "other-codes", str(error)) from error


def routes(service: Service) -> APIRouter:
    """The operations on sightings."""
    router = APIRouter(route_class=ApiRoute, tags=["sightings"])

    @router.post(
        "/sightings",
        status_code=201,
        response_model=schemas.Added,
        openapi_extra=needs("write"),
    )
    def add_sightings(
        request: Request, asked: schemas.NewSightings, idempotency_key: IdempotencyKey = None
    ) -> Response:
        """Add sightings: pictures, codes or embeddings, all or none."""
        return _added(request, *_encoded(service, asked.sightings))

    @router.post(
        "/sightings/files",
        status_code=201,
        response_model=schemas.Added,
        openapi_extra={**needs("write"), "requestBody": FILES},
    )
    async def add_files(
        request: Request,
        asked: Annotated[schemas.FileSeen, Query()],
        idempotency_key: IdempotencyKey = None,
    ) -> Response:
        """Add the pictures of a form, all or none."""
        pictures = await files_of(service, request)
        return await run_in_threadpool(add_pictures, request, pictures, asked)

    def add_pictures(request: Request, pictures: list[bytes], asked: schemas.FileSeen) -> Response:
        encoded = encode_pictures(service.served, pictures, service.settings.limits.pixels)
        sightings = [
            Sighting(asked.camera, asked.time, asked.source, thumbnail=small, name=asked.name)
            for small in encoded.thumbnails
        ]
        return _added(request, encoded.codes, sightings)

    def _added(request: Request, codes: Codes, sightings: Sequence[Sighting]) -> Response:
        with service.writing() as gallery:
            ids = gallery.add_codes(codes, sightings).tolist()
        request.scope["told"]["sightings"] = len(ids)
        service.metrics.added.inc(len(ids))
        service.events.poke()
        return json_answer({"ids": ids}, 201)

    @router.get("/sightings", response_model=schemas.SightingPage, openapi_extra=needs("read"))
    def list_sightings(asked: Annotated[schemas.Listing, Query()]) -> Response:
        """List sightings, by number or from the newest on."""
        with service.reading() as gallery:
            return json_answer(page(gallery, asked.filter(), asked))

    @router.post(
        "/sightings/query", response_model=schemas.SightingPage, openapi_extra=needs("read")
    )
    def query_sightings(asked: schemas.Query) -> Response:
        """List sightings by any filter, on request with thumbnails and codes."""
        where = asked.where.filter() if asked.where else Filter()
        with service.reading() as gallery:
            return json_answer(page(gallery, where, asked, asked.thumbnails, asked.codes))

    @router.post("/sightings/count", response_model=schemas.Count, openapi_extra=needs("read"))
    def count_sightings(asked: schemas.Where) -> Response:
        """Count sightings by any filter."""
        with service.reading() as gallery:
            return json_answer({"sightings": gallery.count(**asked.filter())})

    @router.get(
        "/sightings/{sighting:int}",
        response_model=schemas.SightingAnswer,
        openapi_extra=needs("read"),
    )
    def get_sighting(sighting: SightingId) -> Response:
        """Look at a sighting."""
        with service.reading() as gallery:
            return json_answer(schemas.sighting_object(_one(gallery, sighting)))

    @router.get(
        "/sightings/{sighting:int}/thumbnail",
        response_class=Response,
        responses={
            200: {
                "content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}},
                "headers": {"ETag": {"schema": {"type": "string"}, "required": True}},
            },
            304: {"description": "It has not changed."},
        },
        openapi_extra=needs("read"),
    )
    def get_thumbnail(
        sighting: SightingId,
        if_none_match: Annotated[str | None, Header(max_length=1000)] = None,
    ) -> Response:
        """Get the small picture of a sighting."""
        with service.reading() as gallery:
            picture = _one(gallery, sighting, thumbnails=True).thumbnail
        if picture is None:
            raise Problem(404, "not-found", f"sighting {sighting} has no thumbnail")
        tag = f'"{hashlib.blake2b(picture, digest_size=16).hexdigest()}"'
        # asked for again at each look: what was erased shall not be shown from a cache
        headers = {"etag": tag, "cache-control": "private, no-cache"}
        known = [one.strip().removeprefix("W/") for one in (if_none_match or "").split(",")]
        if tag in known or known == ["*"]:
            return Response(None, 304, headers)
        return Response(picture, 200, headers, "image/jpeg")

    return router


FILES: dict[str, Any] = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "properties": {
                    "files": {
                        "type": "array",
                        "minItems": 1,
                        "maxItems": 100,
                        "items": {"type": "string", "format": "picture-file"},
                        "description": "JPEG, PNG, WebP or BMP: each the crop of one person.",
                    }
                },
                "required": ["files"],
                "additionalProperties": False,
            }
        }
    },
}
"""A form of pictures, as the OpenAPI file describes it."""

_MOST_FILES = 100


async def files_of(service: Service, request: Request) -> list[bytes]:
    """The files of a form, checked as those that the page is sent.

    Raises:
        Refused: they are no pictures or too large.
        Problem: there are too many of them.
    """

    async def whole() -> AsyncIterator[bytes]:
        body = await request.body()
        for start in range(0, len(body), 2**16):
            yield body[start : start + 2**16]

    kind = request.headers.get("content-type", "")
    boundary = parse_options_header(kind)[1].get(b"boundary", b"")
    if boundary and (await request.body()).count(b"--" + boundary) > _MOST_FILES + 1:
        raise Problem(422, "invalid", f"a form has at most {_MOST_FILES} files")
    files = await service.inbox.receive(kind, whole(), "files")
    try:
        return [file.read_bytes() for file in files]
    finally:
        for file in files:
            service.inbox.remove(file)


def _encoded(
    service: Service,
    asked: Sequence[schemas.PictureSeen | schemas.CodeSeen | schemas.EmbeddingSeen],
) -> tuple[Codes, list[Sighting]]:
    """Codes of what was sent, and its sightings; each kind is encoded in one go."""
    packed = np.zeros((len(asked), service.served.empty.packed.shape[1]), np.uint8)
    seen: list[Sighting] = [one.sighting() for one in asked]
    pictures = [i for i, one in enumerate(asked) if isinstance(one, schemas.PictureSeen)]
    codes = [i for i, one in enumerate(asked) if isinstance(one, schemas.CodeSeen)]
    embeddings = [i for i, one in enumerate(asked) if isinstance(one, schemas.EmbeddingSeen)]
    for i in (*codes, *embeddings):
        thumbnail = asked[i].thumbnail  # type: ignore[union-attr]
        if thumbnail is not None:
            seen[i] = asked[i].sighting(check_thumbnail(schemas.decoded(thumbnail)))
    if codes:
        given = [asked[i].code for i in codes]  # type: ignore[union-attr]
        packed[codes] = read_codes(service, given).packed
    if pictures:
        sent = [schemas.decoded(asked[i].image) for i in pictures]  # type: ignore[union-attr]
        encoded = encode_pictures(service.served, sent, service.settings.limits.pixels)
        packed[pictures] = encoded.codes.packed
        for i, small in zip(pictures, encoded.thumbnails, strict=True):
            seen[i] = asked[i].sighting(small)
    if embeddings:
        vectors = [asked[i].embedding for i in embeddings]  # type: ignore[union-attr]
        packed[embeddings] = encode_embeddings(service.served, vectors).codes.packed
    like = service.served.empty
    return Codes(packed, like.bits, like.weights, like.model), seen


def page(
    gallery: AnyGallery,
    where: Filter,
    asked: schemas.Listing | schemas.Query,
    thumbnails: bool = False,
    codes: bool = False,
) -> dict[str, Any]:
    """Some sightings as JSON, like `schemas.SightingPage`."""
    limit, cursor = asked.limit, asked.cursor
    newest = cursor.startswith("n") if cursor else asked.order == "newest"
    if newest:
        found, following = _newest(gallery, where, limit, cursor, thumbnails)
    else:
        after = int(cursor[1:]) if cursor else 0
        found = gallery.sightings(after=after, limit=limit, thumbnails=thumbnails, **where)
        following = f"i{found[-1].id}" if len(found) == limit else None
    packed: dict[int, bytes] = {}
    if codes and found:
        of = gallery.codes(ids=[one.id for one in found if one.id is not None])
        packed = {i: row.tobytes() for i, row in zip(of[1].tolist(), of[0].packed, strict=True)}
    told = [schemas.sighting_object(one, thumbnails, packed.get(one.id or 0)) for one in found]
    return {"sightings": told, "next": following}


def _newest(
    gallery: AnyGallery, where: Filter, limit: int, cursor: str | None, thumbnails: bool
) -> tuple[list[Sighting], str | None]:
    """A page from the newest on: a cursor is (time, id, how many of that time came before)."""
    skipped = 0
    if cursor:
        shown, number, before = cursor[1:].split("_")
        moment, last, skipped = float(shown), int(number), int(before)
        until = math.nextafter(moment, math.inf)
        bound = where.get("until")
        where = {**where, "until": until if bound is None else min(until, bound)}
    found = gallery.sightings(newest=True, limit=limit + skipped, thumbnails=thumbnails, **where)
    if cursor:
        found = [one for one in found if one.time != moment or (one.id or 0) < last]
    full = len(found) >= limit
    found = found[:limit]
    if not full or not found:
        return found, None
    end = found[-1]
    same = sum(one.time == end.time for one in found)
    if cursor and end.time == moment:
        same += skipped
    return found, f"n{end.time!r}_{end.id}_{same}"


def _one(gallery: AnyGallery, number: int, thumbnails: bool = False) -> Sighting:
    found = gallery.sightings(ids=[number], thumbnails=thumbnails)
    if not found:
        raise Problem(404, "not-found", f"there is no sighting {number}")
    return found[0]
