"""Erasing sightings so that no part of a table holds them any more, with a receipt.

A mutation writes the parts that hold a row anew without it; the engine deletes the old ones a
second or two later. Erasing ends when they are gone, and so are the notes of the mutations, which
say what was asked.
"""

import os
import time
from pathlib import Path
from typing import NamedTuple

from reid_hash.errors import GalleryError
from reid_hash.gallery.clickhouse.link import Link, text
from reid_hash.gallery.clickhouse.people import ClickHousePeople
from reid_hash.gallery.clickhouse.rows import Names, condition
from reid_hash.gallery.clickhouse.schema import SHARDED
from reid_hash.gallery.sighting import Filter
from reid_hash.utils.timestamps import format_time

_WAIT = 60.0  # seconds that the engine gets to delete old parts
_PAUSE = 0.05


class Receipt(NamedTuple):
    """What was erased, and how that was checked.

    Attributes:
        asked: the filter, as text.
        sightings: how many there were.
        thumbnails: how many of them had one.
        identities: numbers of the identities that went with their last sighting.
        time: when it was done, in seconds since 1970, UTC.
        checked: what was looked at afterwards, a line each.
    """

    asked: str
    sightings: int
    thumbnails: int
    identities: tuple[int, ...]
    time: float
    checked: tuple[str, ...]

    def __str__(self) -> str:
        went = ", ".join(f"#{one}" for one in self.identities[:20]) or "none"
        lines = [
            f"receipt of {format_time(self.time)}",
            f"  asked      {self.asked}",
            f"  erased     {self.sightings:,} sightings, {self.thumbnails:,} thumbnails; "
            f"identities: {went}",
            *(f"  checked    {line}" for line in self.checked),
        ]
        return "\n".join(lines)


def erase(link: Link, names: Names, people: ClickHousePeople, chosen: Filter) -> Receipt:
    """Erase the chosen sightings, their thumbnails, and identities of which none is left.

    Raises:
        GalleryError: they could not be erased; or the rows are gone from all answers, but not yet
            from all parts. The message says which.
    """
    where = condition(chosen, people.find)
    rows = names("sighting_rows")
    there = int(link.value(f"SELECT count() FROM {rows} WHERE {where}"))
    theirs = [
        int(one)
        for (one,) in link.rows(
            f"SELECT DISTINCT identity FROM {rows} WHERE {where} AND identity IS NOT NULL"
        )
    ]
    inner = f"SELECT id FROM {names.local('sighting_rows')} WHERE {where}"
    pictures = 0
    if there:
        pictures = int(
            link.value(
                f"SELECT count() FROM {names('thumbnails')} WHERE sighting IN "
                f"(SELECT id FROM {rows} WHERE {where})"
            )
        )
        # the thumbnails first: they are found by their sightings
        link.run(
            f"ALTER TABLE {names.changed('thumbnails')} DELETE WHERE sighting IN ({inner})",
            mutations_sync=2,
        )
        link.run(
            f"ALTER TABLE {names.changed('sighting_rows')} DELETE WHERE {where}",
            mutations_sync=2,
        )
    gone = people.drop(theirs)
    left = int(link.value(f"SELECT count() FROM {rows} WHERE {where}"))
    if left:
        raise GalleryError(
            f"gallery {link.address}: {left:,} sightings were added while others were erased; "
            "erase once more"
        )
    checked = ["no row of the tables is one of them", *settle(link, names)]
    return Receipt(_shown(chosen), there, pictures, tuple(gone), time.time(), tuple(checked))


def settle(link: Link, names: Names) -> list[str]:
    """Wait until no old part and no note of a mutation is left; gives what was checked.

    Raises:
        GalleryError: the engine keeps them, for a reader that still reads, or a full disk.
    """
    database = names.database
    parts = (
        f"clusterAllReplicas(`{names.cluster}`, system.parts)" if names.cluster else "system.parts"
    )
    tables = [f"{table}_local" if names.cluster and table in SHARDED else table for table in _ALL]
    for table in tables:
        on = f" ON CLUSTER `{names.cluster}`" if names.cluster else ""
        link.run(
            f"KILL MUTATION{on} WHERE database = {text(database)} AND table = {text(table)} "
            f"AND is_done{'' if on else ' SYNC'}"
        )
    old = f"SELECT count() FROM {parts} WHERE database = {text(database)} AND NOT active"
    until = time.monotonic() + _WAIT
    while count := int(link.value(old)):
        if time.monotonic() > until:
            raise GalleryError(
                f"gallery {link.address}: the sightings are gone from all answers, but {count} old "
                "parts with them are not deleted yet; the engine goes on with that"
            )
        time.sleep(_PAUSE)
    checked = [f"no part that a change replaced is left ({parts})"]
    if link.address.folder is not None:
        checked.append(_check_folder(link, until))
    return checked


_ALL = (*SHARDED, "identities", "batches", "meta")


def _check_folder(link: Link, until: float) -> str:
    """Look into the folder of an embedded engine: nothing but the parts that count."""
    while True:
        active = {
            os.path.realpath(path)
            for (path,) in link.rows(
                "SELECT path FROM system.parts WHERE active AND database = "
                f"{text(link.address.database)}"
            )
        }
        roots = [
            os.path.realpath(path)
            for (paths,) in link.rows(
                "SELECT data_paths FROM system.tables WHERE engine = 'MergeTree' AND database = "
                f"{text(link.address.database)}"
            )
            for path in paths
        ]
        strange = [str(entry) for root in roots for entry in _strange(Path(root), active)]
        if not strange:
            return f"the folder holds {len(active):,} parts, those that count, and no others"
        if time.monotonic() > until:
            raise GalleryError(
                f"gallery {link.address}: the sightings are gone from all answers, but "
                f"{os.path.basename(strange[0])} is still in its folder"
            )
        time.sleep(_PAUSE)


def _strange(root: Path, active: set[str]) -> list[Path]:
    found = []
    for entry in root.iterdir():
        if entry.name in ("detached", "deduplication_logs", "format_version.txt"):
            if entry.name == "detached":
                found += list(entry.iterdir())
        elif os.path.realpath(entry) not in active:
            found.append(entry)
    return found


def _shown(chosen: Filter) -> str:
    """A filter as text."""
    shown = []
    for key, wanted in chosen.items():
        if wanted is None:
            continue
        if isinstance(wanted, float | int):
            shown.append(f"{key} {format_time(float(wanted))}")
        else:
            listed = list(wanted)  # type: ignore[call-overload]
            some = ", ".join(map(str, listed[:10])) + (", …" if len(listed) > 10 else "")
            shown.append(f"{key} {some}")
    return "; ".join(shown)
