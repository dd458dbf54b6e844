"""The connection to ClickHouse: a client for each thread, every failure one line.

One engine runs in a process, and one process at a time has the folder of an embedded engine open;
galleries of the same folder share it. Values reach SQL as literals that only this file writes:
text as hexadecimal digits, numbers as digits, so that nothing of a value can be read as SQL.
"""

import contextlib
import importlib
import json
import os
import re
import struct
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from reid_hash.errors import BusyError, GalleryError, one_line
from reid_hash.gallery.clickhouse.address import PASSWORD, ClickHouseAddress

_CONNECT, _ANSWER = 10, 600  # seconds that a server may take to take a connection, and to answer
_LONGEST = 300  # characters of what the engine says of an error
_STATEMENT = 2**28  # bytes: lists of ids are written into statements

Columns = dict[str, tuple[str, Sequence[Any]]]
"""Name → type and values of the rows that are to be inserted."""

_SERVER = {
    "skip_unavailable_shards": 0,  # no answer that lacks the sightings of a shard
    "distributed_foreground_insert": 1,  # rows are on their shards when an insert returns
    "distributed_product_mode": "local",  # a sighting and its thumbnail are on one shard
    "insert_quorum": "auto",  # and on most replicas,
    "select_sequential_consistency": 1,  # whose claims of ids every writer sees
}
"""For a cluster; one node takes no notice."""

_turns: dict[str, threading.RLock] = {}
_turns_turn = threading.Lock()


def turn_of(address: ClickHouseAddress) -> threading.RLock:
    """The lock by which the writers of one gallery in this process take turns where they must."""
    with _turns_turn:
        return _turns.setdefault(address.key, threading.RLock())


class Link:
    """A connection to the database of a gallery; may be used from several threads.

    Args:
        address: of the gallery.

    Raises:
        GalleryError: the server does not answer, another process has the folder open, or the
            extra is not installed.
    """

    def __init__(self, address: ClickHouseAddress) -> None:
        self.address = address
        self._own = threading.local()
        self._clients: list[Any] = []
        self._turn = threading.Lock()
        self._closed = False
        self._client()

    def _client(self) -> Any:
        client = getattr(self._own, "client", None)
        if client is not None:
            return client
        if self._closed:
            raise GalleryError(f"gallery {self.address} is closed")
        client = self._connect()
        self._own.client = client
        with self._turn:
            self._clients.append(client)
        return client

    def _connect(self) -> Any:
        address = self.address
        driver = _driver(embedded=address.folder is not None)
        if address.folder is not None:
            folder = os.path.realpath(address.folder)
            _check_free(Path(folder), address)
            made: dict[str, Any] = {"dsn": f"chdb:///{folder}"}
        else:
            made = {
                "host": address.host,
                "port": address.port,
                "username": address.user,
                "password": os.environ.get(PASSWORD, ""),
                "secure": address.tls,
                "connect_timeout": _CONNECT,
                "send_receive_timeout": _ANSWER,
                "autogenerate_session_id": False,  # threads may ask at the same time
                "query_retries": 0,
                "settings": _SERVER,
            }
        try:
            return driver.get_client(**made)
        except Exception as error:  # the driver's own, urllib3's, and the engine's
            where = f"gallery {address}"
            if "already initialized with path" in str(error):
                raise GalleryError(
                    f"{where} cannot be opened: this process has another embedded gallery open, "
                    "and an engine takes one folder at a time; close that first"
                ) from error
            if address.folder is not None:
                raise GalleryError(f"{where} cannot be opened: {_reason(error)}") from error
            raise GalleryError(f"{where} does not answer: {_reason(error)}") from error

    def close(self) -> None:
        """Close the connections of all threads."""
        self._closed = True
        with self._turn:
            clients, self._clients = self._clients, []
        for client in clients:
            with contextlib.suppress(Exception):
                client.close()
        self._own = threading.local()

    @contextlib.contextmanager
    def _plain_errors(self) -> Iterator[None]:
        try:
            yield
        except GalleryError:
            raise
        except Exception as error:
            raise GalleryError(f"gallery {self.address}: {_reason(error)}") from error

    def run(self, statement: str, **settings: Any) -> None:
        """Run a statement that gives nothing."""
        with self._plain_errors():
            self._client().command(statement, settings={"max_query_size": _STATEMENT, **settings})

    def rows(self, query: str, raw: Sequence[str] = (), **settings: Any) -> list[tuple[Any, ...]]:
        """The rows of a query.

        Args:
            query: in SQL.
            raw: columns whose strings are bytes.
            settings: of the engine.
        """
        with self._plain_errors():
            formats = dict.fromkeys(raw, "bytes")
            found = self._client().query(
                query,
                settings={"max_query_size": _STATEMENT, **settings},
                column_formats=formats or None,
            )
            return [tuple(row) for row in found.result_rows]

    def blocks(self, query: str, raw: Sequence[str] = ()) -> Iterator[list[tuple[Any, ...]]]:
        """The rows of a query, a block at a time; this thread asks nothing else meanwhile."""
        with self._plain_errors():
            formats = dict.fromkeys(raw, "bytes")
            settings = {"max_query_size": _STATEMENT, "max_block_size": 10_000}
            stream = self._client().query_row_block_stream(
                query, settings=settings, column_formats=formats or None
            )
            with stream:
                for block in stream:
                    yield [tuple(row) for row in block]

    def value(self, query: str) -> Any:
        """The only value of a query's only row."""
        ((value,),) = self.rows(query)
        return value

    def packed(self, query: str, **settings: Any) -> bytes:
        """The answer to a query in ClickHouse's RowBinary format: numbers as they lie in memory."""
        with self._plain_errors():
            found: bytes = self._client().raw_query(
                query, settings={"max_query_size": _STATEMENT, **settings}, fmt="RowBinary"
            )
            return found

    def said(self, statement: str, **settings: Any) -> list[list[Any]]:
        """The rows that a statement gives which is no SELECT."""
        with self._plain_errors():
            found: bytes = self._client().raw_query(
                statement, settings=settings, fmt="JSONCompactEachRow"
            )
            return [json.loads(line) for line in found.splitlines()]

    def insert(self, table: str, columns: Columns, token: str = "") -> None:  # nosec B107
        """Insert rows.

        Args:
            table: its name.
            columns: name → type and values.
            token: of the insert; a second one with it adds nothing.
        """
        settings: dict[str, Any] = {
            "async_insert": 0,  # it is there when this returns
            "max_partitions_per_insert_block": 0,
            "insert_deduplicate": int(bool(token)),
        }
        if token:
            settings["insert_deduplication_token"] = token
        with self._plain_errors():
            self._client().insert(
                f"{self.address.database}.{table}",
                [values for _, values in columns.values()],
                column_names=list(columns),
                column_type_names=[kind for kind, _ in columns.values()],
                column_oriented=True,
                settings=settings,
            )


def text(value: str) -> str:
    """A string as an SQL literal: the hexadecimal digits of its UTF-8, which hold no SQL.

    Example:
        >>> text("a'")
        "unhex('6127')"
    """
    return f"unhex('{value.encode().hex()}')"


def number(value: int) -> str:
    """A whole number of 64 bits as an SQL literal."""
    return str(int(value))


def real(value: float) -> str:
    """A real number as an SQL literal, to the last bit."""
    (bits,) = struct.unpack("<Q", struct.pack("<d", float(value)))
    return f"reinterpretAsFloat64(toUInt64({bits}))"


def _driver(embedded: bool) -> Any:
    try:
        driver = importlib.import_module("clickhouse_connect")
        if embedded:
            importlib.import_module("chdb")
    except ImportError as error:
        raise GalleryError(
            "a gallery in ClickHouse needs clickhouse-connect and chdb: "
            "pip install 'reid-hash[clickhouse]'"
        ) from error
    return driver


def _check_free(folder: Path, address: ClickHouseAddress) -> None:
    """Raise GalleryError where another process has an embedded engine's folder open.

    The engine itself would say so, but on standard error, in several lines.
    """
    try:
        import fcntl  # the engine is not made for Windows

        handle = os.open(folder / "status", os.O_RDWR)
    except (ImportError, OSError):
        return  # new, or not to be written: the engine tells
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if not _is_own(folder):
            raise BusyError(
                f"gallery {address}: another process has it open; an embedded engine serves one "
                "process at a time (`reid-hash serve` is one for all; a server takes many)"
            ) from error
    finally:
        os.close(handle)


_LOCKS = Path("/proc/self/fd")


def _is_own(folder: Path) -> bool:
    """Whether it is this process that has an engine's folder open."""
    status = os.path.realpath(folder / "status")
    with contextlib.suppress(OSError):
        opened = 0
        for file in _LOCKS.iterdir():
            with contextlib.suppress(OSError):
                opened += os.readlink(file) == status
        return opened > 1  # this look has it open, too
    return True  # no such listing here: let the engine say


def _reason(error: BaseException) -> str:
    """What went wrong, without the statement, stack or version that the engine adds."""
    said = one_line(error)
    said = re.sub(r"^.*?DB::Exception: (Code: \d+\. DB::Exception: )?", "", said)
    said = re.sub(r" ?\(version [\d.]+.*$", "", said)
    said = re.sub(r"[:.,]? ?(While executing|In scope|while executing) .*$", "", said)
    return said if len(said) <= _LONGEST else f"{said[:_LONGEST]}…"
