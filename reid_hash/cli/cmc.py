"""`reid-hash cmc`."""

from functools import partial
from pathlib import Path
from typing import Any

import click

from reid_hash.app.evaluate import EvaluateOptions, evaluate
from reid_hash.app.runs import RUNS
from reid_hash.cli import options, show
from reid_hash.evaluation.describe import write_json
from reid_hash.metrics.single_shot import MOST_DRAWS
from reid_hash.report.plots import save_figure

option = partial(options.option, EvaluateOptions)


@click.command("cmc", short_help="Evaluate re-identification: CMC curve, mAP, mINP")
@option(
    "--bits",
    callback=options.parse_bits,
    help="Code length, or several: 16,32,64,128. All the usual ones when left out.",
)
@options.network_options
@options.model_option
@option("--dataset", help="Data set; else the one the model was trained on, else cuhk03.")
@options.data_option
@option("--protocol", help="Such as single-shot, cross-camera or new (cuhk03).")
@option("--split", type=click.IntRange(0), help="Which of several published splits.")
@option("--boxes", type=click.Choice(["labeled", "detected"]), help="CUHK03: whose boxes.")
@options.camera_rule_option
@option(
    "--draws",
    type=click.IntRange(1, MOST_DRAWS),
    show_default=True,
    help="Gallery draws of a single-shot protocol.",
)
@option("--rerank", is_flag=True, help="k-reciprocal re-ranking of every row.")
@option(
    "--asymmetric",
    is_flag=True,
    help="Add rows in which the query keeps its real values and the gallery has bits.",
)
@option(
    "--open-set",
    is_flag=True,
    help="Add TPIR at 1 % FPIR: half of the identities enrolled, the others strangers.",
)
@option("--float", "embedding", is_flag=True, help="Add a row for the float embedding.")
@click.option(
    "--plot",
    type=options.FILE,
    help="Write the CMC curves to this .png or .svg file.",
)
@options.json_option
@options.seed_option
@options.device_option
@options.skip_option
@options.verbosity_options
def command(plot: Path | None, json_file: Path | None, **given: Any) -> None:
    """Evaluate a trained network's codes by re-identification.

    Prints rank-1/5/10/20/30, mAP in both definitions and mINP for each code length, with weighted
    and with plain Hamming distance; all are expected values over tied distances.
    """
    console = options.progress_console()
    result = evaluate(task="reid", runs=RUNS, console=console, **given)
    show.notes(result.notes, console)
    for line in result.headlines:
        show.line(line)
    show.results_table(result.records)
    if json_file is not None:
        write_json(json_file, result.as_object())
        show.written(json_file)
    if plot is not None:
        save_figure(result.plots()["cmc"], plot)
        show.written(plot)
