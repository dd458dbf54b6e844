"""A gallery as a Parquet file, through pyarrow where it is installed."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from reid_hash.errors import GalleryError, one_line
from reid_hash.gallery.export.npz import MOST_ROWS
from reid_hash.utils.files import json_text

_KEY = b"reid_hash"
"""Under which the header stands in the file's metadata, as JSON."""

_LONG = ["camera", "source", "name", "thumbnail"]
"""Columns whose values may be long, and repeat."""

_RATIO = 25  # Snappy packs 21 bytes into one at best
_SMALL, _MOST = 2**24, 2**28  # bytes that a part may take packed, and as values, in any case


def _pyarrow() -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise GalleryError(
            "Parquet needs pyarrow: pip install 'reid-hash[parquet]', or use a file named .npz"
        ) from error
    return pyarrow


def write_parquet(
    path: Path, header: dict[str, Any], parts: Iterable[dict[str, list[Any]]]
) -> None:
    """Write a gallery; `export.io` says what header and parts are.

    Beside the columns of the parts there is `name`, the identity's, for who reads it elsewhere.
    """
    arrow = _pyarrow()
    names = dict(header["identities"])
    schema = _schema(arrow, -(-header["bits"] // 8)).with_metadata(
        {_KEY: json_text(header).encode()}
    )
    try:
        with arrow.parquet.ParquetWriter(path, schema, write_page_checksum=True) as writer:
            for part in parts:
                columns = {**part, "name": [names.get(number) for number in part["identity"]]}
                writer.write_table(arrow.table(columns, schema))
    except arrow.ArrowException as error:
        raise GalleryError(f"cannot write {path.name}: {one_line(error)}") from error


def read_parquet(path: Path) -> tuple[dict[str, Any], Iterator[dict[str, list[Any]]]]:
    """Read what `write_parquet` wrote; the parts when they are asked for."""
    arrow = _pyarrow()
    try:
        with arrow.parquet.ParquetFile(path) as file:
            metadata = file.schema_arrow.metadata or {}
            header: dict[str, Any] = json.loads(metadata.get(_KEY, b"{}"))
    except (arrow.ArrowException, OSError, ValueError) as error:
        raise GalleryError(f"{path} is no Parquet file, or damaged: {one_line(error)}") from error

    def parts() -> Iterator[dict[str, list[Any]]]:
        schema = _schema(arrow, -(-header["bits"] // 8))
        try:
            with arrow.parquet.ParquetFile(
                path, page_checksum_verification=True, read_dictionary=_LONG
            ) as file:
                if not file.metadata.schema.to_arrow_schema().equals(schema):
                    raise GalleryError(f"{path} is damaged: its columns are not those of a gallery")
                for group in range(file.num_row_groups):
                    _check_group(path, file.metadata.row_group(group))
                    yield _part(path, file.read_row_group(group))
        except (arrow.ArrowException, OSError, ValueError) as error:
            raise GalleryError(f"{path} is damaged: {one_line(error)}") from error

    return header, parts()


def _check_group(path: Path, group: Any) -> None:
    """Raise GalleryError where rows are to take more memory than the file's bytes justify."""
    columns = [group.column(i) for i in range(group.num_columns)]
    unpacked = sum(column.total_uncompressed_size for column in columns)
    odd = {column.compression for column in columns} - {"SNAPPY", "UNCOMPRESSED"}
    if odd or group.num_rows > MOST_ROWS or unpacked > _SMALL + _RATIO * path.stat().st_size:
        raise GalleryError(
            f"{path} is damaged: {group.num_rows:,} rows of {unpacked:,} bytes, compressed by "
            f"{', '.join(sorted(odd)) or 'Snappy'}"
        )


def _part(path: Path, table: Any) -> dict[str, list[Any]]:
    """The rows of a group. Values that repeat are there once until their sum is known."""
    size = 0
    for name in _LONG:
        for chunk in table.column(name).chunks:
            lengths = [len(value.as_buffer()) for value in chunk.dictionary]
            size += sum(lengths[i] for i in chunk.indices.to_pylist() if i is not None)
    if size > _MOST + _RATIO * path.stat().st_size:
        raise GalleryError(f"{path} is damaged: a part of it is {size:,} bytes")
    part: dict[str, list[Any]] = table.to_pydict()
    del part["name"]
    return part


def _schema(arrow: Any, width: int) -> Any:
    whole, real, text = arrow.int64(), arrow.float64(), arrow.string()
    return arrow.schema(
        [
            arrow.field("id", whole, nullable=False),
            arrow.field("code", arrow.binary(width), nullable=False),
            arrow.field("camera", text, nullable=False),
            arrow.field("time", real, nullable=False),
            arrow.field("source", text, nullable=False),
            *(arrow.field(name, whole) for name in ("track", "frame")),
            *(arrow.field(name, real) for name in "xywh"),
            arrow.field("identity", whole),
            arrow.field("name", text),
            arrow.field("thumbnail", arrow.binary()),
        ]
    )
