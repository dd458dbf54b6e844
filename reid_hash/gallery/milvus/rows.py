"""Sightings as rows of a Milvus collection, and filters as its expressions.

Milvus-lite knows no missing values, so numbers that nothing real has stand for them.
"""

from typing import Any

from reid_hash.errors import GalleryError
from reid_hash.gallery.milvus.link import Columns, Row, quote
from reid_hash.gallery.sighting import Filter, Sighting, any_names, fields_of
from reid_hash.gallery.sqlite.schema import checksum

NOBODY = 0
"""Identity of a sighting of nobody known."""

_NO_NUMBER = -(2**63)
_NO_BOX = -1.7976931348623157e308
_MISSING: dict[str, float] = {
    **{"track": _NO_NUMBER, "frame": _NO_NUMBER, "identity": NOBODY},
    **dict.fromkeys("xywh", _NO_BOX),
}
_BYTES = {"camera": 1024, "source": 8192}

FIELDS = ["id", "camera", "time", "source", "track", "frame", "x", "y", "w", "h", "identity"]
"""Columns that make a sighting."""

SEALED = ["id", "code", *FIELDS[1:]]
"""Columns that the checksum is over, in the order of a folder's."""

_COLUMNS = {
    "ids": "id",
    "cameras": "camera",
    "sources": "source",
    "tracks": "track",
    "identities": "identity",
}
_TIMES = {"since": ">=", "until": "<"}


def columns(bits: int) -> Columns:
    """The columns of a collection for codes of a length."""
    return {
        "id": ("int64", 0),
        "code": ("bits", 8 * -(-bits // 8)),
        "camera": ("text", _BYTES["camera"]),
        "time": ("double", 0),
        "source": ("text", _BYTES["source"]),
        "track": ("int64", 0),
        "frame": ("int64", 0),
        **dict.fromkeys("xywh", ("double", 0)),
        "identity": ("int64", 0),
        "checksum": ("int64", 0),
    }


def to_row(number: int, code: bytes, sighting: Sighting, now: float, identity: int) -> Row:
    """A sighting as a row.

    Args:
        number: its id.
        code: its packed code.
        sighting: the rest, but for its thumbnail.
        now: time of those that have none, seconds since 1970.
        identity: or `NOBODY`.

    Raises:
        GalleryError: a value cannot be stored so that it comes back the same.
    """
    camera, time, source, track, frame, x, y, w, h = fields_of(sighting, now)
    for name, text in (("camera", camera), ("source", source)):
        check_text(text, f"a {name}", _BYTES[name])
    if _NO_NUMBER in (track, frame) or x == _NO_BOX:
        raise GalleryError("the lowest number there is stands for none on Milvus, and is no value")
    row = {
        "id": number,
        "code": code,
        "camera": camera,
        "time": time,
        "source": source,
        "track": _NO_NUMBER if track is None else track,
        "frame": _NO_NUMBER if frame is None else frame,
        **{
            name: _NO_BOX if value is None else value
            for name, value in zip("xywh", (x, y, w, h), strict=True)
        },
        "identity": identity,
    }
    return sealed(row)


def sealed(row: Row) -> Row:
    """A row with its checksum."""
    return {**row, "checksum": row_checksum(row)}


def row_checksum(row: Row) -> int:
    """CRC-32 over the values of a row; a folder's row of the same values has the same."""
    return checksum(*(_none(name, row[name]) for name in SEALED))


def _none(name: str, value: Any) -> Any:
    return None if name in _MISSING and value == _MISSING[name] else value


def to_sighting(row: Row, names: dict[int, str]) -> Sighting:
    """A row as a sighting.

    Args:
        row: with `FIELDS`.
        names: number of an identity → name, where it has one.
    """
    value = {name: _none(name, row[name]) for name in FIELDS}
    box = None if value["x"] is None else (value["x"], value["y"], value["w"], value["h"])
    return Sighting(
        camera=value["camera"],
        time=value["time"],
        source=value["source"],
        track=value["track"],
        frame=value["frame"],
        box=box,
        identity=value["identity"],
        name=names.get(row["identity"]),
        id=value["id"],
    )


def check_text(text: str, what: str, size: int) -> None:
    """Raise GalleryError where Milvus cannot keep a text, or filter by it."""
    if len(text.encode()) > size:
        raise GalleryError(f"{what} has at most {size:,} bytes on Milvus: {text[:40]}…")
    if "\n" in text or "\r" in text:  # its expressions know no escape for them
        raise GalleryError(f"{what} holds no line break on Milvus: {text[:40]!r}")


def expression(chosen: Filter) -> str | None:
    """A filter as an expression: empty where it takes all, None where it takes nothing.

    Args:
        chosen: which; identities by number alone.
    """
    terms = []
    wanted: Any
    for key, wanted in chosen.items():
        if wanted is None:
            continue
        if key in _TIMES:
            terms.append(f"time {_TIMES[key]} {float(wanted)!r}")
            continue
        exclude = key.startswith("exclude_")
        column = _COLUMNS[key.removeprefix("exclude_")]
        values = _values(any_names(wanted) if column == "source" else wanted)
        if values:
            terms.append(f"{column} {'not in' if exclude else 'in'} [{', '.join(values)}]")
        elif not exclude:
            return None
    return " and ".join(terms)


def _values(wanted: Any) -> list[str]:
    """Values of a list, those left out that no row can have: Milvus takes them for an error."""
    texts = []
    for one in wanted:
        if isinstance(one, str):
            if "\n" not in one and "\r" not in one:
                texts.append(quote(one))
        elif _NO_NUMBER < int(one) < 2**63:
            texts.append(str(int(one)))
    return texts
