"""A gallery as a Parquet file, through pyarrow where it is installed."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from reid_hash.errors import GalleryError, one_line

_KEY = b"reid_hash"
"""Under which the header stands in the file's metadata, as JSON."""


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
    """Write a gallery; `gallery_io` says what header and parts are.

    Beside the columns of the parts there is `name`, the identity's, for who reads it elsewhere.
    """
    arrow = _pyarrow()
    names = dict(header["identities"])
    schema = _schema(arrow, -(-header["bits"] // 8)).with_metadata(
        {_KEY: json.dumps(header).encode()}
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
        try:
            with arrow.parquet.ParquetFile(path, page_checksum_verification=True) as file:
                for group in range(file.num_row_groups):
                    part = file.read_row_group(group).to_pydict()
                    del part["name"]
                    yield part
        except (arrow.ArrowException, OSError) as error:
            raise GalleryError(f"{path} is damaged: {one_line(error)}") from error

    return header, parts()


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
