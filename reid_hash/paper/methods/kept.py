"""Rows that were evaluated, kept beside the network or in the folder of the hash function."""

import dataclasses
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from reid_hash import __version__
from reid_hash.evaluation.describe import write_json
from reid_hash.evaluation.retrieval import RADIUS, TOP, RetrievalRow
from reid_hash.metrics.retrieval_benchmark import RETURNED, RetrievalResult
from reid_hash.paper.methods.networks import EVALUATION_FILE, Workplace

Rows = dict[tuple[int, bool], RetrievalRow]
"""By (code length, weighted)."""


def key_of(place: Workplace, **more: Any) -> dict[str, Any]:
    """All that figures depend on: the data, the version, and what is given."""
    dataset = place.dataset
    return {
        "version": __version__,
        "dataset": dataset.name,
        "protocol": dataset.protocol,
        "split": place.split,
        "queries": len(dataset.query),
        "database": len(dataset.gallery),
        "skip_unreadable": place.skip_unreadable,
        "figures": [TOP, RADIUS, *RETURNED],
        **more,
    }


def read_rows(folder: Path, key: Mapping[str, Any]) -> Rows:
    """The rows kept in a folder; none where they are missing or of another key."""
    try:
        held = json.loads((folder / EVALUATION_FILE).read_text(encoding="utf-8"))
        if held["of"] != key:
            return {}
        rows = [RetrievalRow(row["figures"], _result(row["curves"])) for row in held["rows"]]
        return {(row.figures["bits"], row.figures["weighted"]): row for row in rows}
    except (OSError, ValueError, KeyError, TypeError):
        return {}  # not there, or of another version: it is written anew


def keep_rows(folder: Path, key: Mapping[str, Any], rows: Iterable[RetrievalRow]) -> None:
    """Write rows to a folder."""
    written = [{"figures": row.figures, "curves": _plain(row.curves)} for row in rows]
    write_json(folder / EVALUATION_FILE, {"of": key, "rows": written})


def _plain(result: RetrievalResult) -> dict[str, Any]:
    """A result as JSON has it: arrays as lists."""
    return {
        name: [array.tolist() for array in value] if isinstance(value, tuple) else value
        for name, value in dataclasses.asdict(result).items()
    }


def _result(plain: Mapping[str, Any]) -> RetrievalResult:
    values: dict[str, Any] = {}
    for name, value in plain.items():
        if isinstance(value, dict):  # JSON's keys are texts
            value = {int(k): v for k, v in value.items()}
        values[name] = tuple(np.array(a) for a in value) if isinstance(value, list) else value
    return RetrievalResult(**values)
