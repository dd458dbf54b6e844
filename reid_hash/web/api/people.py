"""People: which sightings are of one person."""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from starlette.requests import Request
from starlette.responses import Response

from reid_hash.gallery.sighting import Identity
from reid_hash.web.api import schemas
from reid_hash.web.api.problems import Problem
from reid_hash.web.api.route import ApiRoute, IdempotencyKey, json_answer, needs
from reid_hash.web.api.service import Service

PersonId = Annotated[int, Path(ge=1, le=2**53 - 1, description="Number of a person.")]


def routes(service: Service) -> APIRouter:
    """The operations on people."""
    router = APIRouter(route_class=ApiRoute, tags=["people"])

    def told(identity: int | None) -> Response:
        service.events.note("people", identity)
        return json_answer({"identity": identity})

    @router.get("/people", response_model=schemas.PeoplePage, openapi_extra=needs("read"))
    def list_people(
        limit: Annotated[int, Query(ge=1, le=schemas.MOST_AT_ONCE)] = 100,
        cursor: Annotated[str | None, Query(pattern=r"^[0-9]{1,15}$")] = None,
    ) -> Response:
        """List people by number."""
        with service.reading() as gallery:
            everybody = gallery.people.identities()
        after = int(cursor or 0)
        some = sorted((one for one in everybody if one.id > after), key=lambda one: one.id)
        following = str(some[limit - 1].id) if len(some) > limit else None
        told = [schemas.person_object(one) for one in some[:limit]]
        return json_answer({"people": told, "next": following})

    @router.post(
        "/people",
        status_code=201,
        response_model=schemas.IdentityAnswer,
        openapi_extra=needs("write"),
    )
    def add_person(idempotency_key: IdempotencyKey = None) -> Response:
        """Make a person without sightings yet; who gets none until others change is dropped."""
        with service.writing() as gallery:
            return json_answer({"identity": gallery.new_identity()}, 201)

    @router.get(
        "/people/{identity:int}", response_model=schemas.PersonAnswer, openapi_extra=needs("read")
    )
    def get_person(identity: PersonId) -> Response:
        """Look at a person."""
        with service.reading() as gallery:
            everybody = gallery.people.identities()
        return json_answer(schemas.person_object(_one(everybody, identity)))

    @router.put(
        "/people/{identity:int}/name",
        response_model=schemas.IdentityAnswer,
        openapi_extra=needs("write"),
    )
    def name_person(
        identity: PersonId, asked: schemas.NameGiven, idempotency_key: IdempotencyKey = None
    ) -> Response:
        """Give a person a name, or take it away."""
        with service.writing() as gallery:
            return told(gallery.people.name(identity, asked.name))

    @router.post(
        "/people/{identity:int}/merge",
        response_model=schemas.IdentityAnswer,
        openapi_extra=needs("write"),
    )
    def merge_people(
        identity: PersonId, asked: schemas.Merge, idempotency_key: IdempotencyKey = None
    ) -> Response:
        """Make two people one: the other's sightings become this one's."""
        with service.writing() as gallery:
            return told(gallery.people.merge(identity, asked.other))

    @router.post(
        "/people/{identity:int}/split",
        response_model=schemas.IdentityAnswer,
        openapi_extra=needs("write"),
    )
    def split_person(
        identity: PersonId, asked: schemas.Split, idempotency_key: IdempotencyKey = None
    ) -> Response:
        """Take sightings of a person out into a new one, whose number is the answer."""
        with service.writing() as gallery:
            new = gallery.people.split(identity, asked.ids, asked.tracks, asked.name)
        return told(new)

    @router.post(
        "/people/assign", response_model=schemas.IdentityAnswer, openapi_extra=needs("write")
    )
    def assign_sightings(
        request: Request, asked: schemas.Assign, idempotency_key: IdempotencyKey = None
    ) -> Response:
        """Say of whom sightings are."""
        with service.writing() as gallery:
            number = gallery.people.assign(asked.ids, asked.identity)
        request.scope["told"]["sightings"] = len(asked.ids)
        return told(number)

    return router


def _one(everybody: list[Identity], number: int) -> Identity:
    found = next((one for one in everybody if one.id == number), None)
    if found is None:
        raise Problem(404, "not-found", f"there is no person {number}")
    return found
