"""Erasing: forget and prune, with receipts."""

import time
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from reid_hash.gallery.sighting import Filter
from reid_hash.web.api import schemas
from reid_hash.web.api.people import PersonId
from reid_hash.web.api.problems import Problem
from reid_hash.web.api.receipts import described
from reid_hash.web.api.route import ApiRoute, IdempotencyKey, json_answer, needs
from reid_hash.web.api.service import Service
from reid_hash.web.api.sightings import SightingId


def routes(service: Service) -> APIRouter:
    """The operations that erase."""
    router = APIRouter(route_class=ApiRoute, tags=["erasing"])

    def forget(request: Request, where: Filter) -> Response:
        what = described(where)

        def work() -> int:
            with service.writing() as gallery:
                return gallery.forget(**where)

        return _receipt(request, service, {"forget": what}, work)

    @router.post("/forget", response_model=schemas.Receipt, openapi_extra=needs("erase"))
    def forget_sightings(
        request: Request, asked: schemas.Where, idempotency_key: IdempotencyKey = None
    ) -> Response:
        """Erase sightings, and people of whom none is left."""
        where = asked.filter()
        if not where:
            raise Problem(409, "nothing-named", "say what to forget")
        return forget(request, where)

    @router.post("/prune", response_model=schemas.Receipt, openapi_extra=needs("erase"))
    def prune_sightings(
        request: Request, asked: schemas.Prune, idempotency_key: IdempotencyKey = None
    ) -> Response:
        """Erase sightings that are older than an age."""
        now = time.time()

        def work() -> int:
            with service.writing() as gallery:
                return gallery.prune(timedelta(seconds=asked.keep_seconds), now)

        what = {"prune": {"until": now - asked.keep_seconds}}
        return _receipt(request, service, what, work)

    @router.delete(
        "/sightings/{sighting:int}", response_model=schemas.Receipt, openapi_extra=needs("erase")
    )
    def delete_sighting(
        request: Request, sighting: SightingId, idempotency_key: IdempotencyKey = None
    ) -> Response:
        """Erase a sighting."""
        with service.reading() as gallery:
            if not gallery.count(ids=[sighting]):
                raise Problem(404, "not-found", f"there is no sighting {sighting}")
        return forget(request, {"ids": [sighting]})

    @router.delete(
        "/people/{identity:int}", response_model=schemas.Receipt, openapi_extra=needs("erase")
    )
    def delete_person(
        request: Request, identity: PersonId, idempotency_key: IdempotencyKey = None
    ) -> Response:
        """Erase a person: all sightings, and the name."""
        with service.reading() as gallery:
            gallery.count(identities=[identity])  # raises where there is nobody
        return forget(request, {"identities": [identity]})

    @router.get("/receipts", response_model=schemas.ReceiptPage, openapi_extra=needs("read"))
    def list_receipts(
        limit: Annotated[int, Query(ge=1, le=schemas.MOST_AT_ONCE)] = 100,
        cursor: Annotated[str | None, Query(pattern=r"^[0-9]{1,15}$")] = None,
    ) -> Response:
        """List what was erased, the newest first."""
        found = service.receipts.list(before=int(cursor or 2**62), limit=limit)
        following = str(found[-1]["receipt"]) if len(found) == limit else None
        return json_answer({"receipts": found, "next": following})

    return router


def _receipt(request: Request, service: Service, what: dict, work) -> Response:  # type: ignore[no-untyped-def,type-arg]
    receipt = service.receipts.erase(request.scope["caller"].name, what, work)
    request.scope["told"] |= {"receipt": receipt["receipt"], "sightings": receipt["sightings"]}
    service.metrics.erased.inc(receipt["sightings"])
    service.events.note("erased", receipt["receipt"])
    return json_answer(receipt)
