"""Listening to events: a stream that goes on where it broke off (server-sent events)."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Header
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from reid_hash.errors import ReidHashError
from reid_hash.utils.files import json_text
from reid_hash.web.api.route import ApiRoute, needs
from reid_hash.web.api.service import Service

_LOOK = 0.2  # seconds
_ALIVE = 15.0  # seconds after which a comment says that the stream is alive


def routes(service: Service) -> APIRouter:
    """The operation that tells events."""
    router = APIRouter(route_class=ApiRoute, tags=["events"])

    @router.get(
        "/events",
        response_class=Response,
        responses={
            200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}},
        },
        openapi_extra=needs("read"),
    )
    async def listen(
        request: Request,
        last_event_id: Annotated[
            str | None,
            Header(
                pattern=r"^[0-9]{1,15}$",
                description="The last event that is known; new ones alone when left out.",
            ),
        ] = None,
    ) -> Response:
        """Tell events as they happen: sighting, people, erased; gap where some are not kept.

        A stream without end; browsers and clients of server-sent events send Last-Event-ID by
        themselves when they connect again.
        """
        after = service.events.last if last_event_id is None else int(last_event_id)
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return StreamingResponse(
            _stream(service, request, after), 200, headers, "text/event-stream"
        )

    return router


async def _stream(service: Service, request: Request, after: int) -> AsyncIterator[str]:
    caller, events = request.scope["caller"], service.events
    yield "retry: 2000\n\n"
    first = await run_in_threadpool(events.first)
    if after + 1 < first or after > events.last:
        after = first - 1
        yield f"id: {after}\nevent: gap\ndata: {{}}\n\n"
    silent = 0.0
    while not service.ended.is_set() and service.knows(caller):
        if events.last > after:
            try:
                told, after = await run_in_threadpool(events.read, after)
            except ReidHashError:  # the gallery is gone
                return
            for one in told:
                text = json_text({"time": one["time"], **one["data"]})
                yield f"id: {one['id']}\nevent: {one['type']}\ndata: {text}\n\n"
            silent = 0.0
            continue
        await asyncio.sleep(_LOOK)
        silent += _LOOK
        if silent >= _ALIVE:
            silent = 0.0
            yield ": alive\n\n"
