"""Keys: who may ask the service for what. At rest there is only their digest.

A key is 256 random bits: nobody can guess it from its SHA-256, so that no slow hash is needed, and
none could be paid for at every request.
"""

import hashlib
import hmac
import re
import secrets
import sqlite3
import time
from collections.abc import Iterable
from typing import Literal, NamedTuple, get_args

from reid_hash.errors import ConfigError
from reid_hash.web.api.state import State

Role = Literal["read", "write", "erase"]
ROLES: tuple[Role, ...] = get_args(Role)
"""read: search and look at; write: add and correct; erase: forget and prune. None holds another."""

_KEY = re.compile(r"rh_([0-9a-f]{8})_[A-Za-z0-9_-]{43}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._@-]{0,63}")


class Caller(NamedTuple):
    """Who asks.

    Attributes:
        name: of the key; "loopback" where none is needed.
        roles: what it is for.
    """

    name: str
    roles: frozenset[Role]


class Key(NamedTuple):
    """A key as it is listed.

    Attributes:
        id: part of the key that is no secret.
        name: whom it was given to.
        roles: what it is for.
        made: when, seconds since 1970, UTC.
    """

    id: str
    name: str
    roles: tuple[Role, ...]
    made: float


ANYBODY = Caller("loopback", frozenset(ROLES))
"""Who asks on this machine while there are no keys."""


class Keys:
    """The keys of a service; changes by another process count at once.

    Args:
        state: where they are kept.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        self._version = -1
        self._known: dict[str, tuple[bytes, Caller]] = {}

    def __len__(self) -> int:
        """Number of keys."""
        return len(self._current())

    def add(self, name: str, roles: Iterable[Role]) -> str:
        """Make a key; gives it, for the only time.

        Raises:
            ConfigError: the name is taken or no name, or there is no role.
        """
        chosen = [role for role in ROLES if role in set(roles)]
        if not _NAME.fullmatch(name):
            raise ConfigError(
                f"{name!r} is no name of a key: letters, digits, spaces and . _ @ -, at most 64"
            )
        if not chosen:
            raise ConfigError("say what the key is for: --role read, write or erase")
        number = secrets.token_hex(4)
        key = f"rh_{number}_{secrets.token_urlsafe(32)}"
        try:
            with self._state.writing() as db:
                db.execute(
                    "INSERT INTO keys VALUES (?, ?, ?, ?, ?)",
                    (number, name, " ".join(chosen), _digest(key), time.time()),
                )
        except sqlite3.IntegrityError as error:
            raise ConfigError(f"there is a key for {name} already; remove it first") from error
        return key

    def list(self) -> list[Key]:
        """All keys, by name."""
        with self._state.reading() as db:
            rows = db.execute("SELECT id, name, roles, made FROM keys ORDER BY name").fetchall()
        return [Key(number, name, _roles(roles), made) for number, name, roles, made in rows]

    def remove(self, name: str) -> None:
        """Take a key back, by its name or id; ConfigError where there is none."""
        with self._state.writing() as db:
            gone = db.execute("DELETE FROM keys WHERE name = ? OR id = ?", (name, name)).rowcount
        if not gone:
            raise ConfigError(f"there is no key for {name}")

    def caller(self, key: str) -> Caller | None:
        """Whose key this is, or None."""
        match = _KEY.fullmatch(key)
        if match is None or match[1] not in (known := self._current()):
            return None
        digest, caller = known[match[1]]
        return caller if hmac.compare_digest(digest, _digest(key)) else None

    def has(self, caller: Caller) -> bool:
        """Whether a caller's key is still taken, for the same things."""
        return any(one == caller for _, one in self._current().values())

    def _current(self) -> dict[str, tuple[bytes, Caller]]:
        version = self._state.version()
        if version != self._version:
            with self._state.reading() as db:
                rows = db.execute("SELECT id, name, roles, digest FROM keys").fetchall()
            self._known = {
                number: (digest, Caller(name, frozenset(_roles(roles))))
                for number, name, roles, digest in rows
            }
            self._version = version
        return self._known


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


def _roles(text: str) -> tuple[Role, ...]:
    given = text.split()
    return tuple(role for role in ROLES if role in given)
