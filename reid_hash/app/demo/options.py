"""The options of `reid-hash demo`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from reid_hash.gallery.open import Place
from reid_hash.models.foreign.network import Network
from reid_hash.video.crops import CropOptions
from reid_hash.video.draw.blur import Blur
from reid_hash.video.identity.identify import IdentifyOptions


@dataclass(frozen=True)
class DemoOptions:
    """What to run, and where to write.

    Attributes:
        sources: video files, folders of frames, camera numbers, stream addresses. Without one, the
            built-in walkers are filmed by two cameras and the result is scored.
        detector: see `open_detector`; None for "auto", or "motion" for the built-in video.
        tracker: see `tracker.TRACKERS`.
        gallery: where people are looked up and added; None for a new one in `folder`.
        output: file of the drawn frames; None for `demo.mp4` in `folder`, if no window is opened.
        watch: images of people to look out for.
        model: see `find_model`; None for the gallery's.
        dataset: whose newest run is used where no model is named; None for the usual one.
        bits: how many bits are compared; None for all.
        cameras: network of the cameras, in YAML; None for the gallery's own.
        far: share of strangers that may be taken for somebody known, 0 to 1.
        names: of the cameras, one for each source; none to name them after files and hosts.
        start: time of the first frame of files, seconds since 1970, UTC; None for now.
        fps: frames per second of the sources, overriding what they report.
        max_frames: stop after this many frames of each source.
        min_height: height in pixels below which a person is ignored.
        patience: seconds a live source may be away before it counts as ended.
        no_window: open no window. One is opened only where there is a display.
        no_video: write no video unless `output` names one.
        blur: what of the people is made unrecognisable in the video, the window, the gallery's
            small pictures and the timeline; None for nothing.
        events: file of the events; None for `events.jsonl` in `folder`.
        timeline: the page of who was where and when; None for `timeline.html` in `folder`.
        mot: where to write who was where as results of a MOT challenge: a folder, which gets a file
            for each camera, or with one source a .txt file; None for nowhere.
        json_file: file of everything found; None to write none.
        seed: of the built-in walkers; None for 0.
        device: where networks compute.
        folder: of everything that has no other place; None for a new one, `runs`/demo/TIME.
        runs: folder of all runs; None where there are none.
        film: length in seconds of the built-in video, unless `max_frames` shortens it.
    """

    sources: Sequence[str] = ()
    detector: str | None = None
    tracker: str = IdentifyOptions.tracker
    gallery: Place | None = None
    output: Path | None = None
    watch: Sequence[Path] = ()
    model: Path | Network | None = None
    dataset: str | None = None
    bits: int | None = None
    cameras: Path | None = None
    far: float = 0.05
    names: Sequence[str] = ()
    start: float | None = None
    fps: float | None = None
    max_frames: int | None = None
    min_height: float = CropOptions.least_height
    patience: float = 60.0
    no_window: bool = False
    no_video: bool = False
    blur: Blur | None = None
    events: Path | None = None
    timeline: Path | None = None
    mot: Path | None = None
    json_file: Path | None = None
    seed: int | None = None
    device: str = "auto"
    folder: Path | None = None
    runs: Path | None = None
    film: float = 20.0
