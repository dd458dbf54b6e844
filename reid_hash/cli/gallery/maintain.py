"""`reid-hash gallery info|verify|forget|prune|calibrate`."""

import math
import sys
import time
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import click

from reid_hash.app.calibrate import CalibrateOptions, calibrate_gallery
from reid_hash.app.gallery import gallery_encoder
from reid_hash.app.runs import RUNS
from reid_hash.calibration import Kind
from reid_hash.cli import options, show
from reid_hash.cli.gallery.fill import dataset_option, gallery_model_option
from reid_hash.errors import GalleryError
from reid_hash.evaluation.describe import write_json
from reid_hash.gallery.base import AnyGallery
from reid_hash.gallery.open import Place, folder_of, open_gallery
from reid_hash.gallery.sighting import Filter, parse_identity
from reid_hash.gallery.sqlite.verify import fix
from reid_hash.gallery.sqlite.verify import verify as find_damage
from reid_hash.models.foreign.network import Network
from reid_hash.utils.progress import counting
from reid_hash.utils.timestamps import format_time, parse_age, parse_since

option = partial(options.option, CalibrateOptions)

_KINDS: dict[Kind, str] = {
    "hamming": "code, Hamming",
    "weighted": "code, weighted",
    "asymmetric": "asymmetric",
    "track": "mean of a track",
}

_AHEAD = 86400.0
"""Seconds by which a time lies in the future where clocks and time zones are no more to blame."""


@click.command("info", short_help="What a gallery holds")
@click.argument("place", metavar="GALLERY", type=options.GALLERY)
@click.option("--identities", "listed", is_flag=True, help="List the identities.")
@options.json_option
def info(place: Place, listed: bool, json_file: Path | None) -> None:
    """Say what GALLERY holds."""
    with open_gallery(place, read_only=True) as gallery:
        facts = gallery.info()
        people = gallery.people.identities() if listed else []
    if listed:
        facts["identities_listed"] = [person._asdict() for person in people]
    if json_file is not None:
        write_json(json_file, facts)
    made_with = Network.read_noted(facts["model_file"]) or facts["model_file"]
    lines = {
        "codes": f"{facts['bits']} bits, model {facts['model'] or 'unknown'}"
        + (f", {made_with}" if made_with else ""),
        "sightings": f"{facts['sightings']:,}"
        + (f", {facts['thumbnails']:,} with a thumbnail" if "thumbnails" in facts else ""),
        "identities": f"{facts['identities']:,}",
    }
    if "engine" in facts:
        over = f", cluster {facts['cluster']}" if facts["cluster"] else ""
        lines["size"] = f"{facts['bytes']:,} bytes in {facts['engine']}{over}"
    elif "bytes" in facts:
        lines["size"] = f"{facts['bytes']:,} bytes; index cache {facts['index_cache']}"
        lines["readable"] = f"by {facts['readable_by']}"
        if facts["permissions"] is not None:
            lines["readable"] += f"; {facts['permissions']}; `gallery verify --fix` narrows it"
    if facts["sightings"] and "first" in facts:
        lines["times"] = f"{format_time(facts['first'])} to {format_time(facts['last'])}"
        if facts["last"] > time.time() + _AHEAD:
            lines["times"] += ", which is in the future by this machine's clock"
        shown = [f"{name or '(none)'}: {n:,}" for name, n in facts["cameras"].items()]
        lines["cameras"] = ", ".join(shown[:20] + ["…"] * (len(shown) > 20))
    if facts["calibrated_bits"]:
        lines["calibrated"] = ", ".join(map(str, facts["calibrated_bits"])) + " bits"
    show.line(f"gallery {place}")
    for key, text in lines.items():
        show.line(f"  {key:11}{text}")
    for person in people:
        times = f"{format_time(person.first)} to {format_time(person.last)}"
        show.line(f"  #{person.id} {person.name or ''}: {person.sightings:,} sightings, {times}")
    if json_file is not None:
        show.written(json_file)


@click.command("verify", short_help="Look for damage")
@click.argument("place", metavar="GALLERY", type=options.GALLERY)
@click.option(
    "--fix",
    "mend",
    is_flag=True,
    help="First narrow permissions, cut off a damaged log and delete damaged index files.",
)
def verify(place: Place, mend: bool) -> None:
    """Read all of GALLERY, and name what is damaged; exit code 1 if anything is.

    --fix says each thing that it does. A log that is damaged loses what was committed after the
    damage; rows in the database are never changed.
    """
    if mend:
        fix(folder_of(place, "verify --fix"), show.line)
    if isinstance(place, Path):  # a folder may be too damaged to be opened
        damage = find_damage(place)
    else:
        with open_gallery(place, read_only=True) as gallery:
            damage = gallery.verify()
    for line in damage:
        show.line(line)
    if damage and all(line.startswith("permissions:") for line in damage):
        raise GalleryError(
            f"gallery {place} is not damaged, but open to others; `gallery verify --fix {place}` "
            "narrows it"
        )
    if damage:
        raise GalleryError(f"gallery {place} is damaged; see above")
    show.line(f"gallery {place}: no damage found")


@click.command("forget", short_help="Erase sightings for good")
@click.argument("place", metavar="GALLERY", type=options.GALLERY)
@click.option("--identity", help="Of this identity: its name, or its number as #12.")
@click.option("--source", help="From this source.")
@click.option("--camera", help="From this camera.")
@click.option("--before", help="Older than a time in ISO 8601, or than an age such as 30d.")
@click.option("--after", help="From a time in ISO 8601 on, or younger than an age.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def forget(
    place: Place,
    identity: str | None,
    source: str | None,
    camera: str | None,
    before: str | None,
    after: str | None,
    yes: bool,
) -> None:
    """Erase sightings, their thumbnails, and names of which nobody is left, from all files.

    Of several options all must be true of a sighting. In ClickHouse it ends when no part of a table
    holds them any more, and prints a receipt.
    """
    where: Filter = {}
    if identity is not None:
        where["identities"] = [parse_identity(identity)]
    if source is not None:
        where["sources"] = [source]
    if camera is not None:
        where["cameras"] = [camera]
    if before is not None:
        where["until"] = parse_since(before, time.time())
    if after is not None:
        where["since"] = parse_since(after, time.time())
    if not where:
        raise click.UsageError(
            "say what to forget: --identity, --source, --camera, --before or --after"
        )
    if not yes:
        # read-only: others may write while the question waits
        with open_gallery(place, read_only=True) as gallery:
            question = f"Erase {gallery.count(**where):,} of {len(gallery):,} sightings for good?"
        if not show.confirm(question):
            show.line("nothing was erased")
            return
    with open_gallery(place) as gallery:
        erased = gallery.forget(**where)
        _show_receipt(gallery)
        show.line(f"erased {erased:,} sightings; gallery {place} has {len(gallery):,}")


@click.command("prune", short_help="Erase what is older than an age")
@click.argument("place", metavar="GALLERY", type=options.GALLERY)
@click.option("--keep", required=True, help="Age up to which sightings stay, such as 30d or 12h.")
@click.option("--yes", is_flag=True, help="Do not ask, however many these are.")
@click.option(
    "--always", is_flag=True, help="In ClickHouse: have the engine go on with it by itself."
)
def prune(place: Place, keep: str, yes: bool, always: bool) -> None:
    """Erase the sightings that are older than an age, as `forget` does.

    Asks where these are more than half of all: a clock that is ahead makes everything old. For the
    same reason sightings whose times lie in the future, which never grow old, are told of.
    """
    age, now = parse_age(keep), time.time()
    with open_gallery(place, read_only=True) as gallery:  # others may write while it waits
        old, there = gallery.count(until=now - age.total_seconds()), len(gallery)
        ahead = gallery.count(since=now + _AHEAD)
    if ahead:
        show.line(
            f"note: {ahead:,} sightings lie in the future, where prune leaves them: either this "
            f"machine's clock ({format_time(now)}) is wrong, or it was; `gallery forget {place} "
            "--after TIME` erases them",
            err=True,
        )
    if 2 * old > there and not yes:
        about = f"{old:,} of {there:,} sightings are older than {keep} by this machine's clock"
        if not sys.stdin.isatty():
            raise GalleryError(
                f"{about} ({format_time(now)}): nothing was erased; look at the clock, and give "
                "--yes if it is right"
            )
        if not show.confirm(f"{about} ({format_time(now)}). Erase them for good?"):
            show.line("nothing was erased")
            return
    with open_gallery(place) as gallery:
        erased = gallery.prune(age, now)
        _show_receipt(gallery)
        if always:
            _retain(gallery, age)
        show.line(f"erased {erased:,} sightings; gallery {place} has {len(gallery):,}")


def _show_receipt(gallery: AnyGallery) -> None:
    for line in gallery.receipt.splitlines():
        show.line(line)


def _retain(gallery: AnyGallery, age: timedelta) -> None:
    gallery.retain(age)
    show.line(f"from now on the engine erases what is older than {age}")


@click.command("calibrate", short_help="Learn what distances strangers have")
@click.argument("place", metavar="GALLERY", type=options.GALLERY)
@click.option("--bits", callback=options.parse_bits, help="Code lengths; 16,32,64 … when left out.")
@click.option("--far", default=0.01, show_default=True, help="False accept rate to print for.")
@option(
    "--images",
    multiple=True,
    help="Learn from these files, folders, or test images of a data set, for every kind of query; "
    "may be repeated. Else from the gallery's own sightings, for queries that are codes.",
)
@option("--embeddings", type=options.FILE, help="The same of vectors, where the model is a head.")
@option(
    "--names",
    type=click.Choice(["market1501", "tracks"]),
    help="What the names of --images say: identity and camera (0002_c1s1_000451_03.jpg), or "
    "CAMERA/TRACK/FRAME.jpg.",
)
@option(
    "--by",
    type=click.Choice(["identities", "tracks"]),
    help="What is known: identities; or no labels, but tracks, of which those of one time and "
    "camera are of different people. Identities, where there are any, when left out.",
)
@options.network_options
@gallery_model_option
@dataset_option
@options.data_option
@options.seed_option
@options.device_option
@options.skip_option
@options.verbosity_options
def calibrate(
    place: Place,
    bits: list[int] | None,
    far: float,
    model: Path | Network | None,
    dataset: str,
    device: str,
    seed: int | None,
    **given: Any,
) -> None:
    """Learn which distances tell people from strangers, and keep that in the gallery.

    The people must be such as the model was not trained on, seen by several cameras. `search --far`
    and `demo` use the result. --asymmetric and --track queries need --images or --embeddings, for a
    gallery holds codes alone.
    """
    asked = CalibrateOptions(seed=seed or 0, **given)
    console = options.progress_console()
    with open_gallery(place) as gallery:
        usual = [length for length in (16, 32, 64, 128, 256, 512) if length < gallery.bits]
        lengths = bits or [*usual, gallery.bits]
        encoder = None
        if not asked.own:
            encoder = gallery_encoder(gallery, model, dataset, device, RUNS)
        with counting(None if asked.own else console, "encoding", None) as progress:
            result = calibrate_gallery(gallery, encoder, lengths, asked, progress)
    show.line(f"calibrated on {result.about}; at a FAR of {far:g}:")
    rows = []
    for (length, kind), table in result.tables.items():
        limit = table.threshold(far)
        shown = "none" if limit < 0 else f"{limit:.3f}"
        found = table.tpir(limit)
        few = "" if table.resolved(far) else "too few strangers to tell"
        share = "" if math.isnan(found) else f"{100 * found:.1f}%"
        rows.append([str(length), _KINDS[kind], shown, share, few])
    columns = [show.Column("bits", right=True), show.Column("query")]
    columns += [show.Column("threshold", right=True), show.Column("found", right=True)]
    if any(row[-1] for row in rows):
        columns.append(show.Column("", folds=True))
    show.table(columns, [row[: len(columns)] for row in rows], keys=2)
