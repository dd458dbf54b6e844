"""Figures of the methods; what was evaluated once is read from beside the network."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from reid_hash import __version__
from reid_hash.encoder import Encoder
from reid_hash.experiments.describe import write_json
from reid_hash.experiments.methods import Network, Plan
from reid_hash.experiments.methods_train import Workplace, trained
from reid_hash.experiments.progress import counting
from reid_hash.experiments.reid import Encoded, encode_dataset
from reid_hash.experiments.retrieval import RADIUS, TOP, RetrievalRow, evaluate_retrieval
from reid_hash.metrics.retrieval import RETURNED, RetrievalResult
from reid_hash.nn.checkpoint import Checkpoint

EVALUATION_FILE = "evaluation.json"
"""The figures of a network's codes, in its folder; can be deleted."""


def method_rows(plan: Plan, place: Workplace) -> list[RetrievalRow]:
    """Rows of each method, length and distance; networks that are missing are trained first.

    Args:
        plan: which networks; see `methods.plan`.
        place: the data.

    Returns:
        In the order of the plan: for each method, each length by weighted and by plain Hamming
        distance. The figures of each row also have `epochs` and `full_epochs` of its training.
    """
    lengths: dict[Network, set[int]] = {}
    for by_length in plan.values():
        for bits, network in by_length.items():
            lengths.setdefault(network, set()).add(bits)
    found = {network: _evaluated(network, sorted(of), place) for network, of in lengths.items()}
    return [
        _of_method(found[network][bits, weighted], name, network)
        for name, by_length in plan.items()
        for bits, network in by_length.items()
        for weighted in (True, False)
    ]


def encoded_by(network: Network, place: Workplace) -> Encoded:
    """Query and database encoded by a network, which is trained first where it is missing."""
    return _encode(network, trained(network, place), place)


def _encode(network: Network, checkpoint: Checkpoint, place: Workplace) -> Encoded:
    dataset, data = place.dataset, network.config.data
    pixels = None
    if dataset.gallery is dataset.train:
        pixels = place.train_pixels(data.height, data.width)
    total = len(dataset.query) + len(dataset.gallery)
    with counting(place.console, f"encoding by {network.name}", total) as progress:
        encoder = Encoder(checkpoint, place.device)
        return encode_dataset(encoder, dataset, place.skip_unreadable, progress, pixels)


def _of_method(row: RetrievalRow, method: str, network: Network) -> RetrievalRow:
    epochs = {"epochs": network.config.train.epochs, "full_epochs": network.full_epochs}
    return RetrievalRow({**row.figures, "method": method, **epochs}, row.curves)


def _evaluated(
    network: Network, lengths: Sequence[int], place: Workplace
) -> dict[tuple[int, bool], RetrievalRow]:
    """By (length, weighted): from the file beside the network, else evaluated and written there."""
    checkpoint = trained(network, place)
    file, key = network.folder / EVALUATION_FILE, _key(checkpoint, place)
    rows = _read(file, key)
    missing = [bits for bits in lengths if (bits, True) not in rows]
    if missing:
        encoded = _encode(network, checkpoint, place)
        place.say(f"evaluating {network.name} at {', '.join(map(str, missing))} bits …")
        for row in evaluate_retrieval(encoded, place.dataset, missing, method=network.family):
            rows[row.figures["bits"], row.figures["weighted"]] = row
        written = [{"figures": row.figures, "curves": _plain(row.curves)} for row in rows.values()]
        write_json(file, {"of": key, "rows": written})
    return rows


def _key(checkpoint: Checkpoint, place: Workplace) -> dict[str, Any]:
    """All that figures depend on."""
    dataset = place.dataset
    return {
        "version": __version__,
        "fingerprint": checkpoint.fingerprint,
        "weights": [float(weight) for weight in checkpoint.bit_weights],
        "dataset": dataset.name,
        "protocol": dataset.protocol,
        "split": place.split,
        "queries": len(dataset.query),
        "database": len(dataset.gallery),
        "skip_unreadable": place.skip_unreadable,
        "figures": [TOP, RADIUS, *RETURNED],
    }


def _read(file: Path, key: Mapping[str, Any]) -> dict[tuple[int, bool], RetrievalRow]:
    try:
        held = json.loads(file.read_text(encoding="utf-8"))
        if held["of"] != key:
            return {}
        rows = [RetrievalRow(row["figures"], _result(row["curves"])) for row in held["rows"]]
        return {(row.figures["bits"], row.figures["weighted"]): row for row in rows}
    except (OSError, ValueError, KeyError, TypeError):
        return {}  # not there, or of another version: it is written anew


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
