"""`reid-hash reproduce`."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console

from reid_hash.app.runs import RUNS
from reid_hash.cli import options, show
from reid_hash.paper.figures.reproduce import FIGURES, ReproduceOptions, reproduce
from reid_hash.paper.methods.catalogue import Variant
from reid_hash.paper.result import Result
from reid_hash.paper.table1.plan import KINDS
from reid_hash.paper.table1.table import NAME, PLAIN, table1

COLUMNS = (*show.RETRIEVAL_COLUMNS, "map_at_50000", "precision_at_10")


@click.command("reproduce", short_help="The paper's figures and table: train what is missing")
@click.argument("figures", nargs=-1, required=True, type=click.Choice([NAME, *FIGURES]))
@options.data_option
@click.option(
    "--output",
    type=options.FOLDER,
    help="Folder of the files; else runs/reproduce/FIGURE, with --fast FIGURE-fast.",
)
@options.methods_option
@click.option(
    "--bits", callback=options.parse_bits, help="These code lengths alone: 16,24,32,48,64."
)
@options.features_option
@options.fast_option
@options.seed_option
@options.device_option
@options.skip_option
@options.verbosity_options
def command(
    figures: tuple[str, ...],
    data: Path | None,
    output: Path | None,
    methods: list[str] | None,
    bits: list[int] | None,
    features: str | None,
    fast: bool,
    seed: int | None,
    device: str,
    skip_unreadable: bool,
) -> None:
    """Reproduce FIGURES, and table 1, of the paper (Zhang et al. 2015).

    fig1 MNIST, fig2 CIFAR-10, fig3 NUS-WIDE, fig4 CIFAR-20: precision within Hamming radius 2,
    precision of the 500 nearest images and mAP by code length, precision by number of images
    returned. fig5: one 64-bit network beside a network for each length. fig6: ranking lists.
    Hash functions on features join fig1 to fig4 where they are named with --methods, or have been
    evaluated by `reid-hash retrieval DATASET --methods all`.

    table1: CUHK03 by every method of the paper's table 1, rank-1 to rank-30, bytes a person and
    milliseconds a query; there --methods also knows distance, fpnn, kissme and esdc, and --bits is
    64,128 unless given.

    Networks that are missing are listed with the time they take, then trained, and kept in
    runs/reproduce/DATASET for other figures. Ctrl-C loses nothing: the same command goes on. Each
    figure is written as FIGURE.png, .svg, .csv, .json and .html.
    """
    chosen = ReproduceOptions(
        methods,
        bits,
        Variant(seed=seed, fast=fast, features=features or "network"),
        data,
        device,
        skip_unreadable,
    )
    console = options.progress_console()
    if NAME in figures:
        table = table1(
            chosen.methods,
            chosen.lengths,
            chosen.variant,
            KINDS if features is None else (features,),
            chosen.data,
            device=chosen.device,
            skip_unreadable=chosen.skip_unreadable,
            console=console,
        )
        _show(table, output, fast, console, show.COLUMNS[:6], PLAIN)
    drawn = [name for name in figures if name != NAME]
    for result in reproduce(drawn, chosen, console) if drawn else ():
        _show(result, output, fast, console, COLUMNS)


def _show(
    result: Result,
    output: Path | None,
    fast: bool,
    console: Console | None,
    columns: Sequence[str],
    plain: Sequence[tuple[str, str]] = (),
) -> None:
    show.line(result.page.title)
    show.line(result.protocol)
    if result.scaled_down:
        show.line(result.scaled_down)
    show.notes(result.page.notes, console)
    show.results_table(result.records, columns, plain=plain)
    folder = output or RUNS / "reproduce" / (f"{result.name}-fast" if fast else result.name)
    for path in result.write(folder, shlex.join(["reid-hash", *sys.argv[1:]])):
        show.written(path)
