"""Embeddings that others made: vectors with what is known of each.

Arrays, or columns, are `embeddings` [n, d] and, where known, `identities`, `cameras`, `tracks`,
`times` and `names`; those of other tools are known by other names, too (`_ALSO`). A .npy file and
FAISS's flat indexes are mapped and Parquet is read in parts, so that none need fit into memory.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reid_hash.data.faiss_index import FlatIndex, read_flat_index
from reid_hash.data.listing import counted
from reid_hash.errors import DataError, one_line
from reid_hash.utils.files import is_ordinary
from reid_hash.utils.npz import NpzFile

SUFFIXES = (".npy", ".npz", ".parquet", ".faiss", ".index")
_COLUMNS = ("identities", "cameras", "tracks", "times", "names")
_ROWS = 65_536  # rows that are read at a time
_SPAN = 2**20  # rows of a file that a part of a sample is from
_LONGEST = 2**16  # bytes of a name

_ALSO = {
    "embeddings": ("features", "feats", "feat", "vectors", "emb", "embeds", "arr_0"),
    "identities": ("labels", "label", "pids", "pid", "person_ids", "person_id"),
    "cameras": ("camids", "camid", "cam_ids", "cams", "camera_ids", "camera_id"),
    "tracks": ("track_ids", "track_id", "tracklets"),
    "times": ("timestamps",),
    "names": ("paths", "img_paths", "image_paths", "filenames", "files"),
}
"""What other tools call the columns: torchreid, FastReID, and arrays that were saved by hand."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Embeddings:
    """Vectors, and what is known of each.

    Attributes:
        vectors: [n, d] real.
        identities: [n] int or str; None where they are unknown.
        cameras: [n] int or str; likewise.
        tracks: [n] int or str, the same for images of one track, of its camera; likewise.
        times: [n] real, seconds since 1970 or any other count within a camera; likewise.
        names: [n] str; likewise.

    Raises:
        DataError: one of them is of another length, or times are not numbers.
    """

    vectors: NDArray[Any]
    identities: NDArray[Any] | None = None
    cameras: NDArray[Any] | None = None
    names: NDArray[Any] | None = None
    tracks: NDArray[Any] | None = None
    times: NDArray[Any] | None = None

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
        if self.times is not None and np.asarray(self.times).dtype.kind not in "fiu":
            raise DataError("times are numbers: seconds since 1970, or frames")

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
    """Numbers from 0 on for identities, cameras or tracks of any type; -1 for unknown ones.

    Unknown is what is below 0, NaN or "".
    """
    found = np.unique(values, return_inverse=True)[1].astype(np.int64)
    unknown = values < 0 if values.dtype.kind in "if" else values == ""
    found[unknown | (values != values)] = -1  # NaN, too
    return found


def read_embeddings(path: Path, most: int | None = None, seed: int = 0) -> Embeddings:
    """Read a file of embeddings, or a sample of its rows.

    Args:
        path: .npy, .npz, .parquet, or a flat index of FAISS: .faiss or .index.
        most: rows to draw where the file has more; they keep their order.
        seed: of the draw.

    Raises:
        DataError: the file is missing, damaged, or holds no embeddings.
    """
    parts = list(_opened(path, None, most, np.random.default_rng(seed)))
    if not parts:
        raise DataError(f"{path} holds no embeddings")
    try:
        return parts[0] if len(parts) == 1 else _joined(parts)
    except ValueError as error:  # blocks of different dimensions
        raise DataError(f"{path} is damaged: {one_line(error)}") from error


def embedding_blocks(path: Path, rows: int = _ROWS) -> Iterator[Embeddings]:
    """The same, some rows at a time; of all but .npz no more than these are in memory."""
    return _opened(path, rows, None, np.random.default_rng(0))


def _opened(
    path: Path, rows: int | None, most: int | None, random: np.random.Generator
) -> Iterator[Embeddings]:
    """The file in blocks of `rows`, or a draw of `most` of its rows; errors name the file."""
    if not is_ordinary(path):
        raise DataError(f"no such file: {path}")
    suffix = path.suffix.lower()
    empty = True
    try:
        if suffix not in SUFFIXES:
            raise DataError(f"embeddings are read from {', '.join(SUFFIXES)}")
        if suffix == ".parquet":
            blocks = _parquet(path, rows or _ROWS, most, random)
        elif suffix == ".npz":
            found = _npz(path)
            blocks = (found.take(part) for part in _parts(len(found), rows, most, random))
        else:
            read: Callable[[Path], _Mapped | _Index] = _mapped if suffix == ".npy" else _indexed
            # mapped anew for each part: what was read of a map stays in memory as long as it is
            total = len(read(path))
            blocks = (read(path).take(part) for part in _parts(total, rows, most, random))
        for block in blocks:
            if len(block):
                empty = False
                yield block
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    except Exception as error:  # zipfile, NumPy and pyarrow each have their own for damaged files
        raise DataError(f"{path} holds no embeddings, or is damaged: {one_line(error)}") from error
    if empty:
        raise DataError(f"{path} holds no embeddings")


def _parts(
    total: int, rows: int | None, most: int | None, random: np.random.Generator
) -> Iterator[NDArray[np.int64] | slice]:
    """Which rows to read: blocks, else a sample, some at a time, else all."""
    if rows is not None:
        for start in range(0, total, rows):
            yield slice(start, start + rows)
    elif most is not None and total > most:
        chosen = _sample(total, most, random)
        yield from np.split(chosen, np.searchsorted(chosen, np.arange(_SPAN, total, _SPAN)))
    else:
        yield slice(0, total)


@dataclass(frozen=True, eq=False)
class _Mapped:
    """A .npy file, mapped; `take` copies, so that the map need not stay."""

    array: NDArray[Any]

    def __len__(self) -> int:
        return len(self.array)

    def take(self, rows: NDArray[np.int64] | slice) -> Embeddings:
        """Some of the rows."""
        return Embeddings(np.array(self.array[rows]))


def _mapped(path: Path) -> _Mapped:
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    return _Mapped(array[None] if array.ndim == 1 else array)  # one vector


def _npz(path: Path) -> Embeddings:
    with NpzFile(path) as file:
        called = _called(path, file.names, "array")
        columns = {
            what: file.read(name, "fiuU" if what == "times" else "iuU", None, width=_LONGEST)
            for what, name in called.items()
            if what != "embeddings"
        }
        return Embeddings(file.read(called["embeddings"], "fiu", None, None), **columns)


def _called(path: Path, names: Sequence[str], kind: str) -> dict[str, str]:
    """Column → what the file calls it, said aloud where that is another tool's name.

    Raises:
        DataError: there are no embeddings among them.
    """
    found: dict[str, str] = {}
    for what, others in _ALSO.items():
        there = [name for name in (what, *others) if name in names]
        if there:
            found[what] = there[0]
    if "embeddings" not in found:
        raise DataError(f"it has no {kind} `embeddings`, but {', '.join(sorted(names)[:20])}")
    taken = [f"`{name}` as {what}" for what, name in found.items() if name != what]
    if taken:
        _log.warning("%s: %s", path, ", ".join(taken))
    return found


@dataclass(frozen=True, eq=False)
class _Index:
    """A flat index of FAISS, mapped, as `_Mapped`."""

    index: FlatIndex

    def __len__(self) -> int:
        return len(self.index)

    def take(self, rows: NDArray[np.int64] | slice) -> Embeddings:
        """Some of the rows, named by their numbers where there are some."""
        ids = None if self.index.ids is None else self.index.ids[rows]
        named = None if ids is None else ids.astype(np.str_)
        return Embeddings(self.index.rows(rows), names=named)


def _indexed(path: Path) -> _Index:
    return _Index(read_flat_index(path))


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


def _parquet(
    path: Path, rows: int, most: int | None, random: np.random.Generator
) -> Iterator[Embeddings]:
    # pages are read as they are needed: a row group may be as large as the file
    with _pyarrow().parquet.ParquetFile(path, buffer_size=2**20, pre_buffer=False) as file:
        chosen = None if most is None else _sample(file.metadata.num_rows, most, random)
        called = _called(path, file.schema_arrow.names, "column")
        start = 0
        for batch in file.iter_batches(rows, columns=list(called.values())):
            column = batch.column(called["embeddings"])
            if not len(column):
                continue
            flat = column.flatten().to_numpy(zero_copy_only=False)
            if column.null_count or len(flat) % len(column):
                raise DataError("the lists in `embeddings` are not of one length")
            # fixed-size lists have no lengths of their own
            lengths = set(column.value_lengths().to_pylist()) if not _fixed(column) else set()
            if len(lengths) > 1:
                raise DataError("the lists in `embeddings` are not of one length")
            columns = {
                what: _column(batch.column(name))
                for what, name in called.items()
                if what != "embeddings"
            }
            block = Embeddings(flat.reshape(len(column), -1), **columns)
            if chosen is None:
                yield block
            else:
                yield block.take(chosen[(chosen >= start) & (chosen < start + len(block))] - start)
            start += len(block)


def _column(column: Any) -> NDArray[Any]:
    """A column of Parquet; what is missing is -1, NaN in real numbers, and "" in text."""
    values = column.to_pylist()
    if column.null_count:
        types = _pyarrow().types
        text = not (types.is_integer(column.type) or types.is_floating(column.type))
        missing = "" if text else -1 if types.is_integer(column.type) else float("nan")
        values = [missing if value is None else value for value in values]
    return np.asarray(values)


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
