"""`reid-hash train DATASET`."""

from pathlib import Path

import click

from reid_hash.app.run_report import write_run_report
from reid_hash.app.runs import resumable_run
from reid_hash.app.train import train_run
from reid_hash.app.train_config import training_config
from reid_hash.cli import options, show
from reid_hash.training.loop import MODEL_FILE


@click.command("train", short_help="Train a hash network on a data set")
@click.argument("dataset")
@click.option(
    "--data",
    type=options.FOLDER,
    multiple=True,
    help="Folder of the data sets; else $REID_HASH_DATA, else ./data. Of joined data sets, may be "
    "given once for each.",
)
@click.option("--config", help="YAML file, or a shipped one by name, such as paper/cuhk03.")
@click.option(
    "--from",
    "start",
    type=options.MODEL,
    help="Start from a trained network: a checkpoint, folder of a run, or name of a shipped model. "
    "Its configuration is used where --config names none.",
)
@click.option("--bits", type=click.IntRange(1), help="Length of the code (model.bits).")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="SECTION.KEY=VALUE",
    help="Change one value of the configuration; may be given several times.",
)
@click.option("--resume", is_flag=True, help="Go on with the newest stopped run, or with --output.")
@click.option("--output", type=options.FOLDER, help="Folder of the run; else runs/DATASET/TIME.")
@options.seed_option
@options.device_option
@options.skip_option
@options.verbosity_options
def command(
    dataset: str,
    data: tuple[Path, ...],
    config: str | None,
    start: Path | None,
    bits: int | None,
    settings: tuple[str, ...],
    resume: bool,
    output: Path | None,
    seed: int | None,
    device: str,
    skip_unreadable: bool,
) -> None:
    """Train a hash network on DATASET and evaluate it.

    Several data sets of persons are joined by +: cuhk03+market1501. The first is evaluated; each
    one's share of a batch is set with --set data.shares=[3,1].

    The configuration is configs/DATASET.yaml unless --config or --from names another. The run's
    folder gets model.safetensors, config.yaml, metrics.jsonl, TensorBoard events and report.html.
    Ctrl-C leaves a state that --resume goes on from.

    Several processes: accelerate launch --num_processes N -m reid_hash train DATASET …
    """
    console = options.progress_console()
    if resume and output is None:
        output = resumable_run(dataset)
    changes = [*settings]
    if bits is not None:
        changes.append(f"model.bits={bits}")
    if seed is not None:
        changes.append(f"seed={seed}")
    chosen = training_config(dataset, config, changes, start, output if resume else None)
    result = train_run(
        chosen,
        data,
        output,
        resume=resume,
        device=device,
        skip_unreadable=skip_unreadable,
        console=console,
    )
    if result is None:
        return  # one of several processes: the first one tells
    if result.records:
        columns = show.RETRIEVAL_COLUMNS if result.dataset.by_class else show.COLUMNS
        show.results_table(result.records, columns)
    show.written(write_run_report(result))
    show.line(f"model: {result.folder / MODEL_FILE}")
