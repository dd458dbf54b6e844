"""`reid-hash search QUERY --gallery DIR`."""

import time
from functools import partial
from pathlib import Path
from typing import Any

import click

from reid_hash.app.runs import RUNS
from reid_hash.app.search import SearchOptions, search
from reid_hash.cli import options, show
from reid_hash.cli.gallery.fill import dataset_option, gallery_model_option
from reid_hash.evaluation.describe import write_json
from reid_hash.gallery.sighting import Answer, Match
from reid_hash.utils.terminal_text import echo, visible
from reid_hash.utils.timestamps import format_time, parse_since

option = partial(options.option, SearchOptions)


@click.command("search", short_help="Find the sightings nearest to an image")
@click.argument("query", required=False, type=click.Path(path_type=Path))
@click.option(
    "--embedding",
    type=options.FILE,
    help="A vector, or several, in place of QUERY (.npy, .npz, .parquet); the gallery's model is "
    "a head.",
)
@click.option(
    "--gallery",
    type=options.GALLERY,
    required=True,
    help="Its folder, or clickhouse://USER@HOST:PORT/DATABASE, or chdb:FOLDER.",
)
@option("--bits", type=click.IntRange(1), help="Compare the first so many bits only.")
@option("--unweighted", is_flag=True, help="By plain Hamming distance.")
@option(
    "--asymmetric",
    is_flag=True,
    help="The query keeps its real values, which finds more.",
)
@option(
    "--track",
    is_flag=True,
    help="QUERY's images are of one person: search for the mean of their real values.",
)
@option("--top", type=click.IntRange(1), show_default=True, help="How many to find.")
@option(
    "--far",
    type=click.FloatRange(0, 1),
    help="False accept rate: say who is a stranger (after `gallery calibrate`).",
)
@option("--camera", "cameras", multiple=True, help="Only of this camera; may be repeated.")
@option("--source", "sources", multiple=True, help="Only from this source; likewise.")
@click.option("--since", help="Not before a time in ISO 8601, or an age such as 12h.")
@click.option("--until", help="Before a time in ISO 8601, or an age.")
@options.network_options
@gallery_model_option
@dataset_option
@click.option("--plain", is_flag=True, help="One match a line, columns separated by tabs.")
@options.json_option
@options.device_option
@options.verbosity_options
@options.advising("mend them, or move them elsewhere")
def command(
    since: str | None, until: str | None, plain: bool, json_file: Path | None, **given: Any
) -> None:
    """Find the sightings of a gallery that are nearest to QUERY.

    QUERY is an image, a folder of images, or a file of codes (.npz). --plain prints query, rank,
    distance, whether within the threshold of --far, sighting, camera, time, source, frame, track
    and identity.
    """
    options.check_either(given["query"], given["embedding"], "QUERY", "--embedding")
    now = time.time()
    asked = SearchOptions(
        since=None if since is None else parse_since(since, now),
        until=None if until is None else parse_since(until, now),
        runs=RUNS,
        **given,
    )
    about, found = search(asked)
    show.notes(about["notes"], options.progress_console())
    if json_file is not None:
        write_json(json_file, {**about, "queries": [_as_object(answer) for answer in found]})
    hamming = "Hamming" if asked.unweighted else "weighted Hamming"
    kind = "asymmetric" if about["asymmetric"] else hamming
    for answer in found:
        if plain:
            _print_plain(answer)
        else:
            show.line(
                f"{answer.query}: {about['bits']} bits, {kind}, {_verdict(answer, asked.far)}"
            )
            _print_table(answer)
    if json_file is not None:
        show.written(json_file)


def _verdict(answer: Answer, far: float | None) -> str:
    sure = "" if answer.exact else " (approximate)"
    among = f"among {answer.searched:,} sightings{sure}"
    if answer.threshold is None:
        return f"{len(answer.matches)} nearest {among}"
    limit = f"within {answer.threshold:.3f} at a FAR of {far:g} {among}"
    few = "" if answer.resolved else " (calibrated with too few strangers to tell)"
    if answer.stranger:
        return f"stranger: nobody {limit}{few}"
    return f"{sum(map(answer.within, answer.matches))} {limit}{few}"


def _cells(match: Match) -> list[str]:
    seen = match.sighting
    who = seen.name or (f"#{seen.identity}" if seen.identity is not None else "")
    numbers = ["" if number is None else str(number) for number in (seen.frame, seen.track)]
    return [str(seen.id), seen.camera, format_time(seen.time or 0.0), seen.source, *numbers, who]


def _print_plain(answer: Answer) -> None:
    for rank, match in enumerate(answer.matches, 1):
        within = "" if answer.threshold is None else ("yes" if answer.within(match) else "no")
        cells = [answer.query, str(rank), repr(match.distance), within, *_cells(match)]
        echo("\t".join(visible(" ".join(cell.split())) for cell in cells))


def _print_table(answer: Answer) -> None:
    names = ("sighting", "camera", "time", "source", "frame", "track", "identity")
    rows = [_cells(match) for match in answer.matches]
    kept = [i for i in range(len(names)) if any(row[i] for row in rows)]
    columns = [show.Column("rank", right=True), show.Column("distance", right=True)]
    if answer.threshold is not None:
        columns.append(show.Column("known"))
    columns += [show.Column(names[i], folds=names[i] == "source") for i in kept]
    shown = []
    for rank, (match, row) in enumerate(zip(answer.matches, rows, strict=True), 1):
        known = [] if answer.threshold is None else ["yes" if answer.within(match) else "no"]
        shown.append([str(rank), f"{match.distance:.3f}", *known, *(row[i] for i in kept)])
    if shown:
        show.table(columns, shown)


def _as_object(answer: Answer) -> dict[str, Any]:
    return {
        "query": answer.query,
        "searched": answer.searched,
        # JSON knows no infinity, which is the threshold where every match counts
        "threshold": None if answer.threshold == float("inf") else answer.threshold,
        "stranger": answer.stranger,
        "exact": answer.exact,
        "matches": [
            {
                "rank": rank,
                "distance": match.distance,
                "within": None if answer.threshold is None else answer.within(match),
                "sighting": match.sighting.id,
                "camera": match.sighting.camera,
                "time": format_time(match.sighting.time or 0.0),
                "source": match.sighting.source,
                "frame": match.sighting.frame,
                "track": match.sighting.track,
                "box": match.sighting.box,
                "identity": match.sighting.identity,
                "name": match.sighting.name,
            }
            for rank, match in enumerate(answer.matches, 1)
        ],
    }
