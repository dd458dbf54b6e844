"""The report of a training run: what was run, the figures, curves and ranking lists."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from reid_hash import __version__
from reid_hash.app.runs import RUN_FILE
from reid_hash.distances import weighted
from reid_hash.evaluation import describe
from reid_hash.evaluation.encoded import Encoded, ranking_row
from reid_hash.evaluation.reid import Row, curves
from reid_hash.evaluation.retrieval import TOP
from reid_hash.metrics import valid_mask
from reid_hash.models.run_files import METRICS_FILE, REPORT_FILE
from reid_hash.report.grid import RankingRow, ranking_grid
from reid_hash.report.pages.html import Report, write_report
from reid_hash.report.plots import bits_plot, cmc_plot, loss_plot

if TYPE_CHECKING:
    from reid_hash.app.train import RunResult

PLOTTED = (16, 32, 64, 128)
"""Code lengths whose CMC curves are drawn, where there are that many: more are hard to read."""


def write_run_report(run: "RunResult") -> Path:
    """Write `report.html` into the run's folder.

    Args:
        run: a finished run.

    Returns:
        The file.
    """
    path = run.folder / REPORT_FILE
    config = run.checkpoint.net.config
    figures = [("Loss and evaluation over the training.", loss_plot(read_history(run.folder)))]
    if run.encoded is not None:
        bits = run.checkpoint.net.config.model.bits
        where = f"{run.dataset.name}, {run.dataset.protocol}"
        figures += _retrieval_figures(run) if run.dataset.by_class else _reid_figures(run, where)
        figures.append(
            (
                "Ranking lists of some queries, by weighted distance of the full code.",
                ranking_grid(ranking_rows(run), f"Nearest images, {where}, {bits} bits"),
            )
        )
    report = Report(
        title=f"{run.dataset.name}: {config.model.bits}-bit codes",
        summary=_summary(run),
        facts=_facts(run),
        notes=list(run.dataset.notes),
        records=run.records,
        figures=figures,
        config=config.to_yaml(),
    )
    write_report(path, report)
    return path


def _reid_figures(run: "RunResult", where: str) -> list[tuple[str, Figure]]:
    bits = run.checkpoint.net.config.model.bits
    shown = [
        row for row in run.rows if isinstance(row, Row) and row.figures["bits"] in {*PLOTTED, bits}
    ]
    return [
        (
            "CMC curves: share of queries whose match is among the first ranks.",
            cmc_plot(curves(shown), f"CMC on {where}"),
        ),
        (
            "Rank-1 by code length; every length is a prefix of one code.",
            bits_plot([r for r in run.records if r["method"] == "codes"], "rank1"),
        ),
    ]


def _retrieval_figures(run: "RunResult") -> list[tuple[str, Figure]]:
    return [
        (
            f"{said} by code length; every length is a prefix of one code.",
            bits_plot(run.records, name),
        )
        for said, name in (
            ("Mean average precision", "map"),
            (f"Precision of the {TOP} nearest images", f"precision_at_{TOP}"),
        )
    ]


def read_history(folder: Path) -> list[dict[str, float]]:
    """The records of `metrics.jsonl`; a line that was cut off by a crash is passed over."""
    try:
        lines = (folder / METRICS_FILE).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    history = []
    for line in lines:
        try:
            history.append(json.loads(line))
        except ValueError:
            continue
    return history


def ranking_rows(run: "RunResult", rows: int = 8, top: int = 8) -> list[RankingRow]:
    """Ranking lists of some queries: evenly spread over the query set, not chosen by their result.

    Args:
        run: a finished run with a test set.
        rows: how many queries.
        top: how many gallery images for each.
    """
    encoded = run.encoded
    if encoded is None:
        return []
    count = len(encoded.query)
    picked = np.unique(np.linspace(0, count - 1, min(rows, count)).astype(np.int64))
    return [_ranking_row(encoded, run.dataset.camera_rule, int(i), top) for i in picked]


def _ranking_row(encoded: Encoded, camera_rule: str, i: int, top: int) -> RankingRow:
    query, gallery = encoded.query_pixels, encoded.gallery_pixels
    distances = weighted(encoded.query[[i]], encoded.gallery)[0]
    valid = None
    if camera_rule != "none":
        valid = valid_mask(
            camera_rule, query.labels[[i]], gallery.labels, query.cameras[[i]], gallery.cameras
        )[0]
    return ranking_row(encoded, i, distances, top, valid)


def _summary(run: "RunResult") -> str:
    if not run.rows:
        return "Trained; the data set has no query and gallery to evaluate."
    figure = "map" if run.dataset.by_class else "rank1"
    best = {r["bits"]: r for r in run.records if r["method"] == "codes" and r["weighted"]}
    said = [f"{100 * best[b][figure]:.1f} % at {b} bits" for b in best if b in {*PLOTTED}]
    name = "Mean average precision" if run.dataset.by_class else "Rank-1"
    return f"{name} on {run.dataset.name}, weighted Hamming distance: {', '.join(said)}."


def _facts(run: "RunResult") -> list[tuple[str, str]]:
    trained: Mapping[str, Any] = run.checkpoint.trained_on
    noted = _noted(run.folder)
    return [
        ("command", str(noted.get("command", ""))),
        ("data set", describe.protocol_line(run.dataset, describe.DRAWS)),
        *describe.rules(run.dataset),
        ("ties", describe.TIES),
        (
            "trained on",
            f"{trained['images']:,} images of {trained['identities']:,} "
            + ("classes" if run.dataset.by_class else "identities"),
        ),
        ("training", f"{trained['steps']:,} steps in {trained['seconds']:.0f} s"),
        ("seed", str(run.checkpoint.net.config.seed)),
        ("model", f"model.safetensors, fingerprint {run.checkpoint.fingerprint}"),
        ("machine", str(noted.get("machine", ""))),
        ("version", f"reid_hash {__version__}"),
    ]


def _noted(folder: Path) -> dict[str, Any]:
    try:
        noted: dict[str, Any] = json.loads((folder / RUN_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return noted
