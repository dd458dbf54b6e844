"""Receipts: what was erased, when, and for whom."""

import json
import time
from collections.abc import Callable
from typing import Any

from reid_hash.gallery.sighting import Filter
from reid_hash.utils.files import json_text
from reid_hash.web.api.state import State

_PLAIN = ("ids", "cameras", "tracks", "since", "until", "exclude_ids", "exclude_cameras")
_SHOWN = 100  # numbers of a list that are kept


def described(where: Filter) -> dict[str, Any]:
    """What was asked to be erased: numbers, cameras and times, but no names and no sources."""
    told: dict[str, Any] = {}
    for key, value in where.items():
        if value is None:
            continue
        if isinstance(value, list) and len(value) > _SHOWN:
            told[key] = f"{len(value)} of them"
        elif key in _PLAIN:
            told[key] = value
        elif isinstance(value, list):
            told[key] = [one if isinstance(one, int) else "by name" for one in value]
    return told


class Receipts:
    """The receipts of a service; kept for good.

    Args:
        state: where they are kept.
    """

    def __init__(self, state: State) -> None:
        self._state = state

    def erase(self, caller: str, what: dict[str, Any], work: Callable[[], int]) -> dict[str, Any]:
        """Erase, with a receipt that is on the disk before it begins.

        Args:
            caller: for whom.
            what: what was asked for.
            work: erases; gives how many sightings that was.

        Returns:
            The receipt.
        """
        with self._state.writing() as db:
            number = db.execute(
                "INSERT INTO receipts (caller, asked, what) VALUES (?, ?, ?)",
                (caller, time.time(), json_text(what)),
            ).lastrowid
        erased = work()
        with self._state.writing() as db:
            db.execute(
                "UPDATE receipts SET done = ?, sightings = ? WHERE id = ?",
                (time.time(), erased, number),
            )
        (receipt,) = self.list(before=(number or 0) + 1, limit=1)
        return receipt

    def list(self, before: int, limit: int) -> list[dict[str, Any]]:
        """Receipts of a number below `before`, the newest first."""
        with self._state.reading() as db:
            rows = db.execute(
                "SELECT id, caller, asked, done, what, sightings FROM receipts WHERE id < ? "
                "ORDER BY id DESC LIMIT ?",
                (before, limit),
            ).fetchall()
        names = ("receipt", "caller", "asked", "done", "what", "sightings")
        return [{**dict(zip(names, row, strict=True)), "what": json.loads(row[4])} for row in rows]
