"""`reid-hash track-eval TRUTH RESULT…`."""

from pathlib import Path

import click

from reid_hash.cli import options, show

_PATH = click.Path(exists=True, path_type=Path)


@click.command("track-eval", short_help="CLEAR, IDF1, HOTA of MOTChallenge files")
@click.argument("truth", type=_PATH)
@click.argument("results", nargs=-1, required=True, metavar="RESULT...", type=_PATH)
@click.option(
    "--visible",
    type=click.FloatRange(0, 1),
    default=0.0,
    show_default=True,
    help="Ignore people of whom a smaller share is visible.",
)
@click.option(
    "--min-height",
    type=click.FloatRange(0),
    default=0.0,
    show_default=True,
    help="Ignore people of fewer pixels.",
)
@options.json_option
def command(
    truth: Path,
    results: tuple[Path, ...],
    visible: float,
    min_height: float,
    json_file: Path | None,
) -> None:
    """Compare RESULTs with the TRUTH, both in the format of the MOT challenges.

    TRUTH is a file, and so is each RESULT; or both are folders with a file for each camera
    (camera1.txt; the truth also as camera1/gt/gt.txt). Then the last line is of all cameras
    together: an identity that is another one before another camera is wrong there. `demo --mot`
    writes such files.
    """
    from reid_hash.app.track_eval import to_json, track_eval
    from reid_hash.evaluation.describe import write_json

    found = track_eval(truth, results, visible, min_height)
    columns = [show.Column("result", folds=True), show.Column("camera")]
    columns += [show.Column(name, right=True) for name in ("HOTA", "DetA", "AssA", "MOTA", "IDF1")]
    columns += [show.Column(name, right=True) for name in ("switches", "misses", "false")]
    rows = []
    for result, camera, one in found:
        shares = (one.hota, one.deta, one.assa, one.mota, one.idf1)
        counts = (one.switches, one.misses, one.false)
        rows.append(
            [Path(result).name, camera]
            + [f"{100 * share:.1f}" for share in shares]
            + [f"{count:,}" for count in counts]
        )
    show.table(columns, rows, keys=2)
    if json_file is not None:
        write_json(json_file, to_json(found))
        show.written(json_file)
