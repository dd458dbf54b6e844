"""`reid-hash demo`: the people in videos followed, recognised, drawn and reported."""

import contextlib
import re
import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console

from reid_hash.app.demo.display import Screen, frame_progress
from reid_hash.app.demo.options import DemoOptions
from reid_hash.app.demo.result import DemoResult
from reid_hash.app.gallery import gallery_encoder, noted_model
from reid_hash.app.runs import USUAL_DATASET, find_model, new_run
from reid_hash.data.images import read_image, resize
from reid_hash.data.walkers import write_video
from reid_hash.errors import ConfigError, ReidHashError
from reid_hash.evaluation.describe import write_json
from reid_hash.gallery.base import AnyGallery
from reid_hash.gallery.clickhouse.address import ClickHouseAddress
from reid_hash.gallery.network.cameras import CameraNetwork
from reid_hash.gallery.network.kept import Knowledge, read_cameras
from reid_hash.gallery.open import create_gallery, has_gallery, open_gallery
from reid_hash.gallery.service.address import ServiceAddress
from reid_hash.models.encoder import Encoder
from reid_hash.models.load import open_model
from reid_hash.models.torch_encoder import pick_device
from reid_hash.report.pages.timeline import write_timeline
from reid_hash.utils.signals import stop_signals
from reid_hash.utils.terminal_text import remark
from reid_hash.utils.timestamps import format_time
from reid_hash.video.crops import CropOptions
from reid_hash.video.detectors.detector import open_detector
from reid_hash.video.draw.canvas import Canvas
from reid_hash.video.draw.window import has_display
from reid_hash.video.events import Events
from reid_hash.video.identity.identify import Identifier, IdentifyOptions, Watched
from reid_hash.video.identity.recognition import People, Whereabouts, make_limit
from reid_hash.video.mot import write_mot
from reid_hash.video.pipeline import Pipeline
from reid_hash.video.score import Record, Truth, read_truth
from reid_hash.video.source import Address, Source, open_source, parse_sources
from reid_hash.video.summary import people_of

WALKERS = "walkers"
VIDEO, EVENTS, TIMELINE = "demo.mp4", "events.jsonl", "timeline.html"
"""Files that have no other place."""

_RECENT = 20_000  # sightings in which to look for where everybody was last

FILM_FPS = 12.5
"""Frames per second of the built-in video."""

Say = Callable[[str], object]


def demo(options: DemoOptions, say: Say = print, console: Console | None = None) -> DemoResult:
    """Follow and recognise people, and write video, events, timeline and figures.

    Args:
        options: what to run, and where to write.
        say: called with lines to be read at once: watched people, sources that go away.
        console: for progress and remarks; None for none.

    Returns:
        What was found, with the files in `written`.

    Raises:
        ReidHashError: it cannot begin, or a file cannot be written.
    """
    folder = options.folder or _new_folder(options)
    timeline = options.timeline or folder / TIMELINE
    truths = None
    options = replace(options, folder=folder, events=options.events or folder / EVENTS)
    if options.output is None and not options.no_video and not _opens_window(options):
        options = replace(options, output=folder / VIDEO)
    if not options.sources:
        options, truths = _film_walkers(options, folder / WALKERS, console)
    result = run_demo(options, say, console, truths)
    with stop_signals():  # whoever asks to stop now asked for that: the report is finished
        write_timeline(timeline, result.timeline())
        files = (options.output, options.events, timeline)
        written = [path for path in files if path is not None and path.exists()]
        written += result.written
        if options.json_file is not None:
            write_json(options.json_file, result.to_json())
            written.append(options.json_file)
    if not isinstance(options.gallery, ClickHouseAddress | ServiceAddress):
        written.append(Path(result.facts["gallery"]))
    return replace(result, written=written)


def _opens_window(options: DemoOptions) -> bool:
    return not options.no_window and has_display()


def _film_walkers(
    options: DemoOptions, folder: Path, console: Console | None
) -> tuple[DemoOptions, list[Truth]]:
    """Film the built-in walkers; gives the options for the films, and who was where."""
    if console is not None:
        remark(console, "filming the walkers with two cameras …")
    most = options.max_frames
    seconds = options.film if most is None else min(options.film, most / FILM_FPS)
    films = write_video(folder, options.seed or 0, seconds=seconds, fps=FILM_FPS)
    built_in = replace(
        options,
        sources=[str(film.video) for film in films],
        detector=options.detector or "motion",
        dataset=options.dataset or WALKERS,
    )
    return built_in, [read_truth(film.truth, options.min_height) for film in films]


def _new_folder(options: DemoOptions) -> Path:
    """A folder that is not there yet, `runs`/demo/TIME."""
    if options.runs is None:
        raise ConfigError("name a folder for what the demo writes: folder=… or runs=…")
    return new_run("demo", options.runs)


def run_demo(
    options: DemoOptions,
    say: Say,
    console: Console | None = None,
    truths: Sequence[Truth] | None = None,
) -> DemoResult:
    """Follow and recognise the people of all sources.

    Args:
        options: what to run; only what is named is written, and there is at least one source.
        say: called with lines to be read at once: watched people, sources that go away.
        console: for progress and remarks; None for none.
        truths: who was where, one a source, to score the result.

    Raises:
        ReidHashError: it cannot begin. What goes wrong later is in the result's `error`: whoever
            was seen before is in the gallery.
    """
    note: Say = (lambda line: remark(console, line)) if console else (lambda line: None)
    with contextlib.ExitStack() as stack:
        addresses = parse_sources(options.sources, options.names)
        if options.mot is not None:
            _mot_files(options.mot, [one.name for one in addresses])  # before anything is done
        if truths is not None:  # filmed into a new folder each time, and yet the same
            film = f"{WALKERS}, seed {options.seed or 0}"
            addresses = [replace(one, kept=f"{film}: {Path(one.shown).name}") for one in addresses]
        sources = [_open(stack, address, options) for address in addresses]
        facts: dict[str, str] = {}
        detector = open_detector(
            options.detector or "auto", str(pick_device(options.device)), say=_noting(facts, note)
        )
        gallery, encoder = _gallery(stack, options)
        bits = options.bits or gallery.bits
        if not 1 <= bits <= gallery.bits:
            raise ConfigError(
                f"--bits {bits}: the gallery has {gallery.bits}; choose 1 to {gallery.bits}"
            )
        whereabouts = _whereabouts(gallery, options.cameras, [one.name for one in addresses], note)
        people = People(gallery, bits, make_limit(gallery, bits, options.far), whereabouts)
        before = {one.id for one in gallery.people.identities()}
        facts |= {"model": encoder.fingerprint, "bits": str(bits), "gallery": gallery.place}
        watched = _watched(options.watch, encoder, people)
        notes: list[str] = []
        doubled = _seen_before(gallery, addresses)
        for address, count in doubled:
            say(
                f"{address.source}: the gallery has {count:,} sightings of it from before, and "
                "this run adds its people again"
            )
        events = stack.enter_context(
            contextlib.closing(Events(options.events, _hearing(say, notes)))
        )
        start = time.time() if options.start is None else options.start
        live = all(source.live for source in sources)
        cameras = [address.name for address in addresses]
        stack.enter_context(_one_thread())
        identifier = Identifier(
            addresses,
            [source.fps for source in sources],
            encoder,
            people,
            events,
            IdentifyOptions(
                CropOptions(least_height=options.min_height),
                options.tracker,
                shapes=detector.shapes,
                blur=options.blur,
            ),
            watched,
        )
        fps = min(max(source.fps for source in sources), 60.0)
        canvas = Canvas(cameras, [source.size for source in sources], fps, people, options.blur)
        stop = stack.enter_context(stop_signals())  # left last: files are finished before
        screen = stack.enter_context(Screen(canvas, options.output, _opens_window(options)))
        record, error = Record(), ""
        began = time.monotonic()
        pipeline = Pipeline(sources, detector, identifier, events, start, options.max_frames)
        total = None if live else _length(sources, options.max_frames)
        try:
            with frame_progress(console, total, lambda: sum(pipeline.dropped)) as progress:
                for scene in pipeline.scenes(lambda: stop.stopped or screen.closed):
                    screen.add(scene)
                    progress(1)
                    if truths is not None or options.mot is not None:
                        record.add(scene)
            screen.finish()
        except ReidHashError as problem:
            error = str(problem)
        finally:
            pipeline.close()
        notes += [_doubled_note(gallery, one, count, start) for one, count in doubled]
        written = []
        if options.mot is not None:
            written = _mot_files(options.mot, cameras)
            for camera, file in enumerate(written):
                write_mot(file, record.mot(identifier.tracks, camera))
        return DemoResult(
            written=written,
            people=people_of(identifier.tracks, people, cameras, before),
            nameless=sum(one.identity is None for one in identifier.tracks.all.values()),
            cameras=[
                {
                    "name": a.name,
                    "source": a.shown,
                    "frames": n,
                    "frames_dropped": lost,
                    "fps": s.fps,
                }
                for a, s, n, lost in zip(
                    addresses, sources, pipeline.frames, pipeline.dropped, strict=True
                )
            ],
            undrawn=pipeline.undrawn,
            seconds=time.monotonic() - began,
            stages={
                name: (watch.seconds[name], watch.cpu[name])
                for watch in (pipeline.watch, identifier.watch, screen.watch)
                for name in watch.seconds
            },
            facts={**facts, "threshold": people.limit.about, "FAR": f"{options.far:g}"},
            notes=notes,
            score=record.score(identifier.tracks, truths) if truths is not None else None,
            start=start,
            interrupted=stop.stopped,
            error=error,
        )


def _mot_files(place: Path, cameras: Sequence[str]) -> list[Path]:
    """The file of each camera."""
    if place.suffix == ".txt" and len(cameras) == 1:
        return [place]
    if place.suffix == ".txt":
        raise ConfigError(f"--mot {place}: {len(cameras)} sources take a folder, not one file")
    names = [re.sub(r"[^\w.-]+", "-", name) or "camera" for name in cameras]
    if len(set(names)) < len(names):
        names = [f"{name}-{i}" for i, name in enumerate(names, 1)]
    return [place / f"{name}.txt" for name in names]


def _seen_before(gallery: AnyGallery, addresses: Sequence[Address]) -> list[tuple[Address, int]]:
    """The files and folders that a gallery has sightings of, and how many."""
    found = []
    for address in dict.fromkeys(addresses):
        if not address.live:  # what a camera shows is new each time
            count = gallery.count(sources=_names_of(address))
            found += [(address, count)] if count else []
    return found


def _names_of(address: Address) -> list[str]:
    """The source of its sightings, and that in galleries of older versions."""
    return [address.source, address.shown]


def _doubled_note(gallery: AnyGallery, address: Address, before: int, start: float) -> str:
    """What a run has added a second time, and the command that takes it out.

    Args:
        gallery: after the run.
        address: a file or folder that the gallery had sightings of.
        before: how many.
        start: time of the first frame.
    """
    names = _names_of(address)
    added = gallery.count(sources=names) - before
    forget = shlex.join(["reid-hash", "gallery", "forget", gallery.place, "--source", names[0]])
    if gallery.count(sources=names, until=start) == before:
        way = f"take the older ones out with: {forget} --before {format_time(start)}"
    else:  # this run's times lie among the older ones
        way = f"take all of them out, and run the demo once more: {forget}"
    return (
        f"{address.source} was in the gallery before: {before:,} sightings, and {added:,} more of "
        f"this run; {way}"
    )


def _open(stack: contextlib.ExitStack, address: Any, options: DemoOptions) -> Source:
    source = open_source(address, options.fps, options.patience)
    stack.callback(source.close)
    return source


def _gallery(stack: contextlib.ExitStack, options: DemoOptions) -> tuple[AnyGallery, Encoder]:
    """The gallery, made where there is none, and the network whose codes it takes."""
    place, dataset = options.gallery, options.dataset or USUAL_DATASET
    if place is None and options.folder is not None:
        place = options.folder / "gallery"
    if place is None:
        raise ConfigError("name a gallery, or a folder for a new one")
    if has_gallery(place):
        gallery = stack.enter_context(open_gallery(place))
        return gallery, gallery_encoder(
            gallery, options.model, dataset, options.device, options.runs
        )
    file = find_model(options.model, dataset, options.runs)
    encoder = open_model(file, options.device)
    like = encoder.binarise(np.zeros((0, encoder.bits)))
    return stack.enter_context(create_gallery(place, like, noted_model(file))), encoder


def _whereabouts(
    gallery: AnyGallery, file: Path | None, cameras: Sequence[str], note: Say
) -> Whereabouts | None:
    """Where everybody was last, where the network of cameras is given or the gallery knows it."""
    if file is not None:
        knowledge: Knowledge | None = Knowledge(CameraNetwork.read(file))
    else:
        knowledge = read_cameras(gallery)
    if knowledge is None:
        return None
    found = Whereabouts(knowledge, gallery.sightings(limit=_RECENT, newest=True))
    for name in cameras:
        if not found.knows(name):
            note(f"camera {name} is not in the network of cameras: there, looks alone decide")
    return found


def _watched(images: Sequence[Path], encoder: Encoder, people: People) -> Watched | None:
    if not images:
        return None
    pixels = np.stack(
        [resize(read_image(image), *encoder.size, encoder.growing) for image in images]
    )
    return Watched(
        people.fit(encoder.encode(pixels, progress=False)), [image.name for image in images]
    )


def _hearing(say: Say, notes: list[str]) -> Callable[[dict[str, Any]], None]:
    """What is said at once, and what is kept as a note."""

    def tell(line: str) -> None:
        with contextlib.suppress(OSError):  # nobody listens any more: the run goes on all the same
            say(line)

    def hear(event: dict[str, Any]) -> None:
        if event["event"] == "watch":
            tell(
                f"watch: {event['name']} on {event['camera']} at {event['time'][11:19]} looks like "
                f"{event['image']} (distance {event['distance']:.2f}, limit {event['limit']:.2f})"
            )
        elif "text" in event:
            tell(event["text"])
            if event["event"] in ("note", "ended"):
                notes.append(event["text"])

    return hear


def _noting(facts: dict[str, str], say: Say) -> Say:
    def note(line: str) -> None:
        facts["detector"] = line.removeprefix("detector: ")
        say(line)

    return note


def _length(sources: Sequence[Source], most: int | None) -> int | None:
    lengths = [source.length for source in sources]
    if any(length is None for length in lengths):
        return None
    return sum(min(length or 0, most or length or 0) for length in lengths)


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Let the hash network compute in one thread: the detector has the other cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
