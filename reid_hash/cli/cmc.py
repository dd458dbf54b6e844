"""`reid-hash cmc`."""

from pathlib import Path

import click

from reid_hash.app.cmc import CmcOptions, run_cmc
from reid_hash.cli import options, show
from reid_hash.evaluation.describe import write_json
from reid_hash.models.shipped import is_shipped
from reid_hash.report.plots import save_figure


@click.command("cmc", short_help="Evaluate re-identification: CMC curve, mAP, mINP")
@click.option(
    "--bits",
    callback=options.parse_bits,
    help="Code length, or several: 16,32,64,128. All the usual ones when left out.",
)
@options.model_option
@click.option("--dataset", help="Data set; else the one the model was trained on, else cuhk03.")
@options.data_option
@click.option("--protocol", help="Of cuhk03: single-shot, cross-camera or new.")
@click.option("--split", type=click.IntRange(0), help="Which of several published splits.")
@click.option("--boxes", type=click.Choice(["labeled", "detected"]), help="CUHK03: whose boxes.")
@click.option(
    "--draws",
    type=click.IntRange(1),
    default=100,
    show_default=True,
    help="Gallery draws of a single-shot protocol.",
)
@click.option("--rerank", is_flag=True, help="k-reciprocal re-ranking of every row.")
@click.option(
    "--asymmetric",
    is_flag=True,
    help="Add rows in which the query keeps its real values and the gallery has bits.",
)
@click.option(
    "--open-set",
    is_flag=True,
    help="Add TPIR at 1 % FPIR: half of the identities enrolled, the others strangers.",
)
@click.option("--float", "embedding", is_flag=True, help="Add a row for the float embedding.")
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
def command(
    bits: list[int] | None,
    model: Path | None,
    dataset: str | None,
    data: Path | None,
    protocol: str | None,
    split: int | None,
    boxes: str | None,
    draws: int,
    rerank: bool,
    asymmetric: bool,
    open_set: bool,
    embedding: bool,
    plot: Path | None,
    json_file: Path | None,
    seed: int | None,
    device: str,
    skip_unreadable: bool,
) -> None:
    """Evaluate a trained network's codes by re-identification.

    Prints rank-1/5/10/20/30, mAP in both definitions and mINP for each code length, with weighted
    and with plain Hamming distance; all are expected values over tied distances.
    """
    console = options.progress_console()
    result = run_cmc(
        CmcOptions(
            lengths=bits,
            dataset=dataset,
            protocol=protocol,
            split=split,
            boxes=boxes,
            draws=draws,
            rerank=rerank,
            real_query=asymmetric,
            embedding=embedding,
            seed=seed or 0,
            open_set=open_set,
        ),
        model,
        data,
        device=device,
        skip_unreadable=skip_unreadable,
        console=console,
    )
    show.notes(result.notes, console)
    for line in result.headlines:
        show.line(line)
    show.results_table(result.records)
    if json_file is not None:
        write_json(json_file, result.as_object())
        show.written(json_file)
    if plot is None and len(result.lengths) > 1:
        # beside the model, but not within the package
        plot = (Path() if is_shipped(result.model) else result.model.parent) / "cmc.png"
    if plot is not None:
        save_figure(result.plot(), plot)
        show.written(plot)
