"""What happens, as lines of JSON: for other programs, and to look things up afterwards."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from reid_hash.utils.files import LineFile, json_text
from reid_hash.utils.timestamps import format_time

KINDS = {
    "new": "somebody who is nobody known so far",
    "join": "somebody who is known: `distance` to the nearest sighting, the `limit`, and the nats "
    "that `place` and time speak for it",
    "watch": "somebody who looks like an image of --watch",
    "merge": "identity `other` turned out to be `identity`",
    "moved": "at the end, all tracks together: a track is of `identity`, and not of `other`",
    "leave": "a track ended: `seconds` it lasted, and its `identity`",
    "lost": "a camera gives no frames any more",
    "back": "and does again",
    "ended": "a source is over",
    "note": "something that a reader of the results must know",
}
"""Every kind of event and what it says."""


class Events:
    """A log of events, one JSON object a line, on the disk at once.

    Args:
        file: where to; None to keep none.
        heard: called with each event.

    Attributes:
        counts: how many of each kind there were.

    Raises:
        ReidHashError: the file cannot be written.
    """

    def __init__(
        self, file: Path | None, heard: Callable[[dict[str, Any]], object] | None = None
    ) -> None:
        self._file = None if file is None else LineFile(file)
        self._heard = heard
        self._lock = threading.Lock()
        self.counts: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"Events({self.counts})"

    def add(self, kind: str, time: float, **facts: Any) -> None:
        """Note an event.

        Args:
            kind: one of `KINDS`.
            time: when, seconds since 1970, UTC.
            facts: what else there is to say; None is left out.
        """
        event = {"event": kind, "time": format_time(time)}
        event |= {name: value for name, value in facts.items() if value is not None}
        with self._lock:
            self.counts[kind] = self.counts.get(kind, 0) + 1
            if self._file is not None:
                self._file.write(json_text(event, ensure_ascii=False))
        if self._heard is not None:
            self._heard(event)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None
