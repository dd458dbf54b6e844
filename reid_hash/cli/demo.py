"""`reid-hash demo [SOURCE…]`."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reid_hash.app.demo.options import DemoOptions
from reid_hash.app.runs import RUNS
from reid_hash.cli import options, show
from reid_hash.errors import ReidHashError
from reid_hash.utils.timestamps import parse_time
from reid_hash.video.score import VISIBLE
from reid_hash.video.summary import Person

if TYPE_CHECKING:
    from reid_hash.app.demo.result import DemoResult

option = partial(options.option, DemoOptions)

_MOST = 60  # people that are listed: the timeline has them all


@click.command("demo", short_help="Recognise people in videos, cameras and streams")
@click.argument("sources", nargs=-1, metavar="[SOURCE]...")
@option(
    "--detector",
    help="auto, torchvision, torchvision:MODEL, ultralytics:FILE, rfdetr:SIZE, hog, motion, an "
    "ONNX file in YOLOX form, or detections in .txt files of MOT challenges, one a source, "
    "separated by commas; auto when left out, and motion for the built-in video.",
)
@option(
    "--tracker",
    type=click.Choice(["bytetrack", "sort"]),
    show_default=True,
    help="How detections become tracks.",
)
@option(
    "--gallery",
    type=options.GALLERY,
    help="Gallery to find people in and to add them to: a folder or an address in ClickHouse; else "
    "a new one.",
)
@option("-o", "--output", type=options.FILE, help="Write the drawn frames to this .mp4 file.")
@option(
    "--watch",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Image of a person (a crop) to look out for; may be repeated.",
)
@options.network_options
@options.model_option
@option("--dataset", help="Whose newest run to use; cuhk03, or walkers for the built-in.")
@option("--bits", type=click.IntRange(1), help="Compare the first so many bits only.")
@option(
    "--far",
    type=click.FloatRange(0, 1),
    show_default=True,
    help="Share of strangers that may be taken for somebody known.",
)
@option("--camera", "names", multiple=True, help="Name of a source, one for each in order.")
@option("--start", help="Time of the first frame of files, in ISO 8601; now when left out.")
@option("--fps", type=click.FloatRange(0.1, 240), help="Frames a second, if not as it says.")
@option("--max-frames", type=click.IntRange(1), help="Stop after so many of each source.")
@option(
    "--min-height",
    type=click.FloatRange(8),
    show_default=True,
    help="Of people, in pixels; smaller ones are passed over.",
)
@option(
    "--patience",
    type=click.FloatRange(0),
    show_default=True,
    help="Seconds that a camera or a stream may be away before it counts as ended.",
)
@option(
    "--cameras", type=options.FILE, help="Network of the cameras in YAML, if not the gallery's."
)
@option("--no-window", is_flag=True, help="Open no window; write a video instead.")
@option("--no-video", is_flag=True, help="Write no video where -o names none.")
@option(
    "--blur",
    type=click.Choice(["people", "heads"]),
    help="Make people, or the upper quarter of each, unrecognisable in the video, the window, the "
    "timeline and the small pictures that the gallery gets. No faces are looked for: who is not "
    "detected, is below --min-height, or is followed only later, stays visible.",
)
@option("--events", type=options.FILE, help="Write events to this file, a line of JSON each.")
@option("--timeline", type=options.FILE, help="Write the page of who was where to this file.")
@option(
    "--mot",
    type=click.Path(path_type=Path),
    help="Write results of a MOT challenge: a folder, or .txt.",
)
@options.json_option
@options.seed_option
@options.device_option
@options.verbosity_options
def command(sources: tuple[str, ...], start: str | None, **given: Any) -> None:
    """Follow the people in SOURCEs, tell them apart, and find them again.

    SOURCE is a video file, a folder of frames, the number of a camera (webcam is 0), or an address
    (rtsp://…, http://…); several at once share their identities. Without a source, the built-in
    walkers are filmed by two cameras, and the result is compared with the truth.

    What has no place of its own goes to runs/demo/TIME: gallery, video, events, timeline.
    """
    moment = None if start is None else parse_time(start)
    # torch takes seconds to import, and --help needs none of it
    from reid_hash.app.demo.run import demo

    asked = DemoOptions(sources=sources, start=moment, runs=RUNS, **given)
    found = demo(asked, show.line, options.progress_console())
    _print_result(found)
    for path in found.written:
        show.written(path)
    if found.error:
        raise ReidHashError(found.error)


def _print_result(found: "DemoResult") -> None:
    """Print what a run found."""
    _people(found)
    frames = ", ".join(f"{one['name']}: {one['frames']:,}" for one in found.cameras)
    rate = found.frames / max(found.seconds, 1e-9)
    show.line(f"frames  {frames}; {found.seconds:.1f} s, {rate:.1f} frames/s")
    for one in found.cameras:
        if one["frames_dropped"]:
            show.line(f"dropped {one['name']}: {one['frames_dropped']:,} frames, it was too fast")
    if found.undrawn:
        show.line(f"dropped {found.undrawn:,} frames that were looked at but not drawn")
    if found.stages:
        total = sum(wall for wall, _ in found.stages.values())
        parts = [f"{name} {100 * wall / total:.0f} %" for name, (wall, _) in found.stages.items()]
        show.line(f"work    {', '.join(parts)}")
    show.line(f"limit   {found.facts['threshold']}")
    if found.score is not None:
        print_score(found)
    for note in found.notes:
        show.line(f"note    {note}")
    if found.interrupted:
        show.line("stopped before the end; everybody seen so far is in the gallery")


def print_score(found: "DemoResult") -> None:
    """Print how much of it is right."""
    right = found.score
    assert right is not None
    share = 100 * right.matched / right.matches if right.matches else 0.0
    show.line(
        f"score   {right.matched} of {right.matches} tracks with an identity that both cameras saw "
        f"have the right one ({share:.0f} %)"
    )
    show.line(
        f"        {right.right} of {right.people} people before both cameras have mostly one "
        f"identity, and nobody else's; {right.identities} identities for {right.true} people"
    )
    show.line(
        f"        HOTA {100 * right.hota:.1f}, MOTA {100 * right.mota:.1f}, every box counted"
    )
    show.line(
        f"        IDF1 over both cameras {100 * right.idf1:.1f} (precision {100 * right.idp:.1f}, "
        f"recall {100 * right.idr:.1f}) of people of whom {100 * VISIBLE:.0f} % or more are visible"
    )


def _people(found: "DemoResult") -> None:
    known = sum(person.known for person in found.people)
    tracks = sum(len(person.visits) for person in found.people)
    short = (
        f"; {found.nameless} tracks too short, small or crowded to tell" if found.nameless else ""
    )
    show.line(
        f"{len(found.people):,} people in {tracks:,} tracks, {known:,} of them known before{short}"
    )
    if not found.people:
        return
    columns = [
        show.Column(header, header in ("visits", "from", "to", "seen"), header == "cameras")
        for header in ("identity", "", "cameras", "visits", "from", "to", "seen")
    ]
    show.table(columns, [_row(person, found.start) for person in found.people[:_MOST]])
    if len(found.people) > _MOST:
        show.line(f"… and {len(found.people) - _MOST:,} more; see the timeline")


def _row(person: Person, start: float) -> list[str]:
    first, last = person.visits[0].first, max(visit.last for visit in person.visits)
    seen = sum(visit.last - visit.first for visit in person.visits)
    marks = ["known" if person.known else "new"]
    marks += ["watch"] if any(visit.watched for visit in person.visits) else []
    return [
        person.label,
        ", ".join(marks),
        ", ".join(person.cameras),
        str(len(person.visits)),
        f"{first - start:.1f} s",
        f"{last - start:.1f} s",
        f"{seen:.1f} s",
    ]
