"""The whole path on the built-in data: a network trained, codes, CMC, a report, a video."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from reid_hash.app.demo.options import DemoOptions
from reid_hash.app.demo.result import DemoResult
from reid_hash.app.demo.run import TIMELINE, VIDEO, demo
from reid_hash.app.runs import kept_in
from reid_hash.app.train import RunResult, train
from reid_hash.codes import save_codes
from reid_hash.errors import CheckpointError


@dataclass(frozen=True, eq=False)
class QuickstartResult:
    """What the quickstart leaves.

    Attributes:
        run: the training run with its figures.
        codes: file with the codes of the test images.
        report: the HTML report.
        demo: what the network recognised in the two-camera video of walkers.
        video: the drawn frames of it.
        timeline: the page of who was where and when.
        seconds: it took in all.
    """

    run: RunResult
    codes: Path
    report: Path
    demo: DemoResult
    video: Path
    timeline: Path
    seconds: float


def quickstart(
    output: Path,
    seed: int = 0,
    device: str = "auto",
    console: Console | None = None,
    settings: Sequence[str] = (),
    film: float = DemoOptions.film,
) -> QuickstartResult:
    """Train on `walkers`, write model, codes and report, and recognise walkers in a video.

    Args:
        output: folder of the run.
        seed: of the drawn figures and of the training.
        device: where to compute.
        console: for progress.
        settings: changes to `configs/walkers.yaml`, as `--set` takes them.
        film: length of the video, in seconds.
    """
    began = time.monotonic()
    if kept_in(output):
        raise CheckpointError(f"{output} holds {kept_in(output)}; name another folder (--output)")
    run = train(
        "walkers",
        settings=[f"seed={seed}", *settings],
        output=output,
        device=device,
        console=console,
    )
    if run is None or run.encoded is None:
        raise AssertionError("walkers has a test set, and the quickstart is one process")
    codes = run.folder / "codes.npz"
    save_codes(codes, run.encoded.query, run.encoded.query_pixels.names)
    folder = run.folder / "demo"
    asked = DemoOptions(
        folder=folder, model=run.folder, seed=seed, device=device, film=film, no_window=True
    )
    shown = demo(asked, lambda line: None, console)
    video, timeline = folder / VIDEO, folder / TIMELINE
    seconds = time.monotonic() - began
    return QuickstartResult(run, codes, run.report, shown, video, timeline, seconds)
