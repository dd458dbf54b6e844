"""Idempotency: a write that is asked for twice under one key is done once, and answered alike.

Answers hold numbers alone, no name and no picture, and requests are kept as a keyed digest: nothing
of a person who is forgotten stays here.
"""

import hashlib
import hmac
import secrets
import time
from typing import NamedTuple

from reid_hash.web.api.problems import Problem
from reid_hash.web.api.state import State

KEPT = 24 * 3600.0
"""Seconds for which an answer is kept."""


class Given(NamedTuple):
    """An answer that was given before."""

    status: int
    body: bytes


class Answered:
    """The answers to writes that came with an idempotency key.

    Args:
        state: where they are kept.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        self._process = secrets.token_hex(8)
        with state.writing() as db:
            db.execute(
                "INSERT OR IGNORE INTO facts VALUES ('digest key', ?)", (secrets.token_bytes(32),)
            )
        secret = state.fact("digest key")
        assert isinstance(secret, bytes)
        self._secret = secret

    def begin(self, caller: str, key: str, request: bytes) -> Given | None:
        """Note that a write begins; gives the answer where it was done already.

        Args:
            caller: who asks.
            key: the idempotency key.
            request: method, address and body.

        Raises:
            Problem: the key was used for another request, or that one has not ended, or ended with
                the process.
        """
        asked = hmac.new(self._secret, request, hashlib.sha256).digest()
        now = time.time()
        with self._state.writing() as db:
            db.execute("DELETE FROM answers WHERE began < ?", (now - KEPT,))
            row = db.execute(
                "SELECT asked, process, status, body FROM answers WHERE caller = ? AND key = ?",
                (caller, key),
            ).fetchone()
            if row is None:
                values = (caller, key, asked, self._process, now)
                db.execute("INSERT INTO answers VALUES (?, ?, ?, ?, ?, NULL, NULL)", values)
                return None
        before, process, status, body = row
        if not hmac.compare_digest(before, asked):
            raise Problem(409, "key-reused", "this Idempotency-Key came with another request")
        if status is not None:
            return Given(status, body)
        if process == self._process:
            raise Problem(
                *(409, "in-progress", "this request is under way; ask again in a moment"),
                headers={"retry-after": "1"},
            )
        raise Problem(
            *(409, "outcome-unknown", "the service was stopped while this request was under way"),
            hint="look whether it was done, and send it under another key if it was not",
        )

    def finish(self, caller: str, key: str, given: Given) -> None:
        """Keep the answer; on the disk when this returns."""
        with self._state.writing() as db:
            db.execute(
                "UPDATE answers SET status = ?, body = ? WHERE caller = ? AND key = ?",
                (given.status, given.body, caller, key),
            )

    def abandon(self, caller: str, key: str) -> None:
        """Forget a write that was refused: it may be sent again under the same key."""
        with self._state.writing() as db:
            db.execute(
                "DELETE FROM answers WHERE caller = ? AND key = ? AND status IS NULL",
                (caller, key),
            )
