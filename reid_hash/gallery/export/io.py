"""Galleries as one file: Parquet for other programs, or .npz without pickle; both lossless.

A file is read and written in parts of some thousand rows, so that memory does not grow with the
gallery. Both formats carry checksums of their own, and a damaged row is not written as a sound one.
"""

import json
import sqlite3
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from reid_hash.calibration import Calibration
from reid_hash.codes import Codes
from reid_hash.errors import GalleryError, ReidHashError, one_line
from reid_hash.gallery.export.npz import Part, read_npz, write_npz
from reid_hash.gallery.export.parquet import read_parquet, write_parquet
from reid_hash.gallery.sighting import Sighting, check_name
from reid_hash.gallery.sqlite import query as select
from reid_hash.gallery.sqlite import rows
from reid_hash.gallery.sqlite.schema import checksum, get_meta
from reid_hash.gallery.sqlite.work_limit import charge
from reid_hash.utils.files import PRIVATE, replacing

FORMAT = "reid_hash gallery 1"
_PART = 20_000  # rows; with thumbnails some 60 MB
_PART_BYTES = 2**28  # where thumbnails are large
_NUMBERS = 2**61  # above all numbers in a file, with room for those that come after them


class Exported(NamedTuple):
    """A gallery on its way from or to a file.

    Attributes:
        header: `format`, `bits`, `weights` (list), `model`, `calibration` (text or None),
            `identities` (list of [number, name or None]), `sightings` (how many).
        parts: the rows by id, some thousand in a part: the columns of `query.SEALED` and
            `thumbnail`, lists with None where there is no value.
    """

    header: dict[str, Any]
    parts: Iterator[Part]


def suffix_of(path: Path) -> str:
    """The format that a file's name asks for; GalleryError where it is none of them."""
    if path.suffix.lower() not in (".npz", ".parquet"):
        raise GalleryError(f"{path}: a gallery is written as .parquet or .npz")
    return path.suffix.lower()


def read_database(db: sqlite3.Connection) -> Exported:
    """What a gallery holds."""
    weights = np.frombuffer(get_meta(db, "weights"), "<f4")
    header = {
        "format": FORMAT,
        "bits": int(get_meta(db, "bits")),
        "weights": weights.tolist(),
        "model": get_meta(db, "model"),
        "calibration": get_meta(db, "calibration"),
        "identities": [list(row) for row in db.execute("SELECT id, name FROM identities")],
        "sightings": select.count(db, {}),
    }
    return Exported(header, _database_parts(db))


def _database_parts(db: sqlite3.Connection) -> Iterator[Part]:
    names = [*select.SEALED.split(", "), "thumbnail"]
    found = db.execute(
        f"SELECT {select.SEALED}, jpeg, sightings.checksum, thumbnails.checksum "
        "FROM sightings LEFT JOIN thumbnails ON sighting = id ORDER BY id"
    )
    width = -(-int(get_meta(db, "bits")) // 8)
    block: list[list[Any]] = []
    size = 0
    for *values, jpeg, crc, jpeg_crc in found:
        sound = select.are_values(values) and len(values[1]) == width
        sound = sound and checksum(*values) == crc
        if sound and jpeg is not None:
            sound = isinstance(jpeg, bytes) and checksum(values[0], jpeg) == jpeg_crc
        if not sound:
            raise GalleryError(f"sighting {values[0]} is damaged: its checksum differs")
        length = len(jpeg or b"") + sum(len(values[i]) for i in (1, 2, 4))
        charge(db, length)
        block.append([*values, jpeg])
        size += length
        if len(block) == _PART or size > _PART_BYTES:
            yield _columns(names, block)
            block, size = [], 0
    if block:
        yield _columns(names, block)


def _columns(names: list[str], rows: list[list[Any]]) -> Part:
    return dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))


def write_file(path: Path, gallery: Exported) -> None:
    """Write a gallery to a file, whole or not at all."""
    write = write_parquet if suffix_of(path) == ".parquet" else write_npz
    with replacing(path, PRIVATE) as temporary:  # images of people and who they are
        sealed = {**gallery.header, "crc32": _sum(gallery.header)}
        write(temporary, sealed, gallery.parts)


def read_file(path: Path) -> Exported:
    """Read what `write_file` wrote; the parts are read when they are asked for.

    Raises:
        GalleryError: the file is missing, damaged, or something else.
    """
    read = read_parquet if suffix_of(path) == ".parquet" else read_npz
    if not path.is_file():
        raise GalleryError(f"no such file: {path}")
    header, parts = read(path)
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise GalleryError(f"{path} is no gallery of this toolkit, or of another version")
    if header.pop("crc32", None) != _sum(header):  # Parquet sums its pages, not its metadata
        raise GalleryError(f"{path} is damaged: its header's checksum differs")
    _check_header(path, header)
    return Exported(header, parts)


def _check_header(path: Path, header: dict[str, Any]) -> None:
    """Raise GalleryError where a header has a right checksum and a value that none can have."""
    try:
        bits, weights, model = header["bits"], header["weights"], header["model"]
        numbers = [number for number, _ in header["identities"]]
        names = [name for _, name in header["identities"] if name is not None]
        for number in (bits, header["sightings"], *numbers):
            if not isinstance(number, int) or not 0 <= number < _NUMBERS:
                raise GalleryError(f"{str(number)[:40]!r} is no number of bits or rows")
        if not isinstance(weights, list) or len(weights) != bits or not isinstance(model, str):
            raise GalleryError("weights or model are none of a gallery")
        if min(numbers, default=1) < 1 or len(set(numbers)) < len(numbers):
            raise GalleryError("the numbers of its identities are not each there once, from 1 on")
        if len(set(map(check_name, names))) < len(names):
            raise GalleryError("two of its identities have the same name")
        Codes.empty(bits, np.asarray(weights), model)
        if header["calibration"] is not None:
            Calibration.from_json(header["calibration"])
    except (KeyError, TypeError, ValueError, OverflowError, ReidHashError) as error:
        raise GalleryError(f"{path} is damaged: {one_line(error)}") from error


def _sum(header: dict[str, Any]) -> int:
    return zlib.crc32(json.dumps(header, sort_keys=True).encode())


def insert_file(db: sqlite3.Connection, gallery: Exported) -> int:
    """Add all that a file holds to a gallery; gives how many sightings.

    An unused gallery takes over the numbers of sightings and identities. In another one they get
    new numbers, and identities of the same name are the same.

    Args:
        db: in a transaction.
        gallery: what `read_file` gave, of the gallery's model and length.

    Raises:
        GalleryError, CodeError: the file is damaged.
    """
    unused = not select.last_id(db) and not select.count_identities(db)
    numbers: dict[int | None, int | None] = {None: None}
    for number, name in gallery.header["identities"]:
        found = None if name is None else select.find_identity(db, name)
        numbers[number] = found or rows.add_identity(db, name, number if unused else None)
    added, last, bits = 0, 0, int(gallery.header["bits"])
    for part in gallery.parts:
        last = check_ids(part["id"], last)
        if not numbers.keys() >= set(part["identity"]):
            raise GalleryError("a sighting is of an identity that the file does not list")
        columns = (part[name] for name in (*select.SEALED.split(", "), "thumbnail"))
        sightings = []
        for number, _, camera, time, source, track, frame, *box, identity, jpeg in zip(
            *columns, strict=True
        ):
            place = None if box == [None] * 4 else (box[0], box[1], box[2], box[3])
            who = numbers[identity]
            sightings.append(
                Sighting(camera, time, source, track, frame, place, jpeg, who, None, number)
            )
        packed = np.frombuffer(b"".join(part["code"]), np.uint8).reshape(len(sightings), -1)
        codes = Codes(packed, bits)  # looks at width and padding
        rows.insert(db, codes.packed, sightings, now=0.0, keep_ids=unused)
        added += len(sightings)
    if added != gallery.header["sightings"]:
        raise GalleryError(f"{added:,} sightings in place of {gallery.header['sightings']:,}")
    return added


def check_ids(ids: list[int], last: int) -> int:
    """Give the last id of a part; GalleryError where they do not ascend from above `last` on."""
    for number in ids:
        if not last < number < _NUMBERS:
            raise GalleryError(
                f"sighting {number} follows {last} in the file, which is damaged: ids ascend from 1"
            )
        last = number
    return last
