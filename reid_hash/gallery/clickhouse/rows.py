"""Sightings as rows: filters in SQL, rows read and looked at, batches added whole or not at all.

ClickHouse has no transactions. A batch of sightings first claims its ids in the table `batches`,
then its rows go in, then the batch is called done. Readers leave out the ids of batches that are
not: what a killed writer left half done is never seen, and the next writer takes it out.
"""

import contextlib
import math
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from reid_hash.errors import GalleryError, MissingError
from reid_hash.gallery.clickhouse.link import Columns, Link, number, real, text, turn_of
from reid_hash.gallery.clickhouse.schema import SHARDED, columns_of, words
from reid_hash.gallery.sighting import Fields, Filter, Sighting, any_names, is_text
from reid_hash.utils.timestamps import TIME_LIMIT

FIELDS = "id, camera, time, source, track, frame, x, y, w, h, identity"
"""Columns that make a sighting, but for its code, thumbnail and name."""

NUMBERS = 2**62
"""Above all numbers of sightings and identities."""

_COLUMNS = {
    "ids": "id",
    "cameras": "camera",
    "sources": "source",
    "tracks": "track",
    "identities": "identity",
}
_TIMES = {"since": ">=", "until": "<"}
_OPEN, _DONE, _VOID, _BASE = 1, 2, 3, 4  # states of a batch
_PROCESS = secrets.token_hex(8)  # which claims are of writers that live, where one process writes
_DEAD = 3600.0  # seconds after which a claim of another process is given up
_MANY = 256  # claims that are kept before they are summed up
_ATTEMPTS = 100

Find = Callable[[int | str], int | None]
"""Gives the number of an identity that is given by number or name."""


class Names:
    """How statements name the tables, on one node or on a cluster.

    Args:
        database: its name.
        cluster: or empty.
    """

    def __init__(self, database: str, cluster: str = "") -> None:
        self.database, self.cluster = database, cluster

    def __call__(self, table: str) -> str:
        """A table to read from, or to insert into."""
        return f"{self.database}.{table}"

    def local(self, table: str) -> str:
        """A table as one node has it."""
        sharded = self.cluster and table in SHARDED
        return f"{self.database}.{table}{'_local' if sharded else ''}"

    def changed(self, table: str) -> str:
        """A table to change rows of, wherever they are."""
        sharded = self.cluster and table in SHARDED
        return self.local(table) + (f" ON CLUSTER `{self.cluster}`" if sharded else "")


# ---- filters


def condition(chosen: Filter, find: Find) -> str:
    """A filter as an SQL condition on `sighting_rows`; "1" where it takes all.

    Args:
        chosen: which sightings.
        find: looks identities up.

    Raises:
        GalleryError: it asks for an identity that is not there.
    """
    terms: list[str] = []
    wanted: Any
    for key, wanted in chosen.items():
        if wanted is None:
            continue
        if key in _TIMES:
            terms.append(f"time {_TIMES[key]} {real(wanted)}")
            continue
        exclude = key.startswith("exclude_")
        column = _COLUMNS[key.removeprefix("exclude_")]
        if column == "identity":
            found = [find(one) for one in wanted]
            for one, number_of in zip(wanted, found, strict=True):
                if number_of is None and not exclude:  # who is not there is excluded already
                    shown = one if isinstance(one, str) else f"#{one}"
                    raise MissingError(f"there is no identity {shown} in the gallery")
            wanted = [one for one in found if one is not None]
        if column == "source":
            wanted = any_names(wanted)
        listed = ", ".join(dict.fromkeys(_literals(wanted)))
        if exclude:
            if listed:
                terms.append(f"ifNull({column} NOT IN ({listed}), 1)")
        else:
            terms.append(f"{column} IN ({listed})" if listed else "0")
    return " AND ".join(terms) or "1"


def _literals(wanted: Sequence[int | str]) -> Iterator[str]:
    """Values of a list, without those that no row can have."""
    for one in wanted:
        if isinstance(one, str):
            if is_text(one):
                yield text(one)
        elif -(2**63) <= int(one) < 2**63:
            yield number(one)


# ---- which batches count


class View(NamedTuple):
    """Which ids readers see.

    Attributes:
        last: ids up to this one; later batches came after this view was taken.
        hidden: [n, 2] int64, the first and last id of batches under way, which are not seen.
    """

    last: int
    hidden: NDArray[np.int64]

    def seen(self, ids: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of some ids are seen."""
        seen: NDArray[np.bool_] = ids <= self.last
        for first, last in self.hidden.tolist():
            seen &= (ids < first) | (ids > last)
        return seen

    def condition(self) -> str:
        """The same in SQL."""
        hidden = [f"id NOT BETWEEN {first} AND {last}" for first, last in self.hidden.tolist()]
        return " AND ".join([f"id <= {self.last}", *hidden])


class _Claim(NamedTuple):
    token: str
    first: int
    last: int
    state: int
    made: float


class Batches:
    """The batches of a gallery: claims of ids, and which of them are done.

    Args:
        link: to the gallery.
        names: of its tables.
    """

    def __init__(self, link: Link, names: Names) -> None:
        self._link, self._names = link, names
        self._turn = turn_of(link.address)
        self._noted = 0

    def _claims(self) -> list[_Claim]:
        found = self._link.rows(
            "SELECT token, min(first), max(last), max(state), min(made) "
            f"FROM {self._names('batches')} GROUP BY token"
        )
        claims = [_Claim(*row) for row in found]
        for one in claims:
            if not (0 <= one.first <= one.last + 1 <= NUMBERS and _OPEN <= one.state <= _BASE):
                raise GalleryError(
                    f"gallery {self._link.address}: its list of batches is damaged: "
                    f"{one.first} to {one.last}, state {one.state}"
                )
        return claims

    def view(self) -> View:
        """What readers see at this moment."""
        claims = self._claims()
        last = max((one.last for one in claims if one.state in (_DONE, _BASE)), default=0)
        hidden = [[one.first, one.last] for one in _under_way(claims) if one.first <= last]
        return View(last, np.array(hidden, np.int64).reshape(-1, 2))

    def last_id(self) -> int:
        """The highest id that any sighting ever had; 0 where there was none."""
        return max((one.last for one in self._claims() if one.state != _VOID), default=0)

    def claim(self, count: int, ids: tuple[int, int] | None = None) -> _Claim:
        """Claim ids for a batch, above all that there ever were.

        Two writers may claim the same at the same moment: each then sees the other's claim, for
        it looks after it has written its own, and whoever sees another's gives his own up.

        Args:
            count: how many.
            ids: the first and last, where they are given; all above those that there are.
        """
        for _ in range(_ATTEMPTS):
            with self._turn:
                first = self.last_id() + 1
                if ids is not None and ids[0] < first:
                    raise GalleryError(f"there is a sighting {ids[0]}, or a later one, already")
                first, last = (first, first + count - 1) if ids is None else ids
                if last >= NUMBERS:
                    raise GalleryError(
                        f"gallery {self._link.address} has no numbers left for sightings"
                    )
                mine = _Claim(f"{_PROCESS}-{secrets.token_hex(8)}", first, last, _OPEN, time.time())
                self._note(mine, _OPEN)
                others = [one for one in self._claims() if one.token != mine.token]
            if not any(_clash(one, mine) for one in others):
                return mine
            self._note(mine, _VOID)
            time.sleep(secrets.randbelow(20) / 1000)
        raise GalleryError(
            f"gallery {self._link.address}: too many writers at the same moment; try again"
        )

    def done(self, claim: _Claim) -> None:
        """Call a batch done: from now on it is seen."""
        self._note(claim, _DONE)
        self._noted += 1
        if self._noted % _MANY == 0:
            self.tidy()

    def void(self, claim: _Claim) -> None:
        """Take the rows of a batch out that did not get done."""
        for table, column in (("sighting_rows", "id"), ("thumbnails", "sighting")):
            self._link.run(
                f"ALTER TABLE {self._names.changed(table)} "
                f"DELETE WHERE {column} BETWEEN {claim.first} AND {claim.last}",
                mutations_sync=2,
            )
        self._note(claim, _VOID)

    def _note(self, claim: _Claim, state: int) -> None:
        columns: Columns = {
            "first": ("Int64", [claim.first]),
            "last": ("Int64", [claim.last]),
            "token": ("String", [claim.token]),
            "state": ("UInt8", [state]),
            "made": ("Float64", [claim.made]),
        }
        self._link.insert("batches", columns)

    def tidy(self) -> None:
        """Take out what writers left that are gone, and sum up old batches; for writers."""
        alone = self._link.address.folder is not None  # one process has the folder open
        with self._turn:
            claims = self._claims()
            for one in _under_way(claims):
                mine = one.token.startswith(f"{_PROCESS}-")
                if not mine and (alone or one.made < time.time() - _DEAD):
                    self.void(one)
            if len(claims) <= _MANY:
                return
            claims = self._claims()
            before = time.time() - _DEAD
            open_now = _under_way(claims)
            old = [
                one
                for one in claims
                if one.state in (_DONE, _VOID)
                and (alone or one.made < before)
                and not any(one.last >= other.first for other in open_now)
            ]
            last = max((one.last for one in old if one.state == _DONE), default=0)
            bases = [one for one in claims if one.state == _BASE]
            last = max([last, *(one.last for one in bases)])
            if last:
                self._note(_Claim(f"base-{secrets.token_hex(8)}", 1, last, _BASE, 0.0), _BASE)
            tokens = ", ".join(text(one.token) for one in (*old, *bases))
            table = self._names.changed("batches")
            if tokens:
                self._link.run(
                    f"ALTER TABLE {table} DELETE WHERE token IN ({tokens})",
                    mutations_sync=2,
                )


def _clash(other: _Claim, mine: _Claim) -> bool:
    """Whether another claim takes ids of mine; one that sums others up takes all below its last."""
    if other.state == _VOID:
        return False
    return mine.first <= other.last and (other.state == _BASE or other.first <= mine.last)


def _under_way(claims: Sequence[_Claim]) -> list[_Claim]:
    """Claims that may have rows and are not done; those that overlap one that is have none."""
    done = [one for one in claims if one.state == _DONE]
    return [
        one
        for one in claims
        if one.state == _OPEN
        and not any(one.first <= other.last and other.first <= one.last for other in done)
    ]


# ---- adding


def insert(
    link: Link,
    batches: Batches,
    packed: NDArray[np.uint8],
    bits: int,
    sightings: Sequence[Sighting],
    fields: Sequence[Fields],
    identities: Sequence[int | None],
    keep_ids: bool = False,
) -> NDArray[np.int64]:
    """Add sightings, all or none; gives their ids [n] int64, ascending.

    Args:
        link: to the gallery.
        batches: of the gallery.
        packed: [n, width] uint8, their codes.
        bits: length of the codes.
        sightings: n of them.
        fields: their columns, from `fields_of`.
        identities: n numbers, or None.
        keep_ids: the sightings come with their ids, ascending, all above those there are.

    Raises:
        GalleryError: they could not be written, and are not there.
    """
    if not len(sightings):
        return np.zeros(0, np.int64)
    by_field = dict(
        zip(FIELDS.split(", ")[1:-1], map(list, zip(*fields, strict=True)), strict=True)
    )
    jpegs = [None if one.thumbnail is None else bytes(one.thumbnail) for one in sightings]
    given = [int(one.id or 0) for one in sightings] if keep_ids else None
    claim = batches.claim(len(sightings), None if given is None else (given[0], given[-1]))
    ids = list(range(claim.first, claim.last + 1)) if given is None else given
    kinds = columns_of(bits)
    code = pack_words(packed, bits)
    values: dict[str, Sequence[Any]] = {
        "id": ids,
        **{f"c{j}": code[:, j].tolist() for j in range(code.shape[1])},
        **by_field,
        "identity": identities,
    }
    small = [i for i, jpeg in enumerate(jpegs) if jpeg is not None]
    pictures: dict[str, Sequence[Any]] = {
        "sighting": [ids[i] for i in small],
        "time": [by_field["time"][i] for i in small],
        "jpeg": [jpegs[i] for i in small],
    }
    try:
        for table, columns in (("thumbnails", pictures), ("sighting_rows", values)):
            if len(columns["time"]):
                typed = {name: (kinds[table][name], columns[name]) for name in kinds[table]}
                _twice(link, table, typed, claim.token)
        batches.done(claim)
    except BaseException:
        with contextlib.suppress(GalleryError):  # else the next writer does it
            batches.void(claim)
        raise
    return np.array(ids, np.int64)


def _twice(
    link: Link, table: str, columns: dict[str, tuple[str, Sequence[Any]]], token: str
) -> None:
    """Insert, and once more where the answer got lost: the token keeps it from adding rows."""
    try:
        link.insert(table, columns, token)
    except GalleryError:
        link.insert(table, columns, token)


def pack_words(packed: NDArray[np.uint8], bits: int) -> NDArray[np.uint64]:
    """Packed codes as words of 64 bits: bit k of a code is bit k % 64 of word k // 64.

    Args:
        packed: [n, ceil(bits / 8)] uint8.
        bits: length of a code.

    Returns:
        [n, ceil(bits / 64)] uint64.
    """
    padded = np.zeros((len(packed), 8 * words(bits)), np.uint8)
    padded[:, : packed.shape[1]] = packed
    return padded.view("<u8").astype(np.uint64)


def unpack_words(found: NDArray[np.uint64], bits: int) -> NDArray[np.uint8]:
    """The inverse of `pack_words`: [n, words] uint64 → [n, ceil(bits / 8)] uint8."""
    data = np.ascontiguousarray(found.astype("<u8")).view(np.uint8)
    return np.ascontiguousarray(data.reshape(len(found), 8 * found.shape[1])[:, : -(-bits // 8)])


# ---- reading


def to_sighting(row: Sequence[Any], names: dict[int, str], jpeg: bytes | None = None) -> Sighting:
    """A row of `FIELDS` as a sighting.

    Args:
        row: its values.
        names: number of an identity → name, where it has one.
        jpeg: its thumbnail.

    Raises:
        GalleryError: a value is none that a sighting has.
    """
    fault = row_fault(row)
    if fault is not None:
        raise GalleryError(f"sighting {row[0]} is damaged: {fault}")
    key, camera, moment, source, track, frame, x, y, w, h, identity = row
    box = None if x is None else (x, y, w, h)
    name = None if identity is None else names.get(identity)
    return Sighting(camera, moment, source, track, frame, box, jpeg, identity, name, key)


def row_fault(row: Sequence[Any]) -> str | None:
    """What is wrong with a row of `FIELDS`, or None."""
    key, camera, moment, source, _, _, *box, identity = row
    if not 1 <= key < NUMBERS:
        return "its number is none"
    if not -TIME_LIMIT < moment < TIME_LIMIT:
        return "its time is none"
    if not (is_text(camera) and is_text(source)):
        return "its camera or source is no text"
    if identity is not None and not 1 <= identity < NUMBERS:
        return "its identity is no number of one"
    if box != [None] * 4 and not all(one is not None and math.isfinite(one) for one in box):
        return "its box is no four numbers"
    return None
