"""Table 1 of the paper: re-identification on CUHK03 by every method, from data to a page."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from reid_hash.data.dataset import Dataset
from reid_hash.evaluation import describe
from reid_hash.evaluation.reid import CURVE, Row
from reid_hash.metrics import RANKS
from reid_hash.paper.methods import catalogue
from reid_hash.paper.methods.catalogue import METHODS, Variant
from reid_hash.paper.methods.networks import Workplace, announce
from reid_hash.paper.methods.sources import Hashing, Network, network_of
from reid_hash.paper.result import Result, network_facts, network_lines, without
from reid_hash.paper.table1.measure import measured
from reid_hash.paper.table1.plan import DATASET, KINDS, REPORTED, RowSpec, table_rows
from reid_hash.report.pages.html import Report
from reid_hash.report.plots import Curve, cmc_plot

NAME = "table1"
PLAIN = (("bytes", "bytes"), ("query_ms", "ms a query"))
"""Columns in addition to the match rates, with their headings."""

_LEFT_OUT = ("map_trapezoid", "minp")  # of the page's table, to save width

Measured = Sequence[tuple[RowSpec, Row]]
"""The rows; two with the same `RowSpec` differ in the distance."""


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
) -> Result:
    """Measure table 1; missing parts are listed, then trained or fitted, each row kept when done.

    Args:
        names: names of the methods, see `plan.TABLE_METHODS`; None for all.
        lengths: code lengths in bits; None for the table's.
        variant: changes to the configurations; its seed also sets the gallery draws.
        kinds: kinds of features for hash functions and metrics.
        data: the data root.
        device: device to compute on.
        skip_unreadable: leave out images that cannot be read.
        console: console for progress.

    Raises:
        ConfigError: a method, length or configuration does not exist.
        DataError: CUHK03 is missing.
        Stopped: Ctrl-C was pressed; the same call resumes.
    """
    specs = table_rows(names, lengths, variant, kinds)
    sources = list(dict.fromkeys(spec.source for spec in specs))
    place = Workplace(sources, data, device, skip_unreadable, console, persons=True)
    networks = list(dict.fromkeys(n for n in map(network_of, sources) if n is not None))
    hashings = [source for source in sources if isinstance(source, Hashing)]
    announce(networks, hashings, {DATASET: place})
    seed = variant.seed or 0
    rows = measured(specs, place, seed)
    records = _records(rows)
    scaled_down = catalogue.cut_short((spec.method, row.figures) for spec, row in rows)
    title = f"CMC on {describe.protocol_line(place.dataset, describe.DRAWS)}"
    picture = cmc_plot(_curves(rows), f"{title}; {scaled_down}" if scaled_down else title)
    facts = network_facts(networks)
    page = Report(
        title="Table 1 · CUHK03, single-shot",
        summary="Table 1 of Zhang et al. (IEEE TIP 2015), made anew: match rates at ranks 1 to 30, "
        "mean over the gallery draws.",
        facts=[("networks", network_lines(facts)), ("seed", str(seed))],
        notes=_notes(place.dataset, specs),
        records=[without(record, _LEFT_OUT) for record in records],
        figures=[("Share of queries whose match is among the first ranks.", picture)],
        config="---\n".join(f"# {n.name}\n{n.config.to_yaml()}" for n in networks),
        plain=PLAIN[1:],  # bytes already have a column
    )
    curves = [
        {
            "method": spec.title,
            "weighted": row.figures["weighted"],
            "rates": row.curve.tolist(),
            "std": None if row.curve_std is None else row.curve_std.tolist(),
        }
        for spec, row in rows
    ]
    return Result(
        NAME,
        place.dataset,
        place.split,
        seed,
        records,
        facts,
        scaled_down,
        picture,
        page,
        {"table": NAME, "curves": curves},
    )


def _records(rows: Measured) -> list[Mapping[str, Any]]:
    """Make flat records; a method's published figures follow its measured ones."""
    records: list[Mapping[str, Any]] = []
    last = {spec.published: place for place, (spec, _) in enumerate(rows)}
    for place, (spec, row) in enumerate(rows):
        records.append({"method": spec.title, "name": spec.method, **row.figures})
        if last[spec.published] == place and spec.published in REPORTED:
            records.append(_reported(spec))
    return records


def _reported(spec: RowSpec) -> dict[str, Any]:
    rates = dict(zip((f"rank{rank}" for rank in RANKS), REPORTED[spec.published], strict=False))
    return {
        "method": spec.published,
        "name": spec.method,
        "reported": "unverified",
        "bits": spec.bits or None,
        "weighted": None,
        **rates,
    }


def _curves(rows: Measured) -> list[Curve]:
    """Make CMC curves: each method's longest code by its own distance, and published curves."""
    curves, published = [], {}
    for spec, row in _drawn(rows):
        curves.append(Curve(spec.title, np.array(CURVE), row.curve, row.curve_std))
        if spec.published in REPORTED:
            rates = np.array(REPORTED[spec.published])
            published[spec.published] = Curve(
                spec.published, RANKS[: len(rates)], rates, reported="unverified"
            )
    # a single rate is not a curve; it is in the table
    return [*curves, *(curve for curve in published.values() if len(curve.x) > 1)]


def _drawn(rows: Measured) -> list[tuple[RowSpec, Row]]:
    """Select the rows of each method and kind of features that have a curve."""
    longest = max((spec.bits for spec, _ in rows), default=0)
    sources = [spec.source for spec, _ in rows]
    kinds = [source.features for source in sources if not isinstance(source, Network)]
    first = next((kind for kind in KINDS if kind in kinds), kinds[0] if kinds else "")
    drawn = []
    for spec, row in rows:
        if isinstance(spec.source, Hashing) and (
            spec.bits < longest or spec.source.features != first
        ):
            continue  # several curves per hash function would hide the others
        by_weight = row.figures["weighted"]
        if by_weight is None or by_weight == METHODS[spec.method].weighted:
            drawn.append((spec, row))
    return drawn


def _notes(dataset: Dataset, specs: Sequence[RowSpec]) -> list[str]:
    """List what a reader must know about the data and the rows."""
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
