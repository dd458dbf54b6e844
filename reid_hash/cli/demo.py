"""`reid-hash demo [SOURCE…]`."""

from pathlib import Path
from typing import Any

import click

from reid_hash.cli import demo_show, options, show
from reid_hash.errors import ReidHashError
from reid_hash.utils.timestamps import parse_time


@click.command("demo", short_help="Recognise people in videos, cameras and streams")
@click.argument("sources", nargs=-1, metavar="[SOURCE]...")
@click.option(
    "--detector",
    help="auto, torchvision, torchvision:MODEL, hog, motion, or an ONNX file in YOLOX form; auto "
    "when left out, and motion for the built-in video.",
)
@click.option(
    "--tracker",
    type=click.Choice(["bytetrack", "sort"]),
    default="bytetrack",
    show_default=True,
    help="How detections become tracks.",
)
@click.option(
    "--gallery",
    type=options.GALLERY,
    help="Gallery to find people in and add them to (a folder, or milvus://HOST:PORT/NAME); else a "
    "new.",
)
@click.option("-o", "--output", type=options.FILE, help="Write the drawn frames to this .mp4 file.")
@click.option(
    "--watch",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Image of a person (a crop) to look out for; may be repeated.",
)
@options.model_option
@click.option("--dataset", help="Whose newest run to use; cuhk03, or walkers for the built-in.")
@click.option("--bits", type=click.IntRange(1), help="Compare the first so many bits only.")
@click.option(
    "--far",
    type=click.FloatRange(0, 1),
    default=0.05,
    show_default=True,
    help="Share of strangers that may be taken for somebody known.",
)
@click.option("--camera", "names", multiple=True, help="Name of a source, one for each in order.")
@click.option("--start", help="Time of the first frame of files, in ISO 8601; now when left out.")
@click.option("--fps", type=click.FloatRange(0.1, 240), help="Frames a second, if not as it says.")
@click.option("--max-frames", type=click.IntRange(1), help="Stop after so many of each source.")
@click.option(
    "--min-height",
    type=click.FloatRange(8),
    default=40.0,
    show_default=True,
    help="Of people, in pixels; smaller ones are passed over.",
)
@click.option(
    "--patience",
    type=click.FloatRange(0),
    default=60.0,
    show_default=True,
    help="Seconds that a camera or a stream may be away before it counts as ended.",
)
@click.option("--no-window", is_flag=True, help="Open no window; write a video instead.")
@click.option("--no-video", is_flag=True, help="Write no video where -o names none.")
@click.option("--events", type=options.FILE, help="Write events to this file, a line of JSON each.")
@click.option("--timeline", type=options.FILE, help="Write the page of who was where to this file.")
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
    from reid_hash.app.demo import run

    console = options.progress_console()
    wanted = run.Wanted(sources=sources, start=moment, **given)
    done = run.demo(wanted, show.line, console)
    demo_show.result(done.result)
    for path in done.written:
        show.written(path)
    if done.result.error:
        raise ReidHashError(done.result.error)
