"""Output of a training run in progress: a progress bar, `metrics.jsonl`, TensorBoard."""

import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch.utils.tensorboard import SummaryWriter

from reid_hash.models.run_files import METRICS_FILE
from reid_hash.utils.files import LineFile, cannot_write, json_text
from reid_hash.utils.progress import fitting
from reid_hash.utils.terminal_text import remark


class TrainingLog:
    """Progress of a run, for people and for plots.

    Args:
        folder: folder for `metrics.jsonl` and TensorBoard events; None writes nothing (in
            processes other than the first).
        total: number of steps of the run.
        start: number of steps already done.
        console: console for the progress bar; None for no bar.
    """

    def __init__(
        self, folder: Path | None, total: int, start: int, console: Console | None
    ) -> None:
        self.total = total
        self._file = None
        self._board = None
        if folder is not None:
            self._file = LineFile(folder / METRICS_FILE, append=True)
            self._folder = folder
            try:
                self._board = SummaryWriter(str(folder), purge_step=start if start else None)
            except OSError as error:
                raise cannot_write(folder, error) from error
        self._bar: Progress | None = None
        self._since = time.monotonic()
        self._images = 0
        self._sums: dict[str, float] = {}
        self._steps = 0
        if console is not None:
            columns = [
                BarColumn(),
                TextColumn("{task.completed}/{task.total}"),
                TextColumn("loss {task.fields[loss]}"),
                TextColumn("{task.fields[rate]} images/s"),
                TimeRemainingColumn(),
            ]
            self._bar = Progress(*fitting(console, columns), console=console)
            self._task = self._bar.add_task(
                "training", total=total, completed=start, loss="…", rate="…"
            )

    def __enter__(self) -> "TrainingLog":
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
        if self._file is not None:
            self._file.close()
        if self._board is not None:
            try:
                self._board.close()
            except OSError as problem:
                if error is None:  # otherwise that error is reported
                    raise cannot_write(self._folder, problem) from problem

    def step(self, terms: Mapping[str, float], images: int) -> None:
        """Record a step's loss terms, to be averaged over the epoch."""
        self._steps += 1
        self._images += images
        for name, value in terms.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        if self._bar is not None:
            loss = self._sums.get("loss", 0.0) / self._steps
            self._bar.update(
                self._task,
                advance=1,
                loss=f"{loss:.3f}" if loss < 1e4 else f"{loss:.3g}",
                rate=f"{self.rate():.0f}",
            )

    def rate(self) -> float:
        """Images per second since the current epoch began."""
        return self._images / max(time.monotonic() - self._since, 1e-9)

    def epoch(self, step: int, epoch: int, **figures: float) -> dict[str, float]:
        """Write the mean loss terms of the epoch and other figures; start the next epoch."""
        record = {name: total / max(1, self._steps) for name, total in self._sums.items()}
        record |= {"images_per_second": self.rate(), **figures}
        self.write(step, epoch=epoch, **record)
        if self._bar is not None and not self._bar.console.is_terminal:  # no bar in a log file
            self.say(
                f"epoch {epoch}, step {step} of {self.total}: loss {record.get('loss', 0):.3f}, "
                f"{record['images_per_second']:.0f} images/s"
            )
        self._sums, self._steps, self._images = {}, 0, 0
        self._since = time.monotonic()
        return record

    def write(self, step: int, **figures: float) -> None:
        """Write figures of a step to `metrics.jsonl` and TensorBoard."""
        if self._file is not None:
            self._file.write(json_text({"step": step, **figures}))
        if self._board is not None:
            try:
                for name, value in figures.items():
                    self._board.add_scalar(name, value, step)
            except OSError as error:  # from an earlier write, since another thread writes
                raise cannot_write(self._folder, error) from error

    def say(self, text: str) -> None:
        """Print a line above the bar."""
        if self._bar is not None:
            remark(self._bar.console, text)
