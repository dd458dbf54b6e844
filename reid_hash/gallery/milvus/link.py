"""The connection to Milvus: every call with a time limit, every failure one line."""

import contextlib
import importlib
import logging
import os
import threading
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from reid_hash.errors import GalleryError, one_line
from reid_hash.gallery.milvus.address import MilvusAddress

Row = dict[str, Any]
Columns = Mapping[str, tuple[str, int]]
"""Name → kind (`int64`, `double`, `text`, `bits`) and size: bytes of a text, bits of a vector."""

LIMIT = 16_384
"""Rows that Milvus gives at once."""

TOKEN = "REID_HASH_MILVUS_TOKEN"  # nosec B105  # name of a variable
"""Environment variable with the password or token: addresses end up in logs."""

_SECONDS = 60.0  # without a limit pymilvus repeats a failing call for minutes
_CONNECT = 10.0
_PAGE = 5_000  # rows that are Python objects at a time

_open_files: Counter[str] = Counter()
_turn = threading.Lock()


class Link:
    """An open connection.

    Args:
        address: where to.
        new: a file may be made where there is none.

    Raises:
        GalleryError: pymilvus is not installed, or there is nothing to connect to.
    """

    def __init__(self, address: MilvusAddress, new: bool = False) -> None:
        self.address = address
        self._milvus = _import("pymilvus", address)
        # it logs a traceback of every failure, which is told in one line here
        logging.getLogger("pymilvus").setLevel(logging.CRITICAL)
        file = address.file
        if file is not None:
            _import("milvus_lite", address)
            if not file.parent.is_dir():
                raise GalleryError(f"gallery {address}: there is no folder {file.parent}")
            if not file.exists() and not new:
                raise GalleryError(f"{address} is no gallery: there is no file {file}")
            if not _is_database(file):  # the engine would say so in lines of its own
                raise GalleryError(f"gallery {address}: {file} is damaged, or no file of Milvus")
        token = "" if file is not None else os.environ.get(TOKEN, "")
        with _turn, self._plain(), _silence():
            self._client = self._milvus.MilvusClient(address.uri, token=token, timeout=_CONNECT)
            if file is not None:
                _open_files[str(file.resolve())] += 1

    def close(self) -> None:
        """Disconnect; the last one of a file lets other processes open it."""
        with contextlib.suppress(GalleryError), self._plain():
            self._client.close()
        file = self.address.file
        if file is None:
            return
        path = str(file.resolve())
        with _turn:
            _open_files[path] -= 1
            if _open_files[path] <= 0:
                del _open_files[path]
                manager = importlib.import_module("milvus_lite.server_manager")
                manager.server_manager_instance.release_server(path)

    @contextlib.contextmanager
    def _plain(self) -> Iterator[None]:
        import grpc  # pymilvus brings it

        try:
            yield
        except self._milvus.MilvusException as error:
            raise GalleryError(f"gallery {self.address}: {_reason(error)}") from error
        except grpc.RpcError as error:
            said = error.details() if isinstance(error, grpc.Call) else one_line(error)
            raise GalleryError(f"gallery {self.address}: {said}") from error

    def _call(self, method: str, *values: Any, **more: Any) -> Any:
        with self._plain():
            return getattr(self._client, method)(*values, **more, timeout=_SECONDS)

    def has(self, name: str) -> bool:
        """Whether there is a collection of this name."""
        return bool(self._call("has_collection", name))

    def create(
        self,
        name: str,
        columns: Columns,
        shards: int = 1,
        index: str = "BIN_FLAT",
        lists: int = 0,
    ) -> None:
        """Make a collection and load it.

        Args:
            name: of the collection.
            columns: the first is the key; one is of `bits`, and gets the index.
            shards: parts that take writes beside each other.
            index: Milvus's type of index.
            lists: of a `BIN_IVF_FLAT`.
        """
        types = self._milvus.DataType
        kinds = {"int64": types.INT64, "double": types.DOUBLE, "text": types.VARCHAR}
        with self._plain():
            schema = self._client.create_schema(auto_id=False, enable_dynamic_field=False)
            vectors = self._client.prepare_index_params()
            for i, (column, (kind, size)) in enumerate(columns.items()):
                if kind == "bits":
                    schema.add_field(column, types.BINARY_VECTOR, dim=size)
                    parameters = {"nlist": lists} if lists else {}
                    vectors.add_index(
                        column, index_type=index, metric_type="HAMMING", params=parameters
                    )
                else:
                    more = {"max_length": size} if kind == "text" else {}
                    schema.add_field(column, kinds[kind], is_primary=i == 0, **more)
        # what a writer has been told is there must be there for the next reader
        self._call(
            "create_collection",
            name,
            schema=schema,
            index_params=vectors,
            num_shards=shards,
            consistency_level="Strong",
        )

    def load(self, name: str) -> None:
        """Have the server hold a collection ready for searches; nothing where it does already."""
        self._call("load_collection", name)

    def insert(self, name: str, rows: list[Row]) -> None:
        """Add rows in one request."""
        self._call("insert", name, rows)

    def upsert(self, name: str, rows: list[Row]) -> None:
        """Add rows in one request, in place of those with the same keys."""
        self._call("upsert", name, rows)

    def delete(self, name: str, where: str) -> None:
        """Take rows out."""
        self._call("delete", name, filter=where)

    def count(self, name: str, where: str) -> int:
        """Number of rows that an expression chooses; all where it is empty."""
        (row,) = self._call("query", name, filter=where, output_fields=["count(*)"])
        return int(row["count(*)"])

    def rows(
        self,
        name: str,
        where: str,
        columns: Sequence[str],
        limit: int | None = None,
        after: int | str = 0,
    ) -> Iterator[Row]:
        """Rows by key, fetched in pages.

        Args:
            name: of the collection.
            where: an expression; empty for all.
            columns: which; the first is the key.
            limit: how many at most.
            after: only keys above this one.
        """
        key, left = columns[0], limit
        while left is None or left > 0:
            above = f"{key} > {quote(after) if isinstance(after, str) else after}"
            page = self._call(
                "query",
                name,
                filter=f"({where}) and {above}" if where else above,
                output_fields=list(columns),
                limit=_PAGE if left is None else min(_PAGE, left),
                # as pymilvus's own iterator asks: the smallest keys of all parts, none left out
                iterator="True",
                reduce_stop_for_best="True",
            )
            found = sorted(page, key=lambda row: row[key])
            for row in found:
                yield {column: _value(row[column]) for column in columns}
            if not found:
                return
            after = found[-1][key]
            left = None if left is None else left - len(found)

    def nearest(
        self, name: str, column: str, vectors: list[bytes], limit: int, where: str, probes: int
    ) -> list[list[tuple[int, int]]]:
        """For each vector the (key, Hamming distance) of its nearest, by distance.

        Args:
            name: of the collection.
            column: of the vectors.
            vectors: packed bits.
            limit: how many to find, up to `LIMIT`.
            where: an expression; empty for all.
            probes: lists of a `BIN_IVF_FLAT` that are looked at; 0 for another index.
        """
        found = self._call(
            "search",
            name,
            data=vectors,
            anns_field=column,
            limit=limit,
            filter=where,
            search_params={
                "metric_type": "HAMMING",
                "params": {"nprobe": probes} if probes else {},
            },
        )
        return [[(int(hit["id"]), int(hit["distance"])) for hit in hits] for hits in found]


def quote(text: str) -> str:
    r"""A text as Milvus's expressions have it.

    Example:
        >>> print(quote('a "b" \\ c'))
        "a \"b\" \\ c"
    """
    backslash = "\\"
    return '"' + text.replace(backslash, backslash * 2).replace('"', backslash + '"') + '"'


def _is_database(file: Path) -> bool:
    """Whether a file is missing, or begins as milvus-lite's files do, which are SQLite's."""
    if not file.exists():
        return True
    try:
        with file.open("rb") as opened:
            return opened.read(16) in (b"", b"SQLite format 3\0")
    except OSError:
        return False


def _value(value: Any) -> Any:
    # a binary vector comes as a list of one
    return value[0] if isinstance(value, list) else value


def _reason(error: Any) -> str:
    text = " ".join(str(getattr(error, "message", "") or error).split())
    if "Open local milvus failed" in text:
        return "the file cannot be opened; another process has it open, or it is damaged"
    return text or type(error).__name__


def _import(module: str, address: MilvusAddress) -> Any:
    try:
        with warnings.catch_warnings():  # milvus-lite's import of pkg_resources warns everybody
            warnings.simplefilter("ignore")
            return importlib.import_module(module)
    except ImportError as error:
        raise GalleryError(
            f"gallery {address} needs {module} ({one_line(error)}): pip install 'reid-hash[milvus]'"
        ) from error


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """No log lines: milvus-lite logs on the root logger what the error says."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)
