"""`reid-hash retrieval DATASET`."""

from functools import partial
from pathlib import Path
from typing import Any

import click

from reid_hash.app.evaluate import EvaluateOptions, Evaluation, evaluate
from reid_hash.app.runs import RUNS
from reid_hash.cli import options, show
from reid_hash.errors import ConfigError
from reid_hash.evaluation.describe import write_json
from reid_hash.paper.methods.catalogue import Variant
from reid_hash.paper.methods.report import MethodsReport, run_methods
from reid_hash.report.plots import save_figure

option = partial(options.option, EvaluateOptions)


@click.command("retrieval", short_help="Evaluate image retrieval: mAP, precision, look-up")
@click.argument("dataset")
@option(
    "--bits",
    callback=options.parse_bits,
    help="Code length, or several: 16,24,32,48,64. All the usual ones when left out.",
)
@options.network_options
@options.model_option
@options.methods_option
@options.features_option
@options.fast_option
@options.data_option
@option("--protocol", help="full, 5k, unseen or unseen-all; else that of the model's training.")
@option("--split", type=click.IntRange(0), help="Which split, or draw of a protocol.")
@options.json_option
@click.option(
    "--output",
    type=options.FOLDER,
    help="Write the figures by code length as pictures, and the JSON, to this folder.",
)
@options.device_option
@options.skip_option
@options.verbosity_options
def command(
    dataset: str,
    methods: list[str] | None,
    features: str | None,
    fast: bool,
    json_file: Path | None,
    output: Path | None,
    **given: Any,
) -> None:
    """Evaluate a trained network's codes by image retrieval on DATASET.

    Prints mAP, precision and NDCG of the 500 nearest images, and precision within Hamming radius 2
    for each code length, ranked by weighted and by plain Hamming distance; all are expected values
    over tied distances. A query within whose radius there is no image counts as 0; how many
    there are stands beside it.

    With --methods, the paper's methods, the current recipe and hash functions on features are
    compared. Networks that are missing in runs/reproduce/DATASET are trained first, as by
    `reid-hash reproduce`. Hash functions are fitted for each length: LSH, SH and ITQ to all
    training images, BRE, MLH and KSH to 5,000 drawn ones; their bits have no weights, and every
    row is kept as soon as it is there.
    """
    if methods is not None and given["model"] is not None:
        raise ConfigError("--methods trains networks of its own: leave out --model and --network")
    if fast and methods is None:
        raise ConfigError("--fast scales trainings down: it goes with --methods")
    if features is not None and methods is None:
        raise ConfigError("--features is of hash functions: it goes with --methods")
    console = options.progress_console()
    report: Evaluation | MethodsReport
    if methods is None:
        report = evaluate(dataset, task="retrieval", runs=RUNS, console=console, **given)
    else:
        report = run_methods(
            dataset,
            methods,
            given["bits"],
            Variant(given["protocol"], given["split"], fast=fast, features=features or "network"),
            given["data"],
            device=given["device"],
            skip_unreadable=given["skip_unreadable"],
            console=console,
        )
    show.notes(report.notes, console)
    for line in report.headlines:
        show.line(line)
    show.results_table(report.records, show.RETRIEVAL_COLUMNS)
    if output is not None:
        json_file = json_file or output / "retrieval.json"
        for name, figure in report.plots().items():
            for suffix in (".png", ".svg"):
                save_figure(figure, output / f"{name}{suffix}")
                show.written(output / f"{name}{suffix}")
    if json_file is not None:
        write_json(json_file, report.as_object())
        show.written(json_file)
