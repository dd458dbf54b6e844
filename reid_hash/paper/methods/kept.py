"""Measured rows, kept in the folder of their network or method."""

import dataclasses
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from reid_hash import __version__
from reid_hash.evaluation.describe import write_json
from reid_hash.evaluation.reid import Row
from reid_hash.evaluation.retrieval import RetrievalRow
from reid_hash.metrics import RetrievalResult
from reid_hash.paper.methods.networks import EVALUATION_FILE, Workplace

Key = tuple[int, bool | None]
"""(code length, weighted); (0, None) for a method without codes."""


R = TypeVar("R", Row, RetrievalRow)


def key_of(place: Workplace, **more: Any) -> dict[str, Any]:
    """Collect everything that kept rows depend on: version, data, and what else is given."""
    dataset = place.dataset
    return {
        "version": __version__,
        "dataset": dataset.name,
        "protocol": dataset.protocol,
        "split": place.split,
        "queries": len(dataset.query),
        "skip_unreadable": place.skip_unreadable,
        **more,
    }


def kept_rows(
    kind: type[R],
    folder: Path,
    key: Mapping[str, Any],
    lengths: Sequence[int],
    measure: Callable[[Sequence[int]], Iterable[R]],
) -> dict[Key, R]:
    """Read the rows of a folder, then measure and keep the missing ones.

    Args:
        kind: class of the rows.
        folder: folder of the rows.
        key: what the rows depend on; rows kept under another key are measured again.
        lengths: code lengths needed; 0 for a method without codes.
        measure: function that returns the rows of the missing lengths, and possibly others.

    Returns:
        All rows of the folder.
    """
    rows = _read(kind, folder, key)
    missing = [bits for bits in lengths if not any(bits == of for of, _ in rows)]
    if missing:
        rows |= {_key(row): row for row in measure(missing)}
        written = [_plain(dataclasses.asdict(row)) for row in rows.values()]
        write_json(folder / EVALUATION_FILE, {"of": key, "rows": written})
    return rows


def _read(kind: type[R], folder: Path, key: Mapping[str, Any]) -> dict[Key, R]:
    try:
        held = json.loads((folder / EVALUATION_FILE).read_text(encoding="utf-8"))
        if held["of"] != key:
            return {}
        rows = [kind(row.pop("figures"), **_restored(row)) for row in held["rows"]]
        return {_key(row): row for row in rows}
    except (OSError, ValueError, KeyError, TypeError):
        return {}  # missing, damaged or from another version: written anew


def _key(row: Row | RetrievalRow) -> Key:
    by_weight = row.figures["weighted"]
    return (0 if by_weight is None else row.figures["bits"]), by_weight


def _plain(value: Any) -> Any:
    """Convert a value to JSON's types: arrays and tuples to lists."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value.tolist() if isinstance(value, np.ndarray) else value


def _restored(curves: Mapping[str, Any]) -> dict[str, Any]:
    """Restore the fields of a row other than its figures: arrays, or a `RetrievalResult`."""
    if "curves" not in curves:
        return {name: v if v is None else np.array(v) for name, v in curves.items()}
    fields: dict[str, Any] = {}
    for name, value in curves["curves"].items():
        if isinstance(value, dict):  # JSON keys are strings
            value = {int(k): v for k, v in value.items()}
        fields[name] = tuple(np.array(a) for a in value) if isinstance(value, list) else value
    return {"curves": RetrievalResult(**fields)}
