"""Where a gallery in ClickHouse is: `clickhouse://USER@HOST:PORT/DATABASE`, or `chdb:FOLDER`."""

import os
import re
from pathlib import Path
from typing import NamedTuple

from reid_hash.errors import GalleryError

PASSWORD = "REID_HASH_CLICKHOUSE_PASSWORD"  # nosec B105  # name of a variable
"""Environment variable with the password: addresses end up in logs."""

_EMBEDDED = "reid_hash"  # the database in the folder of an embedded engine
_SERVER = re.compile(
    r"clickhouse(\+tls)?://(?:([A-Za-z0-9_.-]{1,64})@)?([A-Za-z0-9_.-]+)(?::(\d{1,5}))?/([^/]+)"
)
_FORM = "clickhouse://USER@HOST:PORT/DATABASE, or chdb:FOLDER for an embedded engine"


class ClickHouseAddress(NamedTuple):
    """Where a gallery in ClickHouse is.

    Attributes:
        text: as people write it.
        database: that holds its tables; nothing else may be in it.
        folder: of the embedded engine, or None for a server.
        host: of the server; empty for an embedded engine. The other fields are the server's, too.
        port: of its HTTP interface.
        user: to sign in as.
        tls: whether the connection is encrypted.
    """

    text: str
    database: str
    folder: Path | None
    host: str = ""
    port: int = 0
    user: str = ""
    tls: bool = False

    def __str__(self) -> str:
        return self.text

    @property
    def key(self) -> str:
        """What is the same for all addresses of one gallery in this process."""
        if self.folder is not None:
            return os.path.realpath(self.folder)
        return f"{self.host}:{self.port}/{self.database}"


def is_clickhouse(text: str) -> bool:
    """Whether a text names a gallery in ClickHouse, and no folder.

    Example:
        >>> is_clickhouse("clickhouse://db/people"), is_clickhouse("chdb:g"), is_clickhouse("g")
        (True, True, False)
    """
    return re.match(r"clickhouse(\+tls)?:|chdb:", text) is not None


def parse_address(text: str) -> ClickHouseAddress:
    """Read the address of a gallery in ClickHouse.

    Args:
        text: `clickhouse://[USER@]HOST[:PORT]/DATABASE` (`clickhouse+tls://` with TLS), or
            `chdb:FOLDER`.

    Raises:
        GalleryError: it is no such address.

    Example:
        >>> parse_address("clickhouse://ann@db.example/people")[1:6]
        ('people', None, 'db.example', 8123, 'ann')
        >>> parse_address("chdb:data/people").folder.as_posix()
        'data/people'
    """
    if text.startswith("chdb:"):
        folder = text.removeprefix("chdb:")
        if folder.startswith("///"):  # as in a URL
            folder = folder[2:]
        # the engine reads what follows a question mark as its options
        if not folder or folder.startswith("//") or set(folder) & set("?\0\n"):
            raise GalleryError(f"{text} is no address of a gallery: write {_FORM}")
        return ClickHouseAddress(text, _EMBEDDED, Path(folder))
    found = _SERVER.fullmatch(text)
    if found is None:
        raise GalleryError(
            f"{_hidden(text)} is no address of a gallery: write {_FORM}; a password comes from "
            f"${PASSWORD}"
        )
    tls, user, host, port, database = found.groups()
    number = int(port or (8443 if tls else 8123))
    if not 0 < number < 2**16:
        raise GalleryError(f"{text}: a port is at most 65535")
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,63}", database):
        raise GalleryError(
            f"{text}: a database is up to 64 letters, digits and '_', and begins with no digit"
        )
    return ClickHouseAddress(text, database, None, host, number, user or "default", bool(tls))


def _hidden(text: str) -> str:
    """An address without the password that somebody wrote into it all the same."""
    return re.sub(r"://([^/@]*):[^/]*@", r"://\1:…@", text)
