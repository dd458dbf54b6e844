"""The service as an ASGI application, and its OpenAPI file."""

import math
import re
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

import reid_hash
from reid_hash.web.api import about, erasing, listening, people, search, sightings
from reid_hash.web.api.guard import Guard
from reid_hash.web.api.problems import MEDIA_TYPE, ProblemDetails, add_handlers
from reid_hash.web.api.route import ROLE
from reid_hash.web.api.service import PREFIX, Service

_PROBLEMS = {
    "400": "The request is for another host.",
    "401": "There is no key, or it is not known.",
    "403": "The key is not for this, or another page asked.",
    "404": "There is nothing of that number or name.",
    "408": "The request did not come in time.",
    "409": "It contradicts what there is; or its idempotency key was used.",
    "413": "The request is too large.",
    "415": "It is no picture.",
    "422": "The request is not as described here.",
    "429": "There were too many requests.",
    "503": "The service is busy, or the gallery cannot be reached.",
    "507": "The disk is full.",
}
_ALWAYS = {"400", "403", "422", "429", "503"}
_WITH_BODY = {"404", "408", "409", "413", "415", "507"}
_RETRY = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds to wait."}}


def make_api(service: Service) -> Guard:
    """The application below `PREFIX`, behind its guard."""
    app = FastAPI(
        title="reid_hash",
        summary="People in images, found again by compact binary codes",
        version=reid_hash.__version__,
        openapi_url=f"{PREFIX}/openapi.json",
        docs_url=None,  # its script is another server's
        redoc_url=None,
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.service = service
    for room in (sightings, search, people, erasing, listening, about):
        app.include_router(room.routes(service), prefix=PREFIX)
    paths = get_openapi(title="", version="", routes=app.routes)["paths"]
    known = [
        (re.compile(re.sub(r"\{\w+\}", "[0-9]+", path)), [method.upper() for method in operations])
        for path, operations in paths.items()
    ]
    add_handlers(
        app,
        lambda path: sorted({m for one, methods in known if one.fullmatch(path) for m in methods}),
    )
    app.openapi = lambda: _openapi(app, service)
    return Guard(app, service)


def _openapi(app: FastAPI, service: Service) -> dict[str, Any]:
    """The OpenAPI file: true of this gallery, and of whether it asks for keys."""
    told: dict[str, Any] = get_openapi(
        title=app.title, version=app.version, summary=app.summary, routes=app.routes
    )
    kept = told["components"]["schemas"]
    for name in ("HTTPValidationError", "ValidationError"):
        kept.pop(name, None)
    problem = ProblemDetails.model_json_schema(ref_template="#/components/schemas/{model}")
    kept |= problem.pop("$defs", {}) | {"Problem": problem}
    operations = [operation for path in told["paths"].values() for operation in path.values()]
    for operation in operations:
        _describe(operation, service.needs_key)
    if service.needs_key:
        told["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    _narrow(kept, operations, service.served.bits)
    return told


def _describe(operation: dict[str, Any], needs_key: bool) -> None:
    """Add to an operation which problems it may answer, and the key that it needs."""
    role = operation[ROLE]
    chosen = set(_ALWAYS)
    if "requestBody" in operation or role in ("write", "erase"):
        chosen |= _WITH_BODY
    if operation.get("parameters"):
        chosen |= {"404"}
    if role == "nobody":
        operation["security"] = []
    elif needs_key:
        operation["security"] = [{"key": []}]
        chosen |= {"401"}
    answers = operation["responses"]
    for status in sorted(chosen):
        answers[status] = {
            "description": _PROBLEMS[status],
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        if status in ("429", "503"):
            answers[status]["headers"] = _RETRY
    for status in ("200", "201"):
        if status in answers and any(
            one["name"] == "Idempotency-Key" for one in operation.get("parameters", ())
        ):
            answers[status]["headers"] = {
                "Idempotency-Replayed": {
                    "schema": {"const": "true"},
                    "description": "The answer was given before.",
                }
            }


def _narrow(kept: dict[str, Any], operations: list[dict[str, Any]], bits: int) -> None:
    """Say how long codes of this gallery are."""
    width = math.ceil(bits / 8)
    rest = -width % 3
    letters = 4 * math.ceil(width / 3) - rest
    pattern = (
        f"^[A-Za-z0-9+/]{{{letters}}}={{{rest}}}$" if rest else f"^[A-Za-z0-9+/]{{{letters}}}$"
    )
    for name in ("CodeSeen", "CodeQuery"):
        kept[name]["properties"]["code"]["pattern"] = pattern
    lengths = [kept["Search"]["properties"]["bits"]]
    for operation in operations:
        lengths += [p["schema"] for p in operation.get("parameters", ()) if p["name"] == "bits"]
    for length in lengths:
        for one in length["anyOf"]:
            if one.get("type") == "integer":
                one["maximum"] = bits
    values = kept["ValuesQuery"]["properties"]["values"]
    values["minItems"] = values["maxItems"] = bits
