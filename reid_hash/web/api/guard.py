"""The door of the service: every request passes here before FastAPI sees it.

In this order: where it comes from, whose key it has, how often that one asked; then the body, with
its limits; then whether there is room to work on it. Whoever is slow to send holds no worker.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect, Request

from reid_hash.web.api.keys import ANYBODY, Caller
from reid_hash.web.api.problems import Problem, problem_of
from reid_hash.web.api.service import PREFIX, Service
from reid_hash.web.origin import address_of, check_origin

_HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
_OPEN = {f"{PREFIX}/health", f"{PREFIX}/ready"}
"""What whoever reaches the server may ask: a supervisor has no key."""

_WRITES = {"POST", "PUT", "PATCH", "DELETE"}
_NO_KEY = Caller("nobody", frozenset())

App = Callable[[Any, Any, Any], Awaitable[None]]


class Guard:
    """ASGI middleware around the service's application.

    Args:
        app: the application.
        service: what it serves.
    """

    def __init__(self, app: App, service: Service) -> None:
        self.app, self._service = app, service

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request, or hand it on."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":  # there are no web sockets
            return
        began, status = time.perf_counter(), 0

        async def sending(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(raw=list(message["headers"]))
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                message = {**message, "headers": headers.raw}
            await send(message)

        request = Request(scope, receive)
        scope["caller"], scope["told"] = _NO_KEY, {}
        try:
            await self._serve(request, sending)
        except ClientDisconnect:
            status = 499  # as nginx writes it
        except Exception as error:
            if status:  # the answer has begun: it ends here
                raise
            await problem_of(error).response()(scope, receive, sending)
        finally:
            await self._note(request, status, time.perf_counter() - began)

    async def _serve(self, request: Request, send: Any) -> None:
        scope, service = request.scope, self._service
        path = scope["path"]
        if ".." in path.split("/") or "\\" in path or "\0" in path:
            raise Problem(404, "not-found", "there is nothing here")
        check_origin(request, service.settings)
        scope["caller"] = self._caller(request)
        limits = service.settings.limits
        with contextlib.ExitStack() as stack:
            body = await self._body(request, stack)
            slots = service.streams if path == f"{PREFIX}/events" else service.working
            stack.enter_context(slots.take())
            sent = False

            async def receiving() -> Any:
                nonlocal sent
                if sent:
                    return await request.receive()  # that the visitor left
                sent = True
                return {"type": "http.request", "body": body, "more_body": False}

            assert len(body) <= limits.body
            await self.app(scope, receiving, send)

    def _caller(self, request: Request) -> Caller:
        service, path = self._service, request.scope["path"]
        address = address_of(request, service.settings)
        request.scope["address"] = address
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if not service.needs_key:
            service.rate.take(f"address {address}")
            return ANYBODY
        caller = service.keys.caller(key.strip()) if scheme.lower() == "bearer" else None
        if caller is not None:
            service.rate.take(f"key {caller.name}")
            return caller
        service.rate.take(f"address {address}")
        if path in _OPEN:
            return _NO_KEY
        what = "the key is not known" if key else "a key is needed"
        raise Problem(
            *(401, "no-key", what, "send it as Authorization: Bearer KEY"),
            headers={"www-authenticate": "Bearer"},
        )

    async def _body(self, request: Request, stack: contextlib.ExitStack) -> bytes:
        """The whole body; nobody works on it before it is there."""
        limits, bodies = self._service.settings.limits, self._service.bodies
        most = limits.body
        told = request.headers.get("content-length", "0")
        if told.isdecimal() and int(told[:20]) > most:
            raise _too_large(most)
        parts = bytearray()
        counted = 0
        stack.callback(lambda: bodies.grow(-counted))
        ends = time.monotonic() + limits.sending
        more = True
        while more:
            left = min(limits.stalled, ends - time.monotonic())
            try:
                async with asyncio.timeout(max(left, 0.001)):  # makes no task, as wait_for does
                    message = await request.receive()
            except TimeoutError as error:
                raise Problem(
                    *(408, "too-slow", "the request did not come in time; send it again"),
                    headers={"connection": "close"},
                ) from error
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            part, more = message.get("body", b""), message.get("more_body", False)
            if len(parts) + len(part) > most:
                raise _too_large(most)
            bodies.grow(len(part))
            counted += len(part)
            parts += part
        return bytes(parts)

    async def _note(self, request: Request, status: int, seconds: float) -> None:
        scope, service = request.scope, self._service
        template = scope["told"].pop("route", "none")
        service.metrics.count(request.method, template, status, seconds)
        if scope["path"] in _OPEN or status == 429:  # what is refused for its number fills no disk
            return
        told = {
            "caller": scope["caller"].name,
            "address": scope.get("address", ""),
            "method": request.method,
            "path": scope["path"] if template != "none" else "",
            "parameters": sorted(
                {pair.split("=")[0][:40] for pair in _query(scope).split("&") if pair}
            ),
            "status": status,
            "seconds": round(seconds, 4),
            **scope["told"],
        }
        done = request.method in _WRITES and status < 400
        if done and template != "search":
            await run_in_threadpool(service.audit.write, told, True)
        else:
            service.audit.write(told, False)


def _query(scope: Any) -> str:
    return str(scope.get("query_string", b"").decode("ascii", "replace"))


def _too_large(most: int) -> Problem:
    return Problem(
        413,
        "too-large",
        f"the request has more than {most // 2**20} MiB",
        "send less at a time",
        headers={"connection": "close"},
    )
