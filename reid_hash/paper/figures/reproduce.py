"""The paper's figures 1 to 6 (Zhang et al. 2015), from data to rows and pictures.

Figures 1–4: precision and mAP against code length and the number of images returned. Figure 5:
one 64-bit network whose bits are cut, beside a network for each length. Figure 6: ranking lists.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from rich.console import Console

from reid_hash.data.dataset import Dataset
from reid_hash.evaluation.retrieval import RetrievalRow
from reid_hash.paper.figures import panels as reproduce_panels
from reid_hash.paper.figures import ranking_lists
from reid_hash.paper.methods import catalogue as methods
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
    Plan,
    Source,
    epochs_of,
    hashing_notes,
    hashings_of,
    networks_of,
    sources_of,
)
from reid_hash.report.grid import Block, lists_beside
from reid_hash.report.plots.panels import panels_plot
from reid_hash.report.style import Heading


@dataclass(frozen=True)
class FigureSpec:
    """A figure of the paper.

    Attributes:
        name: on the command line.
        dataset: of whose images.
        title: a reader's words.
        kind: "retrieval" (figures 1–4), "lengths" (5) or "lists" (6).
        methods: that are shown unless others are chosen; the other methods join them in figures
            1–4 where they have been evaluated at all lengths.
        lengths: code lengths, likewise.
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
    """What a user may choose.

    Attributes:
        methods: in place of those of the figure.
        lengths: code lengths in bits, likewise; of several, figure 6 shows 32 or the longest.
        variant: changes of the configurations.
        data: the data root.
        device: where to compute.
        skip_unreadable: leave out images that cannot be read.
    """

    methods: Sequence[str] | None = None
    lengths: Sequence[int] | None = None
    variant: Variant = field(default_factory=Variant)
    data: Path | None = None
    device: str = "auto"
    skip_unreadable: bool = False


@dataclass(frozen=True, eq=False)
class Reproduction:
    """A figure as it came out here.

    Attributes:
        spec: which figure.
        plan: the networks and hash functions behind it.
        dataset: what it is of.
        split: which split or draw.
        records: flat result records; published ones are marked `reported`.
        rows: those with curves that were measured here.
        lists: one record an image of the ranking lists of figure 6.
        heading: above the picture.
        picture: all of it.
        parts: (caption, part of it), for a page.
        notes: what a reader must know.
    """

    spec: FigureSpec
    plan: Plan
    dataset: Dataset
    split: int
    records: Sequence[Mapping[str, Any]]
    rows: Sequence[RetrievalRow]
    lists: Sequence[Mapping[str, Any]]
    heading: Heading
    picture: Figure
    parts: Sequence[tuple[str, Figure]]
    notes: Sequence[str]


def reproduce(
    names: Sequence[str], options: ReproduceOptions, console: Console | None = None
) -> Iterator[Reproduction]:
    """Reproduce figures one by one; what is missing is listed, then trained or fitted.

    Args:
        names: of `FIGURES`.
        options: what the user chose.
        console: for progress.

    Yields:
        Each figure as soon as its methods are trained and evaluated.

    Raises:
        ConfigError: a method, length or configuration that is not there.
        DataError: a data set that is not there.
        Stopped: Ctrl-C; the same call goes on from there.
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


def _curves(spec: FigureSpec, plan: Plan, place: Workplace) -> Reproduction:
    dataset = place.dataset
    rows = method_rows(plan, place)
    reported = reproduce_panels.reported(spec.dataset, plan) if spec.kind == "retrieval" else []
    queries, database = len(dataset.query), len(dataset.gallery)
    heading = Heading(
        f"Figure {spec.name[3:]} · {spec.title}",
        f"protocol {dataset.protocol}: {queries:,} queries, {database:,} database images; tied "
        "distances count as their expected value",
        methods.scaled_down(plan),
    )
    if spec.kind == "retrieval":
        panels = reproduce_panels.retrieval_panels(plan, rows, reported)
    else:
        panels = reproduce_panels.length_panels(plan, rows)
    notes = [*_notes(plan, dataset), *reproduce_panels.notes(spec.dataset, reported)]
    return Reproduction(
        spec,
        plan,
        dataset,
        place.split,
        [*(row.figures for row in rows), *reported],
        rows,
        [],
        heading,
        panels_plot(panels, heading),
        reproduce_panels.parts(panels, heading),
        notes,
    )


def _lists(spec: FigureSpec, plan: Plan, place: Workplace) -> Reproduction:
    blocks: list[Block] = []
    lists: list[dict[str, Any]] = []
    records: list[Mapping[str, Any]] = []
    bits = max(next(iter(plan.values())))  # a plan of lists has one length
    for name, by_length in plan.items():
        (source,) = by_length.values()
        encoded = encoded_by(source, place)
        found = ranking_lists.ranking_lists(encoded, bits, METHODS[name].weighted)
        blocks.append((ranking_lists.block_title(name, plan, bits), found))
        about = {"method": name, "bits": bits, "weighted": METHODS[name].weighted}
        lists += [{**about, **image} for image in ranking_lists.list_records(found)]
        records.append({**about, **ranking_lists.figures(found), **epochs_of(source)})
    heading = Heading(
        f"Figure {spec.name[3:]} · {spec.title} at {bits} bits",
        f"{ranking_lists.CHOSEN}; {len(place.dataset.gallery):,} database images, equal "
        "distances in random order",
        methods.scaled_down(plan),
    )
    picture = lists_beside(blocks, heading)
    caption = f"The nearest images by codes of {bits} bits; mistakes are framed in red."
    return Reproduction(
        spec,
        plan,
        place.dataset,
        place.split,
        records,
        [],
        lists,
        heading,
        picture,
        [(caption, picture)],
        [*_notes(plan, place.dataset), ranking_lists.NOTE],
    )


def _notes(plan: Plan, dataset: Dataset) -> list[str]:
    """What a reader must know of the data and the trainings."""
    scaled = methods.scaled_down(plan)
    plain = [methods.title(name, plan) for name in plan if not METHODS[name].weighted]
    weighted = [methods.title(name, plan) for name in plan if METHODS[name].weighted]
    ranked = [
        f"{', '.join(names)}: {distance} distance"
        for names, distance in ((plain, "Hamming"), (weighted, "weighted Hamming"))
        if names
    ]
    return [
        *([f"{scaled}: these figures are not those of the whole training"] if scaled else []),
        *dataset.notes,
        *hashing_notes(plan),
        f"Drawn in the picture: {'; '.join(ranked)}",
    ]
