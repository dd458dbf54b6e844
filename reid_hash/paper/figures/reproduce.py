"""Figures 1 to 6 of the paper (Zhang et al. 2015), from data to rows and pictures.

Figures 1–4: precision and mAP against code length and the number of images returned. Figure 5: one
64-bit network with its codes cut, against a network per length. Figure 6: ranking lists.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from rich.console import Console

from reid_hash.app.evaluate import curve_objects
from reid_hash.distances import hamming, weighted
from reid_hash.evaluation.encoded import Encoded, ranking_row
from reid_hash.paper.figures import panels as figure_panels
from reid_hash.paper.methods import catalogue
from reid_hash.paper.methods import plan as methods_plan
from reid_hash.paper.methods.catalogue import (
    FIGURE_METHODS,
    LENGTHS,
    METHODS,
    Variant,
    choose_methods,
)
from reid_hash.paper.methods.evaluate import encoded_by, method_rows
from reid_hash.paper.methods.networks import EVALUATION_FILE, Workplace, announce
from reid_hash.paper.methods.sources import (
    Hashing,
    Plan,
    Source,
    epochs_of,
    hashing_notes,
    hashings_of,
    network_of,
    networks_of,
    sources_of,
)
from reid_hash.paper.result import Result, network_facts, network_lines, without
from reid_hash.report.grid import Block, RankingRow, lists_beside
from reid_hash.report.pages.html import Report
from reid_hash.report.plots.panels import panels_plot
from reid_hash.report.style import Heading

QUERIES = 10
"""Number of ranking lists in figure 6."""

TOP = 10
"""Number of images in a list."""

CHOSEN = "the first query of each class"
NOTE = (
    f"The queries are {CHOSEN} (of more than {QUERIES} classes, evenly spread ones), not chosen by "
    "their result. Images at equal distance stand in an order drawn once, the same for all methods."
)


@dataclass(frozen=True)
class FigureSpec:
    """A figure of the paper.

    Attributes:
        name: name of the figure on the command line.
        dataset: name of the data set.
        title: title for a reader.
        kind: "retrieval" (figures 1–4), "lengths" (5) or "lists" (6).
        methods: methods shown by default. Figures 1–4 also show other methods that have been
            evaluated at all lengths.
        lengths: default code lengths.
    """

    name: str
    dataset: str
    title: str
    kind: str = "retrieval"
    methods: tuple[str, ...] = FIGURE_METHODS
    lengths: tuple[int, ...] = LENGTHS


_BOTH = ("drsch", "bs-drsch")
FIGURES = {
    spec.name: spec
    for spec in (
        FigureSpec("fig1", "mnist", "MNIST"),
        FigureSpec("fig2", "cifar10", "CIFAR-10"),
        FigureSpec("fig3", "nuswide", "NUS-WIDE"),
        FigureSpec("fig4", "cifar20", "CIFAR-20"),
        FigureSpec("fig5", "cifar10", "CIFAR-10, one network for every length", "lengths", _BOTH),
        FigureSpec("fig6", "cifar10", "CIFAR-10, the nearest images", "lists", _BOTH, (32,)),
    )
}
"""The figures by name."""


@dataclass(frozen=True)
class ReproduceOptions:
    """Options of a user.

    Attributes:
        methods: methods to show instead of the figure's.
        lengths: code lengths in bits instead of the figure's; of several, figure 6 shows 32 or
            the longest.
        variant: changes to the configurations.
        data: the data root.
        device: device to compute on.
        skip_unreadable: leave out images that cannot be read.
    """

    methods: Sequence[str] | None = None
    lengths: Sequence[int] | None = None
    variant: Variant = field(default_factory=Variant)
    data: Path | None = None
    device: str = "auto"
    skip_unreadable: bool = False


def reproduce(
    names: Sequence[str], options: ReproduceOptions, console: Console | None = None
) -> Iterator[Result]:
    """Reproduce figures one by one; missing networks are listed, then trained or fitted.

    Args:
        names: names in `FIGURES`.
        options: options of the user.
        console: console for progress.

    Yields:
        Each figure as soon as its methods are trained and evaluated.

    Raises:
        ConfigError: a method, length or configuration does not exist.
        DataError: a data set is missing.
        Stopped: Ctrl-C was pressed; the same call resumes.
    """
    specs = [FIGURES[name] for name in dict.fromkeys(names)]
    plans = {spec.name: _plan(spec, options) for spec in specs}
    places: dict[str, Workplace] = {}
    for dataset in dict.fromkeys(spec.dataset for spec in specs):
        sources = sources_of(plans[s.name] for s in specs if s.dataset == dataset)
        places[dataset] = Workplace(
            sources, options.data, options.device, options.skip_unreadable, console
        )
    announce(networks_of(plans.values()), hashings_of(plans.values()), places)
    for spec in specs:
        make = _lists if spec.kind == "lists" else _curves
        yield make(spec, plans[spec.name], places[spec.dataset])


def _plan(spec: FigureSpec, options: ReproduceOptions) -> Plan:
    chosen = spec.methods if options.methods is None else choose_methods(options.methods)
    lengths = list(options.lengths or spec.lengths)
    if spec.kind == "lists":
        lengths = [32 if 32 in lengths else lengths[-1]]
    plan = methods_plan.plan(spec.dataset, chosen, lengths, options.variant)
    if options.methods is None and spec.kind == "retrieval":
        others = [name for name in METHODS if name not in chosen]
        baselines = methods_plan.plan(spec.dataset, others, lengths, options.variant)
        plan = {**plan, **{name: of for name, of in baselines.items() if _is_evaluated(of)}}
    return plan


def _is_evaluated(by_length: Mapping[int, Source]) -> bool:
    return all((source.folder / EVALUATION_FILE).exists() for source in by_length.values())


def _curves(spec: FigureSpec, plan: Plan, place: Workplace) -> Result:
    dataset = place.dataset
    rows = method_rows(plan, place)
    queries, database = len(dataset.query), len(dataset.gallery)
    heading = Heading(
        f"Figure {spec.name[3:]} · {spec.title}",
        f"protocol {dataset.protocol}: {queries:,} queries, {database:,} database images; tied "
        "distances count as their expected value",
        catalogue.scaled_down(plan),
    )
    if spec.kind == "retrieval":
        reported = figure_panels.reported(spec.dataset, plan)
        panels = figure_panels.retrieval_panels(plan, rows, reported)
    else:
        reported = []
        panels = figure_panels.length_panels(plan, rows)
    return _result(
        spec,
        plan,
        place,
        heading,
        [*(row.figures for row in rows), *reported],
        panels_plot(panels, heading),
        figure_panels.parts(panels, heading),
        figure_panels.notes(spec.dataset, reported),
        {"curves": curve_objects(rows)},
    )


def _lists(spec: FigureSpec, plan: Plan, place: Workplace) -> Result:
    blocks: list[Block] = []
    lists: list[dict[str, Any]] = []
    records: list[Mapping[str, Any]] = []
    bits = max(next(iter(plan.values())))  # a plan of lists has a single length
    for name, by_length in plan.items():
        (source,) = by_length.values()
        encoded = encoded_by(source, place)
        found = ranking_lists(encoded, bits, METHODS[name].weighted)
        blocks.append((_block_title(name, plan, bits), found))
        about = {"method": name, "bits": bits, "weighted": METHODS[name].weighted}
        images = _list_records(found)
        lists += [{**about, **image} for image in images]
        top = max(len(row.matches) for row in found)
        precision = float(np.mean([np.mean(row.matches) for row in found]))
        records.append({**about, f"precision_at_{top}": precision, **epochs_of(source)})
    heading = Heading(
        f"Figure {spec.name[3:]} · {spec.title} at {bits} bits",
        f"{CHOSEN}; {len(place.dataset.gallery):,} database images, equal distances in random "
        "order",
        catalogue.scaled_down(plan),
    )
    picture = lists_beside(blocks, heading)
    caption = f"The nearest images by codes of {bits} bits; mistakes are framed in red."
    return _result(
        spec, plan, place, heading, records, picture, [(caption, picture)], [NOTE], {"lists": lists}
    )


def _result(
    spec: FigureSpec,
    plan: Plan,
    place: Workplace,
    heading: Heading,
    records: Sequence[Mapping[str, Any]],
    picture: Figure,
    parts: Sequence[tuple[str, Figure]],
    notes: Sequence[str],
    more: Mapping[str, Any],
) -> Result:
    networks = network_facts(networks_of([plan]))
    hashings = len(hashings_of([plan]))
    fitted = f" and {hashings} hash functions fitted to features" if hashings else ""
    page = Report(
        title=heading.title,
        summary=f"Figure {spec.name[3:]} of Zhang et al. (IEEE TIP 2015), made anew with "
        f"{len(networks)} networks trained here{fitted}.",
        facts=[
            ("methods", "\n".join(catalogue.title(name, plan) for name in plan)),
            ("networks", network_lines(networks)),
        ],
        notes=[*_notes(plan, place), *notes],
        records=[_shown(record) for record in records],
        figures=parts,
        config=_configs(plan),
        figures_first=True,
        item="an image",
    )
    return Result(
        spec.name,
        place.dataset,
        place.split,
        sources_of([plan])[0].seed,
        records,
        networks,
        heading.notice,
        picture,
        page,
        {"figure": spec.name, "database": len(place.dataset.gallery), **more},
        more.get("lists", ()),
    )


def _shown(record: Mapping[str, Any]) -> dict[str, Any]:
    left_out = ("recall_at_", "map_at_1000", "features", "train_samples", "fit_seconds")
    shown = without(record, left_out)
    return shown if record.get("reported") else {**shown, "method": METHODS[record["method"]].short}


def _notes(plan: Plan, place: Workplace) -> list[str]:
    """List what a reader must know about the data and the trainings."""
    scaled = catalogue.scaled_down(plan)
    plain = [catalogue.title(name, plan) for name in plan if not METHODS[name].weighted]
    weighted = [catalogue.title(name, plan) for name in plan if METHODS[name].weighted]
    ranked = [
        f"{', '.join(names)}: {distance} distance"
        for names, distance in ((plain, "Hamming"), (weighted, "weighted Hamming"))
        if names
    ]
    return [
        *([f"{scaled}: these figures are not those of the whole training"] if scaled else []),
        *place.dataset.notes,
        *hashing_notes(plan),
        f"Drawn in the picture: {'; '.join(ranked)}",
    ]


def _configs(plan: Plan) -> str:
    """Dump the configuration of each method's longest network as YAML; of features, only once."""
    parts: dict[str, list[str]] = {}
    for name, by_length in plan.items():
        network = network_of(by_length[max(by_length)])
        others = "; other lengths differ in model.bits" if METHODS[name].networks == "each" else ""
        if network is not None:
            yaml = f"{network.name}{others}\n{network.config.to_yaml()}"
            parts.setdefault(yaml, []).append(name)
    return "---\n".join(f"# {', '.join(names)}: {yaml}" for yaml, names in parts.items())


def chosen_queries(labels: NDArray[np.int64] | NDArray[np.bool_]) -> NDArray[np.int64]:
    """Choose the first query of each class, for up to `QUERIES` classes spread evenly.

    Args:
        labels: [n] int64, or [n, classes] bool.

    Returns:
        [≤ QUERIES] int64, distinct indices.
    """
    if labels.ndim == 2:
        firsts = [int(np.flatnonzero(column)[0]) for column in labels.T if column.any()]
    else:
        firsts = np.unique(labels, return_index=True)[1].tolist()
    spread = np.linspace(0, len(firsts) - 1, min(QUERIES, len(firsts))).round().astype(np.int64)
    return np.array(list(dict.fromkeys(firsts[i] for i in spread)), np.int64)


def ranking_lists(encoded: Encoded, bits: int, by_weight: bool) -> list[RankingRow]:
    """List the nearest images of the chosen queries.

    Args:
        encoded: queries and database.
        bits: code length, a prefix of the given codes.
        by_weight: rank by weighted Hamming distance.
    """
    picked = chosen_queries(encoded.query_pixels.labels)
    distance = weighted if by_weight else hamming
    distances = distance(encoded.query.prefix(bits)[picked], encoded.gallery.prefix(bits))
    return [ranking_row(encoded, int(i), of, TOP) for i, of in zip(picked, distances, strict=True)]


def _list_records(rows: Sequence[RankingRow]) -> list[dict[str, Any]]:
    """Make a flat record for each image of the lists."""
    return [
        {
            "query": row.query_name,
            "rank": rank,
            "image": name,
            "right": match,
            "distance": distance,
        }
        for row in rows
        for rank, (name, match, distance) in enumerate(
            zip(row.names, row.matches, row.distances, strict=True), start=1
        )
    ]


def _block_title(name: str, plan: Plan, bits: int) -> str:
    """Return the title above a method's lists."""
    source = plan[name][bits]
    if isinstance(source, Hashing):
        return f"{catalogue.title(name, plan)}, {bits} bits"
    trained = source.bits
    return f"{METHODS[name].short}, {trained}-bit network" + (
        f" cut to {bits} bits" if bits < trained else ""
    )
