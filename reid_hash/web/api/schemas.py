"""What requests and answers look like: the OpenAPI file is made of this."""

import base64
import binascii
from collections.abc import Mapping
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from reid_hash.gallery.sighting import Filter, Identity, Sighting
from reid_hash.utils.timestamps import TIME_LIMIT
from reid_hash.web.api.problems import Problem

MOST_AT_ONCE = 1000
"""Sightings of a request, or of a page of an answer."""

MOST_QUERIES = 100
"""Queries of a request."""

_BASE64 = r"^[A-Za-z0-9+/]+={0,2}$"
_TEXT = r"^[^\x00]*$"
_NAME = r"^[^\x00]*\S[^\x00]*$"

_LARGEST = 2**53 - 1  # the largest whole number that every reader of JSON keeps exact


def _whole(value: object) -> object:
    """A number as an int where it is whole: JSON knows no difference between 7 and 7.0."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


_INT = BeforeValidator(_whole)  # after `Field`, or the limits are not in the OpenAPI file
Id = Annotated[int, Field(ge=1, le=_LARGEST), _INT]
Whole = Annotated[int, Field(ge=-_LARGEST, le=_LARGEST), _INT]
Seconds = Annotated[
    float,
    Field(gt=-TIME_LIMIT, lt=TIME_LIMIT, allow_inf_nan=False, description="Since 1970, UTC."),
]
Number = Annotated[float, Field(allow_inf_nan=False, ge=-1e9, le=1e9)]
Camera = Annotated[str, Field(max_length=200, pattern=_TEXT)]
Source = Annotated[str, Field(max_length=2000, pattern=_TEXT)]
Name = Annotated[str, Field(min_length=1, max_length=200, pattern=_NAME)]
Who = Annotated[Id | Name, Field(description="The number of a person, or the name.")]
Picture = Annotated[
    str,
    Field(
        min_length=4,
        description="JPEG, PNG, WebP or BMP in base64: the crop of one person.",
        json_schema_extra={"format": "picture", "contentEncoding": "base64"},
    ),
]
Thumbnail = Annotated[
    str,
    Field(
        min_length=4,
        description="A small JPEG in base64.",
        json_schema_extra={"format": "thumbnail", "contentEncoding": "base64"},
    ),
]
Code = Annotated[
    str,
    Field(
        pattern=_BASE64,
        max_length=100_000,
        description="The packed bits of a code of the gallery's model, in base64.",
        json_schema_extra={"format": "code"},
    ),
]
Vector = Annotated[list[Number], Field(min_length=1, max_length=65_536)]
Bits = Annotated[
    int, Field(ge=1, le=2**20, description="Compare the first so many bits only."), _INT
]
Cursor = r"^(i[0-9]{1,15}|n-?[0-9]{1,10}(\.[0-9]{1,20})?(e-[0-9]{1,3})?_[0-9]{1,15}_[0-9]{1,9})$"
"""What a page's `next` looks like: after which id, or time, id and how many of that time before."""


class _Asked(BaseModel):
    """A request: unknown names are refused, and a number is no text."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Where(_Asked):
    """Which sightings; what is left out does not restrict."""

    ids: Annotated[list[Id], Field(max_length=10_000)] | None = None
    cameras: Annotated[list[Camera], Field(max_length=1000)] | None = None
    sources: Annotated[list[Source], Field(max_length=1000)] | None = None
    tracks: Annotated[list[Whole], Field(max_length=1000)] | None = None
    identities: Annotated[list[Who], Field(max_length=1000)] | None = None
    since: Seconds | None = Field(None, description="At this time or later.")
    until: Seconds | None = Field(None, description="Before this time.")
    exclude_ids: Annotated[list[Id], Field(max_length=10_000)] | None = None
    exclude_cameras: Annotated[list[Camera], Field(max_length=1000)] | None = None
    exclude_sources: Annotated[list[Source], Field(max_length=1000)] | None = None
    exclude_identities: Annotated[list[Who], Field(max_length=1000)] | None = None

    def filter(self) -> Filter:
        """As galleries take it."""
        given = self.model_dump(exclude_none=True)
        return cast(Filter, given)


class _Seen(_Asked):
    """Where and when somebody was seen."""

    camera: Camera = ""
    time: Seconds | None = Field(None, description="The time of adding when left out.")
    source: Source = Field("", description="Image file, video or stream.")
    track: Whole | None = None
    frame: Whole | None = None
    box: Annotated[list[Number], Field(min_length=4, max_length=4)] | None = Field(
        None, description="x, y, width, height in pixels of the frame."
    )
    identity: Who | None = Field(None, description="Number, or a name: made where it is new.")

    def sighting(self, thumbnail: bytes | None = None) -> Sighting:
        """As galleries take it."""
        box = None if self.box is None else tuple(map(float, self.box))
        named = isinstance(self.identity, str)
        return Sighting(
            *(self.camera, self.time, self.source, self.track, self.frame, box, thumbnail),  # type: ignore[arg-type]
            identity=None if named else self.identity,  # type: ignore[arg-type]
            name=self.identity if named else None,  # type: ignore[arg-type]
        )


class PictureSeen(_Seen):
    """A crop of one person, which the gallery's network encodes."""

    image: Picture


class _Coded(_Seen):
    thumbnail: Thumbnail | None = None


class CodeSeen(_Coded):
    """Somebody whose code was made elsewhere, by the gallery's model."""

    code: Code


class EmbeddingSeen(_Coded):
    """Somebody whose embedding the gallery's head makes a code of."""

    embedding: Vector


class NewSightings(_Asked):
    """Sightings to add, all or none."""

    sightings: Annotated[
        list[PictureSeen | CodeSeen | EmbeddingSeen], Field(min_length=1, max_length=MOST_AT_ONCE)
    ]


class Added(BaseModel):
    """What was added."""

    ids: list[int] = Field(description="Numbers of the sightings, in the order of the request.")


class SightingQuery(_Asked):
    """Search for a sighting of the gallery; it does not find itself."""

    sighting: Id


class PictureQuery(_Asked):
    """Search for a picture."""

    image: Picture


class CodeQuery(_Asked):
    """Search for a code of the gallery's model."""

    code: Code


class EmbeddingQuery(_Asked):
    """Search for an embedding that the gallery's head makes a code of."""

    embedding: Vector


class ValuesQuery(_Asked):
    """Search for real values in -1 … 1, one a bit."""

    values: Vector


class _HowToSearch(_Asked):
    k: Annotated[int, Field(ge=1, le=1000), _INT] = Field(10, description="How many to find.")
    bits: Bits | None = None
    weighted: bool = Field(True, description="By weighted Hamming distance, else the plain one.")
    asymmetric: bool = Field(
        False, description="Images and embeddings keep their real values, which finds more."
    )
    far: Annotated[float, Field(ge=0, le=1)] | None = Field(
        None, description="False accept rate: say who is a stranger; the gallery is calibrated."
    )


class Search(_HowToSearch):
    """What to search for, and how."""

    queries: Annotated[
        list[SightingQuery | PictureQuery | CodeQuery | EmbeddingQuery | ValuesQuery],
        Field(min_length=1, max_length=MOST_QUERIES),
    ]
    where: Where | None = None


class SearchByFile(_HowToSearch):
    """How to search for a picture that comes as a file; in the address."""

    model_config = ConfigDict(extra="forbid", strict=False)

    camera: Annotated[list[Camera], Field(max_length=1000)] | None = None
    since: Seconds | None = None
    until: Seconds | None = None


class FileSeen(_Asked):
    """Where and when the people of the files of a form were seen; in the address."""

    model_config = ConfigDict(extra="forbid", strict=False)

    camera: Camera = ""
    time: Seconds | None = None
    source: Source = ""
    name: Name | None = Field(None, description="Of whom they are; made where it is new.")


class SightingAnswer(BaseModel):
    """A sighting."""

    id: int
    camera: str
    time: float
    source: str
    track: int | None
    frame: int | None
    box: list[float] | None
    identity: int | None
    name: str | None
    thumbnail: str | None = Field(None, description="JPEG in base64, where it was asked for.")
    code: str | None = Field(None, description="Packed bits in base64, where it was asked for.")


class SightingPage(BaseModel):
    """Some sightings, and where the next ones begin."""

    sightings: list[SightingAnswer]
    next: str | None = Field(description="Cursor of the next page; null at the end.")


class MatchAnswer(BaseModel):
    """A sighting that was found."""

    sighting: SightingAnswer
    distance: float
    within: bool | None = Field(description="Near enough at the rate; null where none was given.")


class Found(BaseModel):
    """What was found for one query."""

    matches: list[MatchAnswer] = Field(description="By distance.")
    exact: bool = Field(description="Whether it is certain that none is nearer.")
    searched: int | None = Field(description="Sightings searched, where a rate was given.")
    threshold: float | None = Field(description="Null where no rate was given, or all count.")
    stranger: bool | None = Field(description="Nobody near enough; null where no rate was given.")
    resolved: bool = Field(description="Whether the calibration can tell so small a rate.")


class FoundAnswers(BaseModel):
    """What was found."""

    answers: list[Found] = Field(description="One a query, in their order.")


class Listing(_Asked):
    """Which sightings to list, in the address."""

    model_config = ConfigDict(extra="forbid", strict=False)

    camera: Annotated[list[Camera], Field(max_length=100)] | None = None
    source: Annotated[list[Source], Field(max_length=100)] | None = None
    track: Annotated[list[Whole], Field(max_length=100)] | None = None
    identity: Annotated[list[Id], Field(max_length=100)] | None = None
    name: Annotated[list[Name], Field(max_length=100)] | None = None
    since: Seconds | None = None
    until: Seconds | None = None
    order: Literal["id", "newest"] = "id"
    limit: Annotated[int, Field(ge=1, le=MOST_AT_ONCE), _INT] = 100
    cursor: Annotated[str, Field(pattern=Cursor)] | None = None

    def filter(self) -> Filter:
        """As galleries take it."""
        who: list[int | str] = [*(self.identity or ()), *(self.name or ())]
        lists = {"cameras": self.camera, "sources": self.source, "tracks": self.track}
        times = {"since": self.since, "until": self.until}
        given: Mapping[str, Any] = {**lists, **times, "identities": who or None}
        chosen = {key: value for key, value in given.items() if value is not None}
        return cast(Filter, chosen)


class Query(_Asked):
    """Which sightings to list, with all filters."""

    where: Where | None = None
    order: Literal["id", "newest"] = "id"
    limit: Annotated[int, Field(ge=1, le=MOST_AT_ONCE), _INT] = 100
    cursor: Annotated[str, Field(pattern=Cursor)] | None = None
    thumbnails: bool = False
    codes: bool = False


class Count(BaseModel):
    """How many sightings there are."""

    sightings: int


class PersonAnswer(BaseModel):
    """A person."""

    identity: int
    name: str | None
    sightings: int
    first: float = Field(description="Time of the earliest sighting.")
    last: float = Field(description="Time of the latest.")


class PeoplePage(BaseModel):
    """Some people by number, and where the next ones begin."""

    people: list[PersonAnswer]
    next: str | None


class IdentityAnswer(BaseModel):
    """The number of a person."""

    identity: int | None


class NameGiven(_Asked):
    """The name of a person; null takes it away."""

    name: Name | None


class Merge(_Asked):
    """Whose sightings to take over."""

    other: Who


class Split(_Asked):
    """Which sightings are of somebody else."""

    ids: Annotated[list[Id], Field(max_length=10_000)] = Field(default_factory=list)
    tracks: Annotated[list[Whole], Field(max_length=1000)] = Field(default_factory=list)
    name: Name | None = Field(None, description="Of the new person.")


class Assign(_Asked):
    """Of whom sightings are."""

    ids: Annotated[list[Id], Field(max_length=10_000)]
    identity: Who | None = Field(description="Number, or a name: made where it is new; or null.")


class Prune(_Asked):
    """Which sightings are too old."""

    keep_seconds: Annotated[float, Field(ge=0, le=1e10)] = Field(
        description="Age up to which sightings stay."
    )


class Receipt(BaseModel):
    """What was erased for whom."""

    receipt: int
    caller: str = Field(description="Name of the key.")
    asked: float
    done: float | None = Field(description="Null where it was interrupted, or refused.")
    what: dict[str, Any] = Field(description="What was asked for; without names and sources.")
    sightings: int | None


class ReceiptPage(BaseModel):
    """Some receipts, the newest first, and where the next ones begin."""

    receipts: list[Receipt]
    next: str | None


class CameraAnswer(BaseModel):
    """A camera."""

    camera: str
    sightings: int


class Cameras(BaseModel):
    """All cameras, by name."""

    cameras: list[CameraAnswer]


class GalleryAnswer(BaseModel):
    """The gallery."""

    sightings: int
    bits: int
    model: str = Field(description="Fingerprint of the network whose codes it takes.")
    weights: list[float] = Field(description="Of each bit.")
    calibrated_bits: list[int] = Field(description="Lengths that `far` can be asked for.")


class ThresholdsAnswer(BaseModel):
    """What distances mean, for one length and one kind of query."""

    bits: int
    kind: Literal["hamming", "weighted", "asymmetric", "track"]
    size: int = Field(description="Images of the gallery that was searched.")
    impostor: list[float] = Field(description="Distances of strangers' nearest images.")
    genuine: list[float] = Field(description="Distances of people's own nearest images.")


class CalibrationTables(BaseModel):
    """What distances mean in the gallery."""

    about: str
    tables: list[ThresholdsAnswer]


class CalibrationAnswer(BaseModel):
    """What distances mean, or null where that is unknown."""

    calibration: CalibrationTables | None


class ModelAnswer(BaseModel):
    """A model that comes with the toolkit."""

    name: str
    fingerprint: str
    bits: int
    summary: str
    used: bool = Field(description="Whether the gallery's codes are of it.")


class Models(BaseModel):
    """The models that come with the toolkit."""

    models: list[ModelAnswer]


class Health(BaseModel):
    """Whether the service is well."""

    status: Literal["ok"]


def decoded(text: str) -> bytes:
    """The bytes of base64; Problem where it is none."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Problem(422, "invalid", "a picture or code is no base64") from error


def encoded(data: bytes) -> str:
    """Bytes in base64."""
    return base64.b64encode(data).decode()


def sighting_object(
    seen: Sighting, thumbnail: bool = False, code: bytes | None = None
) -> dict[str, Any]:
    """A sighting as JSON, like `SightingAnswer`."""
    told: dict[str, Any] = {
        "id": seen.id,
        "camera": seen.camera,
        "time": seen.time,
        "source": seen.source,
        "track": seen.track,
        "frame": seen.frame,
        "box": seen.box,
        "identity": seen.identity,
        "name": seen.name,
    }
    if thumbnail and seen.thumbnail is not None:
        told["thumbnail"] = encoded(seen.thumbnail)
    if code is not None:
        told["code"] = encoded(code)
    return told


def person_object(one: Identity) -> dict[str, Any]:
    """A person as JSON, like `PersonAnswer`."""
    return {
        "identity": one.id,
        "name": one.name,
        "sightings": one.sightings,
        "first": one.first,
        "last": one.last,
    }
