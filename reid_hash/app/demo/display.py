"""What is seen while a run goes on: the window, the written video, the progress bar."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from reid_hash.utils.mp4 import VideoFile
from reid_hash.utils.progress import fitting
from reid_hash.video.draw.canvas import Canvas
from reid_hash.video.draw.window import Window
from reid_hash.video.stages import Stopwatch
from reid_hash.video.types import BgrFrame, Scene


class Screen:
    """Draws scenes, and shows and writes them; a context manager.

    Args:
        canvas: puts them together.
        video: file to write; None to write none.
        window: show them in a window.

    Attributes:
        closed: whether the user has closed the window.
        watch: time spent on drawing and writing.
    """

    def __init__(self, canvas: Canvas, video: Path | None, window: bool) -> None:
        self._canvas, self._video, self._window = canvas, video, window
        self._file: VideoFile | None = None
        self._shown: Window | None = None
        self._stack = contextlib.ExitStack()
        self.closed = False
        self.watch = Stopwatch()

    def __enter__(self) -> "Screen":
        if self._video is not None:
            file = VideoFile(self._video, self._canvas.size, self._canvas.fps)
            self._file = self._stack.enter_context(file)
        if self._window:
            self._shown = self._stack.enter_context(Window())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def add(self, scene: Scene) -> None:
        """Take up a scene."""
        if self._file is None and self._shown is None:
            return
        pictures = self._canvas.add(scene)
        while True:
            with self.watch("draw"):
                picture = next(pictures, None)
            if picture is None:
                break
            self._write(picture)
        if self._shown is not None and not self._shown.show(self._canvas.picture()):
            self.closed = True

    def finish(self) -> None:
        """Write the last picture, and end the file."""
        if self._file is not None:
            self._write(self._canvas.picture())
            self._file.close()

    def _write(self, picture: BgrFrame) -> None:
        if self._file is not None:
            with self.watch("write"):
                self._file.write(picture)


class _Rate(ProgressColumn):
    """Frames a second since the beginning."""

    def render(self, task: Task) -> Text:
        elapsed = task.finished_time or task.elapsed or 0.0
        return Text(f"{task.completed / elapsed:.1f} frames/s" if elapsed > 0 else "")


@contextlib.contextmanager
def frame_progress(
    console: Console | None, total: int | None, dropped: Callable[[], int]
) -> Iterator[Callable[[int], object]]:
    """A progress bar; the block gets a function that counts frames on.

    Args:
        console: None for no bar.
        total: number of frames; None where it is not known.
        dropped: how many frames of live sources were dropped so far.
    """
    if console is None:
        yield lambda count: None
        return
    columns: list[ProgressColumn] = [TextColumn("frames"), BarColumn()]
    columns += [TextColumn("{task.completed:,}" + ("" if total is None else "/{task.total:,}"))]
    columns += [_Rate(), TextColumn("{task.fields[lost]}")]
    if total is not None:
        columns.append(TimeRemainingColumn())
    bar = Progress(*fitting(console, columns), console=console, transient=True)
    with bar:
        task = bar.add_task("frames", total=total, lost="")

        def count_on(count: int) -> None:
            lost = dropped()
            bar.update(task, advance=count, lost=f"{lost:,} dropped" if lost else "")

        yield count_on
