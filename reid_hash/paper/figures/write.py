"""The files of a reproduced figure: pictures, numbers, and a page."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from reid_hash import __version__
from reid_hash.app.evaluate import curve_objects
from reid_hash.evaluation import describe
from reid_hash.nn.checkpoint import load_checkpoint
from reid_hash.paper.figures.reproduce import Reproduction
from reid_hash.paper.methods import catalogue
from reid_hash.paper.methods.catalogue import METHODS
from reid_hash.paper.methods.sources import (
    Network,
    hashings_of,
    network_of,
    networks_of,
    sources_of,
)
from reid_hash.report.pages.html import Report, write_report
from reid_hash.report.style import save_figure
from reid_hash.training.loop import MODEL_FILE
from reid_hash.utils.files import write_text


def write_reproduction(result: Reproduction, folder: Path, command: str = "") -> list[Path]:
    """Write FIG.png, FIG.svg, FIG.csv, FIG.json and FIG.html.

    Args:
        result: the figure.
        folder: where to; it is created if it is missing.
        command: that was run, for the page.

    Returns:
        The files.
    """
    name = result.spec.name
    networks = [network_facts(network) for network in networks_of([result.plan])]
    paths = {
        suffix: folder / f"{name}.{suffix}" for suffix in ("png", "svg", "csv", "json", "html")
    }
    save_figure(result.picture, paths["png"])
    save_figure(result.picture, paths["svg"])
    write_text(paths["csv"], csv_text(result.lists or result.records))
    describe.write_json(paths["json"], _as_object(result, networks))
    write_report(paths["html"], _page(result, networks, command))
    return list(paths.values())


def csv_text(records: Sequence[Mapping[str, Any]]) -> str:
    """Flat records as CSV: a column for each key of any record, None left blank."""
    columns = list(dict.fromkeys(key for record in records for key in record))
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return buffer.getvalue()


def network_facts(network: Network) -> dict[str, Any]:
    """What a result says of a network behind it."""
    checkpoint = load_checkpoint(network.folder / MODEL_FILE)
    return {
        "network": network.name,
        "folder": str(network.folder),
        "fingerprint": checkpoint.fingerprint,
        "bits": network.config.model.bits,
        "epochs": network.config.train.epochs,
        "full_epochs": network.full_epochs,
        "seed": network.config.seed,
        "training_seconds": checkpoint.trained_on.get("seconds"),
    }


def _as_object(result: Reproduction, networks: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    more: dict[str, Any] = {"curves": curve_objects(result.rows)} if result.rows else {}
    if result.lists:
        more["lists"] = list(result.lists)
    value = describe.result_object(
        result.dataset,
        f"{len(networks)} networks, see `networks`",
        sources_of([result.plan])[0].seed,
        result.records,
        0,
        figure=result.spec.name,
        split=result.split,
        queries=len(result.dataset.query),
        database=len(result.dataset.gallery),
        scaled_down=catalogue.scaled_down(result.plan) or None,
        networks=list(networks),
        **more,
    )
    return {**value, "notes": list(result.notes)}


def _page(result: Reproduction, networks: Sequence[Mapping[str, Any]], command: str) -> Report:
    scaled = catalogue.scaled_down(result.plan)
    summary = (
        f"Figure {result.spec.name[3:]} of Zhang et al. (IEEE TIP 2015), made anew with "
        f"{len(networks)} networks trained here{_fitted_too(result)}."
    )
    return Report(
        title=result.heading.title,
        summary=f"{summary} {scaled[:1].upper()}{scaled[1:]}." if scaled else summary,
        facts=[
            ("command", command),
            ("data set", f"{describe.protocol_line(result.dataset, 0)} (split {result.split})"),
            *describe.rules(result.dataset),
            ("ties", describe.TIES),
            ("methods", "\n".join(catalogue.title(name, result.plan) for name in result.plan)),
            ("networks", "\n".join(network_line(network) for network in networks)),
            ("version", f"reid_hash {__version__}"),
        ],
        notes=list(result.notes),
        records=[_shown(record) for record in result.records],
        figures=list(result.parts),
        config=_configs(result),
        figures_first=True,
        item="an image",
    )


def _fitted_too(result: Reproduction) -> str:
    count = len(hashings_of([result.plan]))
    return f" and {count} hash functions fitted to features" if count else ""


def _shown(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record as the page's table has it: a short name, and not every figure."""
    left_out = ("recall_at_", "map_at_1000", "features", "train_samples", "fit_seconds")
    kept = {key: value for key, value in record.items() if not key.startswith(left_out)}
    if record.get("reported"):
        return kept
    return {**kept, "method": METHODS[record["method"]].short}


def network_line(facts: Mapping[str, Any]) -> str:
    """The same in a line."""
    epochs = f"{facts['epochs']} of {facts['full_epochs']} epochs"
    seconds = facts["training_seconds"]
    took = f" in {seconds:.0f} s" if seconds is not None else ""
    return f"{facts['folder']}: {epochs}{took}, seed {facts['seed']}, {facts['fingerprint']}"


def _configs(result: Reproduction) -> str:
    """The configuration of each method's longest network, as YAML; of features, once for all."""
    parts: dict[str, list[str]] = {}
    for name, by_length in result.plan.items():
        network = network_of(by_length[max(by_length)])
        others = "; other lengths differ in model.bits" if METHODS[name].networks == "each" else ""
        if network is not None:
            yaml = f"{network.name}{others}\n{network.config.to_yaml()}"
            parts.setdefault(yaml, []).append(name)
    return "---\n".join(f"# {', '.join(names)}: {yaml}" for yaml, names in parts.items())
