"""Descriptions that accompany every figure: protocol, rules, definitions."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from reid_hash.data.dataset import Dataset
from reid_hash.utils.files import json_text, write_text

AP = "map: step AP (information retrieval); map_trapezoid: trapezoid AP (Market-1501's script)"
RETRIEVAL_AP = (
    "map: step AP over the whole database; map_at_k: over the first k, divided by the relevant "
    "images among them"
)
TIES = "expected value over random orders of tied distances"
DRAWS = 100
"""Number of gallery draws in a single-shot protocol."""
CAMERA_RULES = {
    "cuhk03": "cuhk03: a query is ranked against the images of other cameras only",
    "market": "market: gallery images of the same identity and camera are dropped",
    "none": "none: every gallery image counts",
}


def rules(dataset: Dataset) -> list[tuple[str, str]]:
    """List (name, words) of the rules that decide which images count and how AP is averaged."""
    if dataset.by_class:
        multi = dataset.query.labels.ndim == 2
        relevant = "one class in common" if multi else "the same class"
        return [("relevant", relevant), ("average precision", RETRIEVAL_AP)]
    return [("camera rule", CAMERA_RULES[dataset.camera_rule]), ("average precision", AP)]


def protocol_line(dataset: Dataset, draws: int) -> str:
    """Describe in one line how a data set is evaluated."""
    query, gallery = len(dataset.query), len(dataset.gallery)
    where = "database" if dataset.by_class else "gallery"
    line = f"{dataset.name}, {dataset.protocol}: {query:,} queries, {gallery:,} {where} images"
    if dataset.trials:
        return f"{line}, {len(dataset.trials)} draws of a half (mean ± standard deviation)"
    if dataset.single_shot:
        line += f", one of each identity and camera drawn {draws} times (mean ± standard deviation)"
    return line


def distance_name(record: Mapping[str, Any]) -> str:
    """Name the distance that a record was ranked by."""
    if record.get("reported"):
        unverified = record["reported"] == "unverified"
        return "as reported, unverified" if unverified else "as reported"
    if "distance" in record:
        return str(record["distance"])
    if record["weighted"] is None:
        return f"{record['method']}, cosine"
    if record.get("asymmetric"):
        return "weighted, real query"
    return "weighted Hamming" if record["weighted"] else "Hamming"


def row_name(record: Mapping[str, Any]) -> str:
    """Name a record by bits and distance, as the label of its curve."""
    distance = distance_name(record).replace("weighted Hamming", "weighted")
    return f"{record['bits']} bits, {distance.replace('Hamming', 'unweighted')}"


def summary(records: Sequence[Mapping[str, Any]]) -> str:
    """Summarise records for a `repr`.

    Example:
        >>> summary([{"bits": 16, "rank1": 0.5}, {"bits": 64, "rank1": 0.75}])
        '2 records of 16 to 64 bits, rank1 0.5 to 0.75'
    """
    if not records:
        return "no records"
    bits = sorted({record["bits"] for record in records if record["bits"] is not None})
    name = "rank1" if "rank1" in records[0] else "map"
    values = sorted(float(f"{record[name]:.3g}") for record in records if name in record)
    span = [
        f"{ends[0]} to {ends[-1]}" if len(set(ends)) > 1 else f"{ends[0]}"
        for ends in (bits, values)
    ]
    return f"{len(records)} records of {span[0]} bits, {name} {span[1]}"


def result_object(
    dataset: Dataset,
    model: str,
    seed: int,
    records: Sequence[Mapping[str, Any]],
    draws: int,
    **more: Any,
) -> dict[str, Any]:
    """Build the object that `--json` writes."""
    return {
        "protocol": dataset.protocol,
        "dataset": dataset.name,
        "model": model,
        "seed": seed,
        "ap": RETRIEVAL_AP if dataset.by_class else AP,
        "camera_rule": dataset.camera_rule,
        "ties": TIES,
        "draws": len(dataset.trials) or (draws if dataset.single_shot else None),
        "notes": list(dataset.notes),
        **more,
        "results": [dict(record) for record in records],
    }


def write_json(path: str | os.PathLike[str] | Path, value: Mapping[str, Any]) -> None:
    """Write a JSON object atomically; see `json_text`."""
    write_text(path, json_text(value, indent=2) + "\n")
