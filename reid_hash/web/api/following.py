"""Handing on events one after the other, from where it ended the last time."""

import logging
import sqlite3
import threading
from collections.abc import Callable
from typing import Any

from reid_hash.errors import ReidHashError
from reid_hash.web.api.events import Events
from reid_hash.web.api.state import State

_LOG = logging.getLogger(__name__)
_LOOK = 0.5  # seconds between two looks for events


class Follower:
    """Hands on events in a thread of its own, each until it is taken.

    What was taken is kept: a service that starts again goes on from there. Who is new gets what
    happens from then on.

    Args:
        name: under which it is kept how far it came.
        state: where.
        events: to hand on.
        deliver: hands on one event and returns when it was taken; False where `ended` came first.

    Attributes:
        ended: set when it is to end.
    """

    def __init__(
        self, name: str, state: State, events: Events, deliver: Callable[[dict[str, Any]], bool]
    ) -> None:
        self._name, self._state, self._events, self._deliver = name, state, events, deliver
        after = state.fact(name)
        self._after = after if isinstance(after, int) else events.last
        self._keep()
        self.ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name.split()[0], daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def _keep(self) -> None:
        with self._state.writing() as db:
            db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (self._name, self._after))

    def _run(self) -> None:
        while not self.ended.wait(_LOOK):
            try:
                first = self._events.first()
                if self._after + 1 < first:
                    _LOG.warning(
                        "%s: events %d to %d are no longer kept and were not sent",
                        *(self._name, self._after + 1, first - 1),
                    )
                    self._after = first - 1
                while self._events.last > self._after and not self.ended.is_set():
                    told, last = self._events.read(self._after)
                    for one in told:
                        if not self._deliver(one):
                            return
                        self._after = one["id"]
                        self._keep()
                    self._after = max(self._after, last)
                    self._keep()
            except (ReidHashError, sqlite3.Error) as error:
                _LOG.debug("%s: %s", self._name, error)

    def close(self, wait: float) -> None:
        """End; what was not taken is handed on when the service starts again.

        Args:
            wait: seconds for what is under way.
        """
        self.ended.set()
        if self._thread.is_alive():
            self._thread.join(wait)
