"""Rows of table 1 that were measured, kept in the folder of what they are of."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from reid_hash.evaluation.describe import write_json
from reid_hash.evaluation.reid import Row
from reid_hash.paper.methods.networks import EVALUATION_FILE

Found = dict[tuple[int, bool | None], Row]
"""By (code length, weighted); the length is 0 where there are no codes."""


def row_key(row: Row) -> tuple[int, bool | None]:
    """The key of a row in `Found`."""
    by_weight = row.figures["weighted"]
    return (0 if by_weight is None else row.figures["bits"]), by_weight


def read_rows(folder: Path, key: Mapping[str, Any]) -> Found:
    """The rows kept in a folder; none where they are missing or of another key."""
    try:
        held = json.loads((folder / EVALUATION_FILE).read_text(encoding="utf-8"))
        if held["of"] != key:
            return {}
        rows = [
            Row(row["figures"], np.array(row["curve"]), np.array(row["curve_std"]))
            for row in held["rows"]
        ]
        return {row_key(row): row for row in rows}
    except (OSError, ValueError, KeyError, TypeError):
        return {}  # not there, or of another version: it is written anew


def keep_rows(folder: Path, key: Mapping[str, Any], rows: Iterable[Row]) -> None:
    """Write rows to a folder."""
    written = [
        {
            "figures": row.figures,
            "curve": row.curve.tolist(),
            "curve_std": None if row.curve_std is None else row.curve_std.tolist(),
        }
        for row in rows
    ]
    write_json(folder / EVALUATION_FILE, {"of": key, "rows": written})
