"""Panels of figures 1 to 5: rows of methods, together with published figures."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from reid_hash.evaluation.retrieval import RADIUS, TOP, RetrievalRow
from reid_hash.paper.methods import catalogue
from reid_hash.paper.methods.catalogue import METHODS
from reid_hash.paper.methods.sources import Plan
from reid_hash.report.formats import figure_name, has
from reid_hash.report.plots.panels import Line, Panel, panels_plot
from reid_hash.report.style import Heading

_REPORTED_LENGTHS = (16, 24, 32, 48)
# mAP as re-printed by DPSH (Li et al., IJCAI 2016)
_REPORTED = {
    "cifar10": {
        "DRSCH": (0.615, 0.622, 0.629, 0.631),
        "DSCH": (0.609, 0.613, 0.617, 0.620),
        "DSRH": (0.608, 0.611, 0.617, 0.618),
    },
    "nuswide": {
        "DRSCH": (0.618, 0.622, 0.623, 0.628),
        "DSCH": (0.592, 0.597, 0.611, 0.609),
        "DSRH": (0.609, 0.618, 0.621, 0.631),
    },
}
_REPORTED_FIGURE = {"cifar10": "map", "nuswide": "map_at_50000"}
_LOOKS = {
    **{name: place for place, name in enumerate(METHODS)},
    # a published method has the marker of its reproduction
    **{
        name.upper(): place
        for place, name in enumerate(METHODS)
        if name in ("dsch", "drsch", "dsrh")
    },
}


def reported(dataset: str, plan: Plan) -> list[dict[str, Any]]:
    """Return published records for the code lengths of a plan, marked `reported`."""
    lengths = {bits for by_length in plan.values() for bits in by_length}
    figure = _REPORTED_FIGURE.get(dataset, "map")
    return [
        {"method": name, "bits": bits, "weighted": None, "reported": True, figure: value}
        for name, values in _REPORTED.get(dataset, {}).items()
        for bits, value in zip(_REPORTED_LENGTHS, values, strict=True)
        if bits in lengths
    ]


def notes(dataset: str, records: Sequence[Mapping[str, Any]]) -> list[str]:
    """List what a reader must know about published records."""
    if not records:
        return []
    if dataset == "nuswide":
        return [
            "As reported: mAP of the first 50,000 images, re-printed by Li et al. (IJCAI 2016); "
            "measured here is mAP over the whole database, which is not the same figure"
        ]
    return ["As reported: mAP re-printed by Li et al. (IJCAI 2016)"]


def retrieval_panels(
    plan: Plan, rows: Sequence[RetrievalRow], published: Sequence[Mapping[str, Any]]
) -> list[Panel]:
    """Make panels (a) to (d) of figures 1 to 4."""
    longest = max(row.figures["bits"] for row in rows)
    ball, top = f"precision_radius_{RADIUS}", f"precision_at_{TOP}"
    return [
        _by_length(f"(a) Precision within Hamming radius {RADIUS}", ball, plan, rows),
        _by_length(f"(b) Precision of the {TOP} nearest images", top, plan, rows),
        Panel(
            f"(c) Precision by number of images returned, {longest} bits",
            "images returned",
            "precision",
            _returned(plan, rows, longest),
            by_length=False,
        ),
        _by_length("(d) Mean average precision", "map", plan, rows, published),
    ]


def length_panels(plan: Plan, rows: Sequence[RetrievalRow]) -> list[Panel]:
    """Make the panel of figure 5."""
    return [_by_length("", f"precision_at_{TOP}", plan, rows)]


def parts(panels: Sequence[Panel], heading: Heading) -> list[tuple[str, Figure]]:
    """Draw each panel as (caption, picture)."""
    return [
        (
            f"{panel.title or panel.y_label.capitalize()}"
            + (", by code length." if panel.by_length else "."),
            panels_plot([panel], heading),
        )
        for panel in panels
    ]


def _drawn(name: str, rows: Sequence[RetrievalRow]) -> list[RetrievalRow]:
    """Select a method's rows with the distance that its line shows."""
    of = [row for row in rows if row.figures["method"] == name]
    return [row for row in of if row.figures["weighted"] == METHODS[name].weighted]


def _by_length(
    heading: str,
    figure: str,
    plan: Plan,
    rows: Sequence[RetrievalRow],
    published: Sequence[Mapping[str, Any]] = (),
) -> Panel:
    lines = []
    for name in plan:
        records = [row.figures for row in _drawn(name, rows) if has(row.figures, figure)]
        lines.append(
            Line(
                catalogue.title(name, plan),
                [record["bits"] for record in records],
                [record[figure] for record in records],
                _LOOKS[name],
            )
        )
    for name in dict.fromkeys(record["method"] for record in published):
        records = [record for record in published if record["method"] == name]
        (held,) = {key for key in records[0] if key.startswith("map")}
        other = f" ({figure_name(held)})" if held != figure else ""
        bits, values = [r["bits"] for r in records], [r[held] for r in records]
        lines.append(Line(f"reported: {name}{other}", bits, values, _LOOKS[name], reported=True))
    return Panel(heading, "code length, bits", figure_name(figure), lines)


def _returned(plan: Plan, rows: Sequence[RetrievalRow], bits: int) -> list[Line]:
    lines = []
    for name in plan:
        for row in _drawn(name, rows):
            if row.figures["bits"] == bits and has(row.figures, "map"):
                returned, precision = row.curves.precision_curve
                label = catalogue.title(name, plan)
                lines.append(Line(label, returned.tolist(), precision.tolist(), _LOOKS[name]))
    return lines
