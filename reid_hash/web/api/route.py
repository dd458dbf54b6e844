"""How one request is served: may the caller, was it done before, and what went wrong."""

import json
import re
from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import Header
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from python_multipart.multipart import parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from reid_hash.errors import ReidHashError
from reid_hash.web.api.answered import Given
from reid_hash.web.api.keys import Role
from reid_hash.web.api.problems import Problem, problem_of
from reid_hash.web.api.service import Service
from reid_hash.web.inbox import Refused

ROLE = "x-role"
"""Where the OpenAPI file says which role an operation needs."""

_KEY = re.compile(r"[\x21-\x7e]{1,100}")

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern=r"^[\x21-\x7e]{1,100}$",
        description="A write under one key is done once; its answer is kept for a day.",
    ),
]


def needs(role: Role | None) -> dict[str, Any]:
    """What of an operation's description says which role it needs; None for anybody."""
    return {ROLE: role} if role is not None else {ROLE: "nobody"}


def json_answer(told: object, status: int = 200) -> Response:
    """An answer that was made already: FastAPI need not look at it again."""
    text = json.dumps(told, allow_nan=False, separators=(",", ":"))
    return Response(text, status, media_type="application/json")


class ApiRoute(APIRoute):  # type: ignore[misc]
    """An operation of the service; see `needs`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's own handler, with what comes before and after it."""
        handle = super().get_route_handler()
        role = (self.openapi_extra or {})[ROLE]
        once = any(one.alias == "Idempotency-Key" for one in self.dependant.header_params)

        async def served(request: Request) -> Response:
            scope = request.scope
            scope["told"]["route"] = self.name
            service: Service = request.app.state.service
            key = request.headers.get("idempotency-key", "")
            try:
                if role != "nobody" and role not in scope["caller"].roles:
                    raise Problem(403, "wrong-role", f"this needs a key with the role {role}")
                if once and _KEY.fullmatch(key):
                    return await _once(service, request, key, handle)
                response: Response = await handle(request)
                return response
            except (HTTPException, RequestValidationError):
                raise
            except Exception as error:
                return problem_of(error, str(service.settings.gallery)).response()

        return served


async def _once(
    service: Service,
    request: Request,
    key: str,
    handle: Callable[[Request], Coroutine[Any, Any, Response]],
) -> Response:
    caller, answered = request.scope["caller"].name, service.answered
    body = await request.body()
    _, options = parse_options_header(request.headers.get("content-type", ""))
    if boundary := options.get(b"boundary"):  # drawn anew when the same form is sent again
        body = body.replace(boundary, b"")
    path, parameters = request.scope["path"].encode(), request.scope.get("query_string", b"")
    whole = b"\n".join((request.method.encode(), path, parameters, body))
    given = await run_in_threadpool(answered.begin, caller, key, whole)
    if given is not None:
        request.scope["told"]["replayed"] = True
        headers = {"idempotency-replayed": "true"}
        return Response(given.body, given.status, headers, "application/json")
    try:
        response = await handle(request)
    except (Problem, Refused, ReidHashError, HTTPException, RequestValidationError):
        await run_in_threadpool(answered.abandon, caller, key)
        raise
    await run_in_threadpool(
        answered.finish, caller, key, Given(response.status_code, bytes(response.body))
    )
    return response
