"""Answers that say what is wrong, as RFC 9457 has them: application/problem+json."""

import logging
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from reid_hash.errors import (
    BusyError,
    CheckpointError,
    CodeError,
    DataError,
    GalleryError,
    ImageError,
    MissingError,
    ReidHashError,
    one_line,
)
from reid_hash.utils.files import json_text
from reid_hash.web.inbox import Refused

MEDIA_TYPE = "application/problem+json"
_SHOWN = 20  # faults of a request that are told
_LOG = logging.getLogger(__name__)


class Fault(BaseModel):
    """What is wrong with one value of a request."""

    where: list[str | int] = Field(description="Names and numbers that lead to the value.")
    what: str = Field(description="What is wrong.")


class ProblemDetails(BaseModel):
    """What is wrong, after RFC 9457."""

    model_config = ConfigDict(title="Problem")

    type: str = Field(description="urn:reid-hash:problem: and the name of the problem.")
    title: str = Field(description="The status in words.")
    status: int = Field(description="The status of the answer.")
    detail: str = Field(description="What is wrong, in one line.")
    hint: str | None = Field(None, description="What to do.")
    errors: list[Fault] | None = Field(None, description="What is wrong with which value.")


class Problem(Exception):
    """A request that is not served.

    Args:
        status: of the answer.
        name: of the problem: lower case, with hyphens.
        detail: one line for whoever asked.
        hint: what to do.
        headers: more headers of the answer.
        errors: what is wrong with which value.
    """

    def __init__(
        self,
        status: int,
        name: str,
        detail: str,
        hint: str | None = None,
        headers: Mapping[str, str] | None = None,
        errors: list[dict[str, Any]] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.name, self.detail = status, name, detail
        self.hint, self.headers, self.errors = hint, dict(headers or {}), errors

    def response(self) -> Response:
        """The answer."""
        told: dict[str, Any] = {
            "type": f"urn:reid-hash:problem:{self.name}",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
        }
        if self.hint is not None:
            told["hint"] = self.hint
        if self.errors is not None:
            told["errors"] = self.errors
        headers = dict(self.headers)
        if self.status == 503:
            headers.setdefault("retry-after", "1")
        return Response(json_text(told), self.status, headers, MEDIA_TYPE)


def problem_of(error: Exception, place: str = "") -> Problem:
    """The problem that an error of the toolkit is for whoever asked.

    Args:
        error: what was raised.
        place: of the gallery, which is nobody's business who has a key.
    """
    said = one_line(error)
    if place:
        said = said.replace(f"gallery {place}", "the gallery").replace(place, "the gallery")
    match error:
        case Problem():
            return error
        case Refused():
            names = {408: "too-slow", 413: "too-large", 415: "not-a-picture", 503: "busy"}
            return Problem(error.status, names.get(error.status, "refused"), said)
        case MissingError():
            return Problem(404, "not-found", said)
        case BusyError():
            return Problem(503, "gallery-busy", "another process writes to the gallery")
        case CodeError():
            return Problem(409, "other-codes", said)
        case DataError() | ImageError():
            return Problem(415, "not-a-picture", said)
        case CheckpointError():
            return Problem(409, "no-model", "the network for this is not there", said)
        case GalleryError():
            return Problem(409, "refused-by-gallery", said)
        case ReidHashError():
            return Problem(409, "refused", said)
        case _:
            _LOG.exception("unexpected error", exc_info=error)
            kind = type(error).__name__
            return Problem(500, "unexpected", f"an unexpected {kind}; the server's log has more")


def add_handlers(app: FastAPI, methods: Callable[[str], list[str]]) -> None:
    """Have what FastAPI itself refuses answered as a problem.

    Args:
        app: whose refusals.
        methods: those that a path takes.
    """

    def wrong_status(request: Request, error: HTTPException) -> Response:
        names = {404: ("not-found", "there is nothing here"), 405: ("method", "not this method")}
        if error.status_code == 400:  # FastAPI's for a body that is no JSON
            return Problem(422, "invalid", "the body cannot be read").response()
        name, detail = names.get(error.status_code, ("refused", str(error.detail)))
        headers = dict(error.headers or {})
        if error.status_code == 405:  # Starlette names those of one operation alone
            headers["allow"] = ", ".join(methods(request.scope["path"]))
        return Problem(error.status_code, name, detail, headers=headers).response()

    def invalid(_: Request, error: RequestValidationError) -> Response:
        faults = [
            {
                "where": [part if isinstance(part, int) else str(part) for part in one["loc"]],
                "what": str(one["msg"]),
            }
            for one in error.errors()[:_SHOWN]
        ]
        first = "/".join(map(str, faults[0]["where"])) if faults else "request"
        what = faults[0]["what"] if faults else "it cannot be read"
        return Problem(422, "invalid", f"{first}: {what}", errors=faults).response()

    app.add_exception_handler(HTTPException, wrong_status)
    app.add_exception_handler(RequestValidationError, invalid)
