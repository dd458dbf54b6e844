"""`reid-hash retrieval --methods`: the methods of the paper on a data set, in one table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from rich.console import Console

from reid_hash.app.evaluate import curve_objects
from reid_hash.data.dataset import Dataset
from reid_hash.evaluation import describe
from reid_hash.evaluation.retrieval import TOP, RetrievalRow
from reid_hash.paper.methods import catalogue
from reid_hash.paper.methods import plan as methods_plan
from reid_hash.paper.methods.catalogue import LENGTHS, METHODS, Variant
from reid_hash.paper.methods.evaluate import method_rows
from reid_hash.paper.methods.networks import Workplace, announce
from reid_hash.paper.methods.sources import (
    Plan,
    hashing_notes,
    hashings_of,
    networks_of,
    sources_of,
)
from reid_hash.report.plots import bits_plot


@dataclass(frozen=True, eq=False)
class MethodsReport:
    """Figures of several methods, with their origin.

    Attributes:
        plan: the networks and hash functions behind the figures.
        dataset: the evaluated data set.
        split: number of the split or draw.
        rows: one row per method, length and weighting.
        notes: what a reader of the figures must know.
    """

    plan: Plan
    dataset: Dataset
    split: int
    rows: Sequence[RetrievalRow]
    notes: Sequence[str] = field(default=())

    @property
    def records(self) -> list[Mapping[str, Any]]:
        """Flat records of the rows."""
        return [row.figures for row in self.rows]

    @property
    def headlines(self) -> list[str]:
        """Lines printed above the table."""
        rules = [f"{name}: {words}" for name, words in describe.rules(self.dataset)]
        named = [f"{name}: {catalogue.title(name, self.plan)}" for name in self.plan]
        scaled = catalogue.scaled_down(self.plan)
        return [
            f"{describe.protocol_line(self.dataset, 0)} (split {self.split})",
            *rules,
            f"ties: {describe.TIES}",
            *named,
            *([scaled] if scaled else []),
        ]

    def as_object(self) -> dict[str, Any]:
        """Build the object that `--json` writes."""
        sources = sources_of([self.plan])
        return describe.result_object(
            self.dataset,
            ", ".join(str(source.folder) for source in sources),
            sources[0].seed,
            self.records,
            0,
            split=self.split,
            queries=len(self.dataset.query),
            database=len(self.dataset.gallery),
            scaled_down=catalogue.scaled_down(self.plan) or None,
            curves=curve_objects(self.rows),
        )

    def plots(self) -> dict[str, Figure]:
        """Draw figures by code length, each method by its own distance; keys are file names."""
        own = [r for r in self.records if r["weighted"] == METHODS[r["method"]].weighted]
        return {name: bits_plot(own, name) for name in ("map", f"precision_at_{TOP}")}


def run_methods(
    dataset_name: str,
    names: Sequence[str],
    lengths: Sequence[int] | None,
    variant: Variant,
    data: Path | None,
    *,
    device: str = "auto",
    skip_unreadable: bool = False,
    console: Console | None = None,
) -> MethodsReport:
    """Evaluate methods by image retrieval; missing networks are trained or fitted first.

    Args:
        dataset_name: name of the data set.
        names: names of the methods; "all" stands for all.
        lengths: code lengths; None for the paper's.
        variant: changes to the configurations.
        data: the data root.
        device: device to compute on.
        skip_unreadable: leave out images that cannot be read.
        console: console for progress.

    Raises:
        ConfigError: a method, length or configuration does not exist.
        DataError: the data set is missing.
        Stopped: Ctrl-C was pressed; the same call resumes.
    """
    chosen = catalogue.choose_methods(names)
    plan = methods_plan.plan(dataset_name, chosen, list(lengths or LENGTHS), variant)
    place = Workplace(sources_of([plan]), data, device, skip_unreadable, console)
    announce(networks_of([plan]), hashings_of([plan]), {dataset_name: place})
    rows = method_rows(plan, place)
    notes = [*place.dataset.notes, *hashing_notes(plan)]
    return MethodsReport(plan, place.dataset, place.split, rows, notes)
