"""The values of a gallery as a whole, looked at before anything relies on them."""

import re
import sqlite3
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from reid_hash.calibration import Calibration
from reid_hash.codes import Codes
from reid_hash.errors import CodeError, GalleryError
from reid_hash.gallery.sqlite import query as select
from reid_hash.gallery.sqlite.modes import READERS
from reid_hash.gallery.sqlite.tables import SCHEMA, checksum, get_meta

REQUIRED = ("schema", "gallery", "bits", "weights", "model", "erasures")


class Facts(NamedTuple):
    """What a gallery says of itself.

    Attributes:
        name: its own random name, which its index files bear.
        template: no code, but with the gallery's length, weights and model.
        model_file: where the model's checkpoint was, or empty.
        readable_by: who may read its files.
    """

    name: str
    template: Codes
    model_file: str
    readable_by: str


def read_facts(db: sqlite3.Connection) -> Facts:
    """Read what a gallery says of itself.

    Raises:
        GalleryError: a value is missing or is none that a gallery has.
    """
    for fault in faults(db):
        raise GalleryError(fault)
    values = {key: get_meta(db, key) for key in ("gallery", "bits", "weights", "model")}
    template = _template(values["bits"], values["weights"], values["model"])
    file, readers = get_meta(db, "model_file", ""), get_meta(db, "readable_by", "owner")
    return Facts(values["gallery"], template, file, readers)


def faults(db: sqlite3.Connection) -> Iterator[str]:
    """A line for each value of a gallery as a whole that is damaged, missing or impossible."""
    values: dict[str, Any] = {}
    for key, value, crc in db.execute("SELECT key, value, checksum FROM meta"):
        if crc != checksum(key, value):
            yield f"meta: the value of {key} is damaged: its checksum differs"
        elif key in _KINDS and not _KINDS[key](value):
            yield f"meta: {_shown(value)} is no value for {key}"
        else:
            values[key] = value
            continue
        values[key] = None
    for key in REQUIRED:
        if key not in values:
            yield f"meta: {key} is missing"
    try:
        if all(values.get(key) is not None for key in ("bits", "weights", "model")):
            _template(values["bits"], values["weights"], values["model"])
        if values.get("calibration") is not None:
            Calibration.from_json(values["calibration"])
    except (CodeError, GalleryError) as error:
        yield f"meta: {error}"
    for table, column in (("sightings", "id"), ("identities", "id")):
        try:
            last = select.sequence(db, table)
        except GalleryError as error:
            yield str(error)
            continue
        first, highest = db.execute(f"SELECT min({column}), max({column}) FROM {table}").fetchone()
        if first is not None and (first < 1 or highest > last):
            yield f"{table} are numbered {first} to {highest}, and not 1 to {last} as counted"


def _template(bits: int, weights: bytes, model: str) -> Codes:
    if len(weights) != 4 * bits:
        raise GalleryError(f"{len(weights)} bytes of weights for codes of {bits} bits")
    numbers: NDArray[np.float32] = np.frombuffer(weights, "<f4")
    return Codes(np.zeros((0, -(-bits // 8)), np.uint8), bits, numbers, model)


def _shown(value: object) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 40 else f"{text[:37]}…"


def _is_whole(value: object, least: int = 0) -> bool:
    return isinstance(value, int) and least <= value < select.NUMBERS


def _is_text(value: object) -> bool:
    return isinstance(value, str) and len(value) < 2**16 and "\n" not in value


_KINDS: dict[str, Callable[[Any], bool]] = {
    "schema": lambda value: value == SCHEMA,
    # it becomes part of the names of files
    "gallery": lambda value: isinstance(value, str) and bool(re.fullmatch("[0-9a-f]{1,64}", value)),
    "bits": lambda value: _is_whole(value, 1),
    "weights": lambda value: isinstance(value, bytes),
    "model": _is_text,
    "model_file": _is_text,
    "erasures": _is_whole,
    "erasing": _is_whole,
    "calibration": lambda value: value is None or isinstance(value, str),
    "readable_by": lambda value: value in READERS,
}
