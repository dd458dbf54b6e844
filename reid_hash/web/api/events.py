"""Events: what changed in the gallery, in order, for those who listen.

An event is a number, a kind and the number of what it is about. What that is, is looked up when the
event is told: of a sighting that was erased meanwhile nothing is left here to tell.
"""

import contextlib
import logging
import sqlite3
import threading
import time
from typing import Any, Literal

from reid_hash.errors import ReidHashError
from reid_hash.gallery.base import AnyGallery
from reid_hash.web.api import schemas
from reid_hash.web.api.state import State
from reid_hash.web.served_gallery import ServedGallery

Kind = Literal["sighting", "people", "erased"]
"""sighting: added by anybody; people: a person was changed through the service; erased: a receipt
was given."""

_LOG = logging.getLogger(__name__)
_LOOK = 1.0  # seconds between two looks for sightings that other programs added
_BLOCK = 1000
_KEPT = 100_000  # events
_LAST = "last sighting"


class Events:
    """The events of a service; may be used from several threads.

    A thread looks for new sightings, whoever added them, from where it was when the service ended.

    Args:
        state: where they are kept.
        served: the gallery.

    Attributes:
        last: number of the newest event.
    """

    def __init__(self, state: State, served: ServedGallery) -> None:
        self._state, self._served = state, served
        with state.reading() as db:
            row = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'events'").fetchone()
        self.last = 0 if row is None else int(row[0])
        self._added, self._ended = threading.Event(), threading.Event()
        with contextlib.suppress(ReidHashError, sqlite3.Error):
            self._begin()  # before anybody can add: what is there already is no news
        self._thread = threading.Thread(target=self._look, name="events", daemon=True)
        self._thread.start()

    def note(self, kind: Kind, subject: int | None) -> None:
        """Add an event."""
        self._insert([(kind, subject)])

    def poke(self) -> None:
        """Look for new sightings now."""
        self._added.set()

    def _insert(self, events: list[tuple[Kind, int | None]], last: int | None = None) -> None:
        now = time.time()
        with self._state.writing() as db:
            for kind, subject in events:
                db.execute(
                    "INSERT INTO events (kind, subject, time) VALUES (?, ?, ?)",
                    (kind, subject, now),
                )
            if last is not None:
                db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (_LAST, last))
            number = db.execute("SELECT max(id) FROM events").fetchone()[0]
            if number is not None:
                db.execute("DELETE FROM events WHERE id <= ?", (number - _KEPT,))
        self.last = max(self.last, number or 0)

    def _look(self) -> None:
        while not self._ended.is_set():
            try:
                more = self._find()
            except (ReidHashError, sqlite3.Error) as error:
                more = False  # the gallery may be there again later
                _LOG.debug("events: %s", error)
            if not more:
                self._added.wait(_LOOK)
                self._added.clear()

    def _begin(self) -> int:
        """Number of the last sighting that was told; where none was, of the newest there is."""
        last = self._state.fact(_LAST)
        if not isinstance(last, int):
            last = _highest(self._served.gallery)
            self._insert([], last)
        return last

    def _find(self) -> bool:
        """Note new sightings; gives whether there may be more."""
        gallery = self._served.gallery
        last = self._begin()
        found = gallery.sightings(after=last, limit=_BLOCK)
        ids = [one.id for one in found if one.id is not None]
        if ids:
            self._insert([("sighting", number) for number in ids], ids[-1])
        return len(ids) == _BLOCK

    def read(self, after: int, limit: int = 100) -> tuple[list[dict[str, Any]], int]:
        """Events in their order.

        Args:
            after: number of the last one that is known.
            limit: how many at most are looked at.

        Returns:
            (events with `id`, `type`, `time` and `data`; the number of the last one looked at).
        """
        with self._state.reading() as db:
            rows = db.execute(
                "SELECT id, kind, subject, time FROM events WHERE id > ? ORDER BY id LIMIT ?",
                (after, limit),
            ).fetchall()
        ids = [subject for _, kind, subject, _ in rows if kind == "sighting"]
        there = {one.id: one for one in self._served.gallery.sightings(ids=ids)} if ids else {}
        told = []
        for number, kind, subject, moment in rows:
            if kind == "sighting" and subject not in there:
                continue  # erased meanwhile
            data: dict[str, Any] = {"receipt" if kind == "erased" else "identity": subject}
            if kind == "sighting":
                data = schemas.sighting_object(there[subject])
            told.append({"id": number, "type": kind, "time": moment, "data": data})
        return told, rows[-1][0] if rows else after

    def first(self) -> int:
        """Number of the oldest event that is kept; that of the next one where there is none."""
        with self._state.reading() as db:
            number = db.execute("SELECT min(id) FROM events").fetchone()[0]
        return self.last + 1 if number is None else int(number)

    def close(self) -> None:
        """End the thread."""
        self._ended.set()
        self._added.set()
        self._thread.join(10)


def _highest(gallery: AnyGallery) -> int:
    """The highest id of a sighting, 0 where there is none: no gallery tells it at once."""
    low, high = 0, 1
    while gallery.sightings(after=high, limit=1):
        low, high = high, 2 * high
    while low < high:  # some id is above `low`, or none at all; none is above `high`
        middle = (low + high) // 2
        if gallery.sightings(after=middle, limit=1):
            low = middle + 1
        else:
            high = middle
    return low
