"""`reid-hash reproduce`."""

import shlex
import sys
from pathlib import Path

import click
from rich.console import Console

from reid_hash.app.runs import RUNS
from reid_hash.cli import options, show
from reid_hash.evaluation import describe
from reid_hash.paper.figures.reproduce import FIGURES, ReproduceOptions, reproduce
from reid_hash.paper.figures.write import write_reproduction
from reid_hash.paper.methods.catalogue import Variant
from reid_hash.paper.table1.plan import KINDS
from reid_hash.paper.table1.table import NAME, PLAIN, table1
from reid_hash.paper.table1.write import write_table1

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
    command_line = shlex.join(["reid-hash", *sys.argv[1:]])
    if NAME in figures:
        _table1(chosen, features, output, console, command_line)
    drawn = [name for name in figures if name != NAME]
    for result in reproduce(drawn, chosen, console) if drawn else ():
        name = result.spec.name
        folder = output or RUNS / "reproduce" / (f"{name}-fast" if fast else name)
        show.line(result.heading.title)
        show.line(f"{describe.protocol_line(result.dataset, 0)} (split {result.split})")
        if result.heading.notice:
            show.line(result.heading.notice)
        show.notes(result.notes, console)
        show.results_table(result.records, COLUMNS)
        for path in write_reproduction(result, folder, command_line):
            show.written(path)


def _table1(
    chosen: ReproduceOptions,
    features: str | None,
    output: Path | None,
    console: Console | None,
    command_line: str,
) -> None:
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
    folder = output or RUNS / "reproduce" / (f"{NAME}-fast" if chosen.variant.fast else NAME)
    show.line(table.title)
    show.line(f"{describe.protocol_line(table.dataset, describe.DRAWS)} (split {table.split})")
    if table.scaled_down:
        show.line(table.scaled_down)
    show.notes(table.notes, console)
    show.results_table(table.records, show.COLUMNS[:6], plain=PLAIN)
    for path in write_table1(table, folder, command_line):
        show.written(path)
