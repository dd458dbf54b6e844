"""`reid-hash demo`: what was asked for on the command line, run and written."""

import datetime
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from reid_hash.app.demo.options import DemoOptions
from reid_hash.app.demo.recognise import Say, run_demo
from reid_hash.app.demo.result import DemoResult
from reid_hash.app.runs import RUNS
from reid_hash.data.walkers import write_video
from reid_hash.evaluation.describe import write_json
from reid_hash.gallery.milvus.address import MilvusAddress
from reid_hash.gallery.open import Place
from reid_hash.report.pages.timeline import Timeline, write_timeline
from reid_hash.video.crops import CropOptions
from reid_hash.video.draw.output import has_display
from reid_hash.video.identity.identify import IdentifyOptions
from reid_hash.video.score import read_truth

WALKERS = "walkers"
VIDEO, EVENTS, TIMELINE = "demo.mp4", "events.jsonl", "timeline.html"
"""Files that have no other place."""

FILM, FILM_FPS = 20.0, 12.5
"""Seconds of the built-in video, and its frames a second."""


@dataclass(frozen=True)
class Wanted:
    """The options of the command, see its help, and two more.

    Attributes:
        folder: in place of a new one in runs/demo/; then no window is opened.
        film: length of the built-in video in seconds, where `max_frames` does not shorten it.
    """

    sources: Sequence[str] = ()
    detector: str | None = None
    tracker: str = "bytetrack"
    gallery: Place | None = None
    output: Path | None = None
    watch: Sequence[Path] = ()
    model: Path | None = None
    dataset: str | None = None
    bits: int | None = None
    far: float = 0.05
    names: Sequence[str] = ()
    start: float | None = None
    fps: float | None = None
    max_frames: int | None = None
    min_height: float = 40.0
    patience: float = 60.0
    no_window: bool = False
    no_video: bool = False
    events: Path | None = None
    timeline: Path | None = None
    json_file: Path | None = None
    seed: int | None = None
    device: str = "auto"
    folder: Path | None = None
    film: float = FILM


@dataclass(frozen=True)
class Done:
    """What came of it.

    Attributes:
        result: what was found.
        written: files and folders.
    """

    result: DemoResult
    written: Sequence[Path]


def demo(wanted: Wanted, say: Say, console: Console | None = None) -> Done:
    """Run the demo, and write video, events, timeline and figures.

    Args:
        wanted: what.
        say: told lines that are to be read at once.
        console: for progress and remarks; None for none.

    Raises:
        ReidHashError: it cannot begin, or a file cannot be written.
    """
    folder = wanted.folder or _new_folder()
    window = has_display() and not wanted.no_window and wanted.folder is None
    video = wanted.output
    if video is None and not window and not wanted.no_video:
        video = folder / VIDEO
    options = DemoOptions(
        sources=wanted.sources,
        folder=folder,
        names=wanted.names,
        detector=wanted.detector or "auto",
        gallery=wanted.gallery,
        model=wanted.model,
        dataset=wanted.dataset or "cuhk03",
        bits=wanted.bits,
        far=wanted.far,
        watch=wanted.watch,
        start=wanted.start,
        fps=wanted.fps,
        max_frames=wanted.max_frames,
        patience=wanted.patience,
        video=video,
        window=window,
        events=wanted.events or folder / EVENTS,
        device=wanted.device,
        identify=IdentifyOptions(
            crops=CropOptions(least_height=wanted.min_height), tracker=wanted.tracker
        ),
    )
    truths = None
    if not wanted.sources:
        options, truth_files = _built_in(options, wanted, console)
        truths = [read_truth(file, wanted.min_height) for file in truth_files]
    result = run_demo(options, say, console, truths)
    timeline = wanted.timeline or folder / TIMELINE
    write_timeline(timeline, _page(result))
    files = (video, options.events, timeline)
    written = [path for path in files if path is not None and path.exists()]
    if wanted.json_file is not None:
        write_json(wanted.json_file, result.to_json())
        written.append(wanted.json_file)
    if not isinstance(wanted.gallery, MilvusAddress):
        written.append(Path(result.facts["gallery"]))
    return Done(result, written)


def _built_in(
    options: DemoOptions, wanted: Wanted, console: Console | None
) -> tuple[DemoOptions, list[Path]]:
    """Film the walkers; gives the options for them, and the files with the truth."""
    if console is not None:
        console.print("filming the walkers with two cameras …")
    most = wanted.max_frames
    seconds = wanted.film if most is None else min(wanted.film, most / FILM_FPS)
    films = write_video(options.folder / WALKERS, wanted.seed or 0, seconds=seconds, fps=FILM_FPS)
    built_in = replace(
        options,
        sources=[str(film.video) for film in films],
        detector=wanted.detector or "motion",
        dataset=wanted.dataset or WALKERS,
    )
    return built_in, [film.truth for film in films]


def _page(result: DemoResult) -> Timeline:
    """The page of who was where and when."""
    facts = [
        (f"camera {i}", f"{one['name']}: {one['source']}, {one['frames']:,} frames")
        for i, one in enumerate(result.cameras, 1)
    ]
    facts += [(name, text) for name, text in result.facts.items()]
    score = result.score
    if score is not None:
        facts.append(
            (
                "score",
                f"{score.matched} of {score.matches} tracks with an identity that several cameras "
                f"saw have the right one; {score.right} of {score.people} people have mostly one "
                f"identity before all of them; IDF1 {100 * score.idf1:.1f} %",
            )
        )
    notes = list(result.notes)
    if result.nameless:
        notes.append(
            f"{result.nameless} tracks were too short, small or crowded to tell who it was."
        )
    if result.interrupted:
        notes.append("The run was stopped before the end.")
    if result.error:
        notes.append(f"The run ended with an error: {result.error}")
    return Timeline(
        [str(one["name"]) for one in result.cameras], result.people, result.start, facts, notes
    )


def _new_folder() -> Path:
    """runs/demo/TIME, which is not there yet."""
    now = datetime.datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    for number in itertools.count(1):
        folder = RUNS / "demo" / (now if number == 1 else f"{now}_{number}")
        if not folder.exists():
            return folder
    raise AssertionError("counting has no end")
