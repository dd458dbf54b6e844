"""`reid-hash train DATASET`."""

from functools import partial
from typing import Any

import click

from reid_hash.app.runs import RUNS
from reid_hash.app.train import TrainOptions, train
from reid_hash.cli import options, show

option = partial(options.option, TrainOptions)


@click.command("train", short_help="Train a hash network on a data set")
@click.argument("dataset")
@option(
    "--data",
    type=options.FOLDER,
    multiple=True,
    help="Folder of the data sets; else $REID_HASH_DATA, else ./data. Of joined data sets, may be "
    "given once for each.",
)
@option("--config", help="YAML file, or a shipped one by name, such as paper/cuhk03.")
@option(
    "--from",
    "start",
    type=options.MODEL,
    help="Start from a trained network: a checkpoint, folder of a run, or name of a shipped model. "
    "Its configuration is used where --config names none.",
)
@option("--bits", type=click.IntRange(1), help="Length of the code (model.bits).")
@options.camera_rule_option
@option(
    "--set",
    "settings",
    multiple=True,
    metavar="SECTION.KEY=VALUE",
    help="Change one value of the configuration; may be given several times.",
)
@option("--resume", is_flag=True, help="Go on with the newest stopped run, or with --output.")
@option("--output", type=options.FOLDER, help="Folder of the run; else runs/DATASET/TIME.")
@options.seed_option
@options.device_option
@options.skip_option
@options.verbosity_options
def command(dataset: str, **given: Any) -> None:
    """Train a hash network on DATASET and evaluate it.

    Several data sets of persons are joined by +: cuhk03+market1501. The first is evaluated; each
    one's share of a batch is set with --set data.shares=[3,1].

    The configuration is configs/DATASET.yaml unless --config or --from names another. The run's
    folder gets model.safetensors, config.yaml, metrics.jsonl, TensorBoard events and report.html.
    Ctrl-C leaves a state that --resume goes on from.

    Several processes: accelerate launch --num_processes N -m reid_hash train DATASET …
    """
    run = train(dataset, runs=RUNS, console=options.progress_console(), **given)
    if run is None:
        return  # one of several processes: the first one tells
    if run.records:
        columns = show.RETRIEVAL_COLUMNS if run.dataset.by_class else show.COLUMNS
        show.results_table(run.records, columns)
    show.written(run.report)
    show.line(f"model: {run.model}")
