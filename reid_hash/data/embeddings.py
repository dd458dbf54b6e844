"""Embeddings that others made: vectors in .npy, .npz or Parquet, with what is known of each.

Arrays, or columns, are `embeddings` [n, d] and, where known, `identities`, `cameras` and `names`.
A .npy file is mapped and Parquet is read in parts, so that neither need fit into memory.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reid_hash.data.listing import counted
from reid_hash.errors import DataError, one_line
from reid_hash.utils.files import is_ordinary
from reid_hash.utils.npz import NpzFile

SUFFIXES = (".npy", ".npz", ".parquet")
_COLUMNS = ("identities", "cameras", "names")
_ROWS = 65_536  # rows that are read at a time
_LONGEST = 2**16  # bytes of a name


@dataclass(frozen=True, eq=False)
class Embeddings:
    """Vectors, and what is known of each.

    Attributes:
        vectors: [n, d] real; may be a memory map.
        identities: [n] int or str; None where they are unknown.
        cameras: [n] int or str; likewise.
        names: [n] str; likewise.

    Raises:
        DataError: one of them is of another length.
    """

    vectors: NDArray[Any]
    identities: NDArray[Any] | None = None
    cameras: NDArray[Any] | None = None
    names: NDArray[Any] | None = None

    def __post_init__(self) -> None:
        if self.vectors.ndim != 2 or self.vectors.dtype.kind not in "fiu":
            raise DataError(
                "embeddings are a matrix [n, d] of real numbers, not "
                f"{self.vectors.dtype} of shape {list(self.vectors.shape)}"
            )
        for what in _COLUMNS:
            column = getattr(self, what)
            if column is not None and np.shape(column) != (len(self.vectors),):
                raise DataError(
                    f"{len(column):,} {what} for {len(self.vectors):,} embeddings; give one each"
                )

    def __len__(self) -> int:
        return len(self.vectors)

    def named(self, file: str, first: int = 0) -> list[str]:
        """What each vector is called: its name, else the file and its row there, from `first`."""
        if self.names is None:
            return [f"{file}[{row}]" for row in range(first, first + len(self))]
        return [str(name) for name in self.names]

    def take(self, rows: NDArray[np.int64] | slice) -> "Embeddings":
        """Some of the rows."""
        columns = {
            what: None if (column := getattr(self, what)) is None else column[rows]
            for what in _COLUMNS
        }
        return Embeddings(self.vectors[rows], **columns)


def checked_vectors(
    vectors: ArrayLike, dims: int | None = None, first: int = 0
) -> NDArray[np.float32]:
    """Vectors as float32, once it is sure that each has a direction.

    Args:
        vectors: [n, d] real.
        dims: what d must be; None for any.
        first: number of the first row, for the message.

    Raises:
        DataError: they are no matrix, of other dimensions, NaN, infinite or zero.
    """
    found = np.asarray(vectors)
    if found.ndim != 2 or not found.shape[1] or found.dtype.kind not in "fiu":
        raise DataError(
            f"embeddings are a matrix [n, d] of real numbers, not {found.dtype} of shape "
            f"{list(found.shape)}"
        )
    if dims is not None and found.shape[1] != dims:
        raise DataError(
            f"embeddings of {found.shape[1]} dimensions for a head that takes {dims}; take those "
            "of the network that it was fitted on"
        )
    with np.errstate(over="ignore"):
        values = np.ascontiguousarray(found, np.float32)
    finite = np.isfinite(values).all(axis=1)
    if not finite.all():
        bad = counted(int((~finite).sum()), "embedding")
        raise DataError(
            f"{bad} with NaN or infinite values; the first is row "
            f"{first + int(np.argmin(finite))}; leave them out"
        )
    zero = ~(np.abs(values).max(axis=1, initial=0) > 1e-30)
    if zero.any():
        raise DataError(
            f"{counted(int(zero.sum()), 'embedding')} of zeros, which have no direction; the first "
            f"is row {first + int(np.argmax(zero))}; leave them out"
        )
    return values


def numbered(values: NDArray[Any]) -> NDArray[np.int64]:
    """Numbers from 0 on for identities or cameras of any type; negative ones stay negative."""
    found = np.unique(values, return_inverse=True)[1].astype(np.int64)
    if values.dtype.kind in "if":
        found[values < 0] = -1
    return found


def read_embeddings(path: Path, most: int | None = None, seed: int = 0) -> Embeddings:
    """Read a file of embeddings, or a sample of its rows.

    Args:
        path: .npy, .npz or .parquet.
        most: rows to draw where the file has more; they keep their order.
        seed: of the draw.

    Raises:
        DataError: the file is missing, damaged, or holds no embeddings.
    """
    if not is_ordinary(path):
        raise DataError(f"no such file: {path}")
    try:
        parts = _read(path, most, np.random.default_rng(seed))
        joined = parts[0] if len(parts) == 1 else _joined(parts)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    except Exception as error:  # zipfile, NumPy and pyarrow each have their own for damaged files
        raise DataError(f"{path} holds no embeddings, or is damaged: {one_line(error)}") from error
    if not len(joined):
        raise DataError(f"{path} holds no embeddings")
    return joined


def embedding_blocks(path: Path, rows: int = _ROWS) -> Iterator[Embeddings]:
    """The same, some rows at a time; of Parquet no more than these are in memory."""
    if path.suffix.lower() != ".parquet":
        whole = read_embeddings(path)
        for start in range(0, len(whole), rows):
            yield whole.take(slice(start, start + rows))
        return
    if not is_ordinary(path):
        raise DataError(f"no such file: {path}")
    try:
        yield from _parquet(path, rows)
    except DataError:
        raise
    except Exception as error:
        raise DataError(f"{path} holds no embeddings, or is damaged: {one_line(error)}") from error


def _read(path: Path, most: int | None, random: np.random.Generator) -> list[Embeddings]:
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise DataError(f"embeddings are read from {', '.join(SUFFIXES)}")
    if suffix == ".parquet":
        parts = []
        total = _pyarrow().parquet.ParquetFile(path).metadata.num_rows
        chosen = _sample(total, most, random)
        start = 0
        for block in _parquet(path, _ROWS):
            here = chosen[(chosen >= start) & (chosen < start + len(block))] - start
            start += len(block)
            if len(here):
                parts.append(block.take(here))
        return parts or [Embeddings(np.zeros((0, 1), np.float32))]
    if suffix == ".npy":
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        found = Embeddings(array[None] if array.ndim == 1 else array)  # one vector
    else:
        with NpzFile(path) as file:
            if "embeddings" not in file.names:
                raise DataError(f"it has no array `embeddings`, but {', '.join(file.names)}")
            columns = {
                what: file.read(what, "iuU", None, width=_LONGEST)
                for what in _COLUMNS
                if what in file.names
            }
            found = Embeddings(file.read("embeddings", "fiu", None, None), **columns)
    if most is None or len(found) <= most:
        return [found]
    return [found.take(_sample(len(found), most, random))]


def _sample(total: int, most: int | None, random: np.random.Generator) -> NDArray[np.int64]:
    if most is None or total <= most:
        return np.arange(total)
    return np.sort(random.choice(total, most, replace=False))


def _joined(parts: list[Embeddings]) -> Embeddings:
    columns = {
        what: np.concatenate([getattr(part, what) for part in parts])
        for what in _COLUMNS
        if getattr(parts[0], what) is not None
    }
    return Embeddings(np.concatenate([part.vectors for part in parts]), **columns)


def _parquet(path: Path, rows: int) -> Iterator[Embeddings]:
    with _pyarrow().parquet.ParquetFile(path) as file:
        there = set(file.schema_arrow.names)
        if "embeddings" not in there:
            raise DataError(f"{path} has no column `embeddings`, but {', '.join(sorted(there))}")
        known = [what for what in _COLUMNS if what in there]
        for batch in file.iter_batches(rows, columns=["embeddings", *known]):
            column = batch.column("embeddings")
            flat = column.flatten().to_numpy(zero_copy_only=False)
            if not len(column) or column.null_count or len(flat) % len(column):
                raise DataError(f"{path}: the lists in `embeddings` are not of one length")
            # fixed-size lists have no lengths of their own
            lengths = set(column.value_lengths().to_pylist()) if not _fixed(column) else set()
            if len(lengths) > 1:
                raise DataError(f"{path}: the lists in `embeddings` are not of one length")
            columns = {
                what: np.asarray(batch.column(what).to_pylist())
                for what in known
                if not batch.column(what).null_count
            }
            yield Embeddings(flat.reshape(len(column), -1), **columns)


def _fixed(column: Any) -> bool:
    return bool(_pyarrow().types.is_fixed_size_list(column.type))


def _pyarrow() -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise DataError(
            "Parquet needs pyarrow: pip install 'reid-hash[parquet]', or use .npy or .npz"
        ) from error
    return pyarrow
