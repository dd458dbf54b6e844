"""The paper's table 1: re-identification on CUHK03 by every method, from data to a page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from rich.console import Console

from reid_hash.data.dataset import Dataset
from reid_hash.evaluation import describe
from reid_hash.evaluation.reid import CURVE, Row
from reid_hash.metrics import RANKS
from reid_hash.paper.methods import catalogue
from reid_hash.paper.methods.catalogue import METHODS, Variant
from reid_hash.paper.methods.networks import Workplace, announce
from reid_hash.paper.methods.sources import Hashing, Network, network_of
from reid_hash.paper.table1.measure import measured
from reid_hash.paper.table1.plan import DATASET, KINDS, REPORTED, RowSpec, table_rows
from reid_hash.report.plots import Curve, cmc_plot

NAME = "table1"
PLAIN = (("bytes", "bytes"), ("query_ms", "ms a query"))
"""Numbers beside the match rates, with their headings."""


@dataclass(frozen=True, eq=False)
class Table1:
    """The table as it came out here.

    Attributes:
        rows: what was measured; two of one `RowSpec` differ in the distance.
        networks: behind them.
        dataset: what was evaluated.
        split: which split.
        seed: of the gallery draws.
        notes: what a reader must know.
    """

    rows: Sequence[tuple[RowSpec, Row]]
    networks: Sequence[Network]
    dataset: Dataset
    split: int
    seed: int
    notes: Sequence[str]

    @property
    def title(self) -> str:
        """Heading of its page."""
        return "Table 1 · CUHK03, single-shot"

    @property
    def records(self) -> list[Mapping[str, Any]]:
        """Flat records; below what was measured of a method stands what is reported of it."""
        records: list[Mapping[str, Any]] = []
        last = {spec.published: place for place, (spec, _) in enumerate(self.rows)}
        for place, (spec, row) in enumerate(self.rows):
            records.append({"method": spec.title, "name": spec.method, **row.figures})
            if last[spec.published] == place and spec.published in REPORTED:
                records.append(reported(spec))
        return records

    @property
    def scaled_down(self) -> str:
        """Says by how much trainings are shorter than they should be; else empty."""
        return catalogue.cut_short((spec.method, row.figures) for spec, row in self.rows)

    def plot(self) -> Figure:
        """CMC curves: of each method the longest code by its own distance, and what is reported."""
        curves, published = [], {}
        for spec, row in self._drawn():
            label = spec.title
            curves.append(Curve(label, np.array(CURVE), row.curve, row.curve_std))
            if spec.published in REPORTED:
                rates = np.array(REPORTED[spec.published])
                published[spec.published] = Curve(
                    spec.published, RANKS[: len(rates)], rates, reported="unverified"
                )
        where = describe.protocol_line(self.dataset, describe.DRAWS)
        title = f"CMC on {where}" + (f"; {self.scaled_down}" if self.scaled_down else "")
        # a lone rate is no curve: it stands in the table
        return cmc_plot([*curves, *(c for c in published.values() if len(c.x) > 1)], title)

    def _drawn(self) -> list[tuple[RowSpec, Row]]:
        """Of each method and kind of features the rows that have a curve."""
        longest = max((spec.bits for spec, _ in self.rows), default=0)
        sources = [spec.source for spec, _ in self.rows]
        kinds = [source.features for source in sources if not isinstance(source, Network)]
        first = next((kind for kind in KINDS if kind in kinds), kinds[0] if kinds else "")
        drawn = []
        for spec, row in self.rows:
            if isinstance(spec.source, Hashing) and (
                spec.bits < longest or spec.source.features != first
            ):
                continue  # more than one curve a hash function would hide the others
            by_weight = row.figures["weighted"]
            if by_weight is None or by_weight == METHODS[spec.method].weighted:
                drawn.append((spec, row))
        return drawn


def reported(spec: RowSpec) -> dict[str, Any]:
    """The published record of a row."""
    rates = dict(zip((f"rank{rank}" for rank in RANKS), REPORTED[spec.published], strict=False))
    bits = spec.bits or None
    return {
        "method": spec.published,
        "name": spec.method,
        "reported": "unverified",
        "bits": bits,
        "weighted": None,
        **rates,
    }


def table1(
    names: Sequence[str] | None,
    lengths: Sequence[int] | None,
    variant: Variant,
    kinds: Sequence[str] = KINDS,
    data: Path | None = None,
    *,
    device: str = "auto",
    skip_unreadable: bool = False,
    console: Console | None = None,
) -> Table1:
    """Measure table 1; what is missing is listed, then trained or fitted, each row kept when done.

    Args:
        names: of the methods, see `plan.TABLE_METHODS`; None for all.
        lengths: code lengths in bits; None for the table's.
        variant: changes of the configurations; its seed is also that of the gallery draws.
        kinds: of features that hash functions and metrics start from.
        data: the data root.
        device: where to compute.
        skip_unreadable: leave out images that cannot be read.
        console: for progress.

    Raises:
        ConfigError: a method, length or configuration that is not there.
        DataError: CUHK03 is not there.
        Stopped: Ctrl-C; the same call goes on from there.
    """
    specs = table_rows(names, lengths, variant, kinds)
    sources = list(dict.fromkeys(spec.source for spec in specs))
    place = Workplace(sources, data, device, skip_unreadable, console, persons=True)
    networks = list(dict.fromkeys(n for n in map(network_of, sources) if n is not None))
    hashings = [source for source in sources if isinstance(source, Hashing)]
    announce(networks, hashings, {DATASET: place})
    seed = variant.seed or 0
    rows = measured(specs, place, seed)
    return Table1(rows, networks, place.dataset, place.split, seed, _notes(place.dataset, specs))


def _notes(dataset: Dataset, specs: Sequence[RowSpec]) -> list[str]:
    """What a reader must know of the data and the rows."""
    notes = list(dataset.notes)
    queries = len(dataset.query)
    notes.append(
        "as reported, unverified: the paper's figures as remembered, not read again; they are of "
        "all five camera pairs, and of networks and features that were not released"
    )
    notes.append(
        f"ms a query: making its code or descriptor, and comparing it with all {queries:,} test "
        "images; decoding is left out. Times are of the machine as it was loaded then"
    )
    if any(not isinstance(spec.source, Network) and spec.source.features for spec in specs):
        notes.append(
            "network: the penultimate layer of the same network, trained to classify the "
            "training identities. blocks: histograms of HSV, Lab and local "
            "binary patterns in 19 × 3 overlapping blocks"
        )
    if any(spec.method == "fpnn" for spec in specs):
        notes.append(
            "FPNN compares pictures by its network: each pair goes through it. Its bytes are the "
            "responses that are kept of a person, computed once"
        )
    if any(isinstance(spec.source, Hashing) for spec in specs):
        notes.append("BRE, MLH, KSH: fitted to at most 5,000 training images, drawn")
    return notes
