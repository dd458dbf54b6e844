"""The door of the page: every request passes here before Gradio sees it.

Gradio has some sixty routes, of which the page's own script uses ten. Only those are open, to
requests that come from the page itself, with values that were checked, once the password was given.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from reid_hash.utils.files import json_text
from reid_hash.web.inbox import Inbox, Refused
from reid_hash.web.inputs import Kinds, checked
from reid_hash.web.login import Login, Throttled, login_page
from reid_hash.web.origin import address_of, check_origin
from reid_hash.web.settings import Settings

COOKIE = "reid_hash_visit"
"""Cookie that holds the token of a visit."""

MOST_BODY = 12 * 2**20
"""Bytes of a request that calls a function; a picture of a webcam is in it."""

_MOST_FORM = 16 * 2**10  # bytes of the form with the password; nobody is logged in yet
_STALLED = 60.0  # seconds without a byte after which a request is given up
_POLICY = (
    "default-src 'self' data: blob: 'unsafe-inline' 'unsafe-eval'; "
    "frame-ancestors 'none'; form-action 'self'; base-uri 'self'"
)
_HEADERS = {
    # what a browser may load: from this server alone, so that no other learns of a visit
    "content-security-policy": _POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
}
_READ = {"/", "/config", "/theme.css", "/favicon.ico", "/gradio_api/queue/data"}
_READ_BELOW = ("/assets/", "/static/", "/gradio_api/heartbeat/")
_CALLS = {"/gradio_api/queue/join", "/gradio_api/run/predict"}
_STREAM = re.compile(r"/gradio_api/stream/\w+")  # frames of a webcam
_STREAM_ENDS = re.compile(r"/gradio_api/stream/\w+/close")
_ENDS = {"/gradio_api/cancel", "/gradio_api/reset"}  # what a visitor asked for

App = Callable[[Any, Any, Any], Awaitable[None]]


class Gate:
    """ASGI middleware around Gradio's application.

    Args:
        app: the application.
        settings: whom it is for, and at which addresses.
        kinds: of the page's inputs.
        inbox: where files that visitors send are kept.
        title: of the page.

    Attributes:
        app, kinds, inbox: as given.
    """

    def __init__(
        self, app: App, settings: Settings, kinds: Kinds, inbox: Inbox, title: str
    ) -> None:
        self.app, self._settings, self._title = app, settings, title
        self.kinds, self.inbox = kinds, inbox
        self._login = None if settings.password is None else Login(settings.password)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request, or hand it on."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":  # the page opens no web sockets
            return

        async def sending(message: Any) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=list(message["headers"]))
                for name in [name for name in headers if name.startswith("access-control-")]:
                    del headers[name]  # Gradio lets other origins read
                headers.update(_HEADERS)
                message = {**message, "headers": headers.raw}
            await send(message)

        request = Request(scope, receive)
        try:
            response = await self._answer(request)
        except Refused as refused:
            response = Response(refused.why, refused.status, media_type="text/plain")
        except ClientDisconnect:
            return
        if response is None:
            await self.app(scope, receive, sending)
        elif isinstance(response, bytes):
            await self.app(*_with_body(scope, receive, response), sending)
        else:
            await response(scope, receive, sending)

    async def _answer(self, request: Request) -> Response | bytes | None:
        """A response; or a new body with which Gradio is asked; or None to ask it as it is."""
        # not request.url: older Starlette takes part of the path from the Host header
        path, method = request.scope["path"], request.method
        if ".." in path.split("/") or "\\" in path or "\0" in path:
            raise Refused(404, "there is nothing here")
        check_origin(request, self._settings, page=True)
        if path.rstrip("/") == "/login" and self._login is not None:
            return await self._log_in(request)
        if self._login is not None and not self._login.is_open(request.cookies.get(COOKIE)):
            if path == "/":
                return HTMLResponse(login_page(self._title), 401)
            raise Refused(401, "log in first")
        if path == "/logout" and method == "POST" and self._login is not None:
            self._login.leave(request.cookies.get(COOKIE))
            response = RedirectResponse("/", 303)
            response.delete_cookie(COOKIE)
            return response
        if method in ("GET", "HEAD"):
            if path == "/gradio_api/upload_progress":
                return _sent_at_once()
            if path in _READ or path.startswith(_READ_BELOW):
                return None
        elif method == "POST":
            if path == "/gradio_api/upload":
                return await self._upload(request)
            if path in _CALLS or _STREAM.fullmatch(path):
                return checked(await _body(request), self.kinds, self.inbox)
            if path in _ENDS or _STREAM_ENDS.fullmatch(path):
                return await _plain_body(request)
        raise Refused(404, "there is nothing here")

    async def _log_in(self, request: Request) -> Response:
        assert self._login is not None
        if request.method != "POST":
            return HTMLResponse(login_page(self._title))
        given = _password_of(await _body(request, _MOST_FORM))
        browser = "text/html" in request.headers.get("accept", "")
        try:
            token = self._login.enter(given, address_of(request, self._settings))
        except Throttled as error:
            why = f"Too many wrong passwords: wait {error.seconds:.0f} seconds."
            response = _said(why, 429, self._title, browser)
            response.headers["retry-after"] = f"{error.seconds:.0f}"
            return response
        if token is None:
            return _said("This password is wrong.", 400, self._title, browser)
        done = RedirectResponse("/", 303) if browser else JSONResponse({"success": True})
        secure = (self._settings.url or "").startswith("https:")
        done.set_cookie(COOKIE, token, httponly=True, samesite="lax", secure=secure)
        return done

    async def _upload(self, request: Request) -> Response:
        files = await self.inbox.receive(
            request.headers.get("content-type", ""), _patient(request.stream())
        )
        return JSONResponse([str(file) for file in files])


async def _patient(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The parts of a body; Refused where none comes for long."""
    while True:
        try:
            yield await asyncio.wait_for(anext(chunks), _STALLED)
        except StopAsyncIteration:
            return
        except TimeoutError as error:
            raise Refused(408, "nothing came for a minute; send it again") from error


async def _body(request: Request, most: int = MOST_BODY) -> bytes:
    parts = bytearray()
    async for part in _patient(request.stream()):
        parts += part
        if len(parts) > most:
            raise Refused(413, "the request is too large")
    return bytes(parts)


def _password_of(form: bytes) -> str:
    """The password of a form as browsers send it; "" where there is none."""
    try:
        fields = parse_qs(form.decode("latin-1"), keep_blank_values=True, max_num_fields=4)
    except ValueError as error:
        raise Refused(400, "the form cannot be read; send it again") from error
    return fields.get("password", [""])[0]


async def _plain_body(request: Request) -> bytes:
    """A body of a flat JSON object of names, written anew."""
    try:
        given = json.loads(await _body(request) or b"{}")
        plain = {str(k): v for k, v in given.items() if isinstance(v, str | int | None)}
    except (ValueError, AttributeError, RecursionError) as error:
        raise Refused(400, "the request cannot be read") from error
    return json_text(plain).encode()


def _with_body(scope: Any, receive: Any, body: bytes) -> tuple[Any, Any]:
    """A request with another body."""
    headers = MutableHeaders(raw=list(Headers(scope=scope).raw))
    headers["content-length"], headers["content-type"] = str(len(body)), "application/json"
    given = False

    async def receiving() -> Any:
        nonlocal given
        if given:
            return await receive()  # that the visitor left
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return {**scope, "headers": headers.raw}, receiving


def _sent_at_once() -> Response:
    """The progress of an upload, whose end the answer to the upload itself tells."""
    return Response('data: {"msg": "done"}\n\n', media_type="text/event-stream")


def _said(why: str, status: int, title: str, browser: bool) -> Response:
    if browser:
        return HTMLResponse(login_page(title, why), status)
    return Response(why, status, media_type="text/plain")
