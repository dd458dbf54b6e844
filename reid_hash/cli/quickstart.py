"""`reid-hash quickstart`."""

from pathlib import Path

import click

from reid_hash.app.quickstart import quickstart
from reid_hash.app.runs import RUNS, new_run
from reid_hash.cli import options, show
from reid_hash.cli.demo import print_score
from reid_hash.evaluation import describe


@click.command("quickstart", short_help="The whole path on the built-in data")
@click.option("--output", type=options.FOLDER, help="Folder of the run; else runs/walkers/TIME.")
@options.seed_option
@options.device_option
@options.verbosity_options
def command(output: Path | None, seed: int | None, device: str) -> None:
    """Train on the built-in walkers, print the CMC table, and recognise walkers in a video.

    Takes two to three minutes on two cores; needs no data and no network. Leaves the network, the
    codes, a report, the drawn video and a page of who was where and when.
    """
    console = options.progress_console()
    result = quickstart(output or new_run("walkers", RUNS), seed or 0, device, console)
    show.line(describe.protocol_line(result.run.dataset, describe.DRAWS))
    show.results_table(result.run.records)
    print_score(result.demo)
    for path in (result.codes, result.report, result.video, result.timeline):
        show.written(path)
    show.line(
        f"done in {result.seconds:.0f} s; open {result.report} in a browser, "
        "then: reid-hash cmc --dataset walkers --bits 64"
    )
