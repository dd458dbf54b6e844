"""The stages, each in a thread of its own, with bounded queues between them.

    sources → | → detector → | → tracker, crops, codes, gallery → | → drawing (the calling thread)

A stage that is slow fills the queue before it: files are then read more slowly, and live sources
lose frames, which are counted. Drawing is in the calling thread because windows must be.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence

from reid_hash.video.detectors.detector import Detector
from reid_hash.video.events import Events
from reid_hash.video.identity.identify import Identifier
from reid_hash.video.source import Source
from reid_hash.video.stages import Channel, Reader, Stopwatch
from reid_hash.video.types import Detections, Frame, Scene

_WAITING = 4  # frames between two stages at most
_POLL = 0.1  # seconds between looks at whether to stop


class Pipeline:
    """Runs sources through detector and identifier; `scenes` gives what comes out.

    Args:
        sources: open ones.
        detector: of the first camera; the others get ones of their own.
        identifier: of the same cameras.
        events: told of sources that go away, come back, or end.
        start: time of the first frame of files, seconds since 1970, UTC.
        max_frames: of each source.

    Attributes:
        watch: time that the detector took.
        frames: frames of each source so far.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        detector: Detector,
        identifier: Identifier,
        events: Events,
        start: float,
        max_frames: int | None = None,
    ) -> None:
        self._identifier = identifier
        self._detectors = [detector, *(detector.another() for _ in sources[1:])]
        self.watch = Stopwatch()
        self.frames = [0] * len(sources)
        self._found: Channel[tuple[Frame, Detections]] = Channel(_WAITING)
        live = all(source.live for source in sources)
        self._scenes: Channel[Scene] = Channel(_WAITING, lossy=live)
        self._reader = Reader(
            sources, start, lambda kind, line: events.add(kind, time.time(), text=line), max_frames
        )
        self._threads = [
            threading.Thread(target=self._detect, name="detect", daemon=True),
            threading.Thread(target=self._identify, name="identify", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def __repr__(self) -> str:
        return f"Pipeline({len(self.frames)} sources, {sum(self.frames)} frames)"

    @property
    def dropped(self) -> list[int]:
        """Frames of each source that were dropped before they were looked at."""
        return self._reader.dropped

    @property
    def undrawn(self) -> int:
        """Scenes that were not drawn, because drawing could not follow a live source."""
        return self._scenes.dropped

    def stop(self) -> None:
        """Take no frame any more; what is on its way is still identified."""
        self._reader.stop()

    def close(self) -> None:
        """End all threads; whoever was seen so far is in the gallery afterwards."""
        self._reader.close()
        self._scenes.refuse()
        for thread in self._threads:
            thread.join()

    def scenes(self, stopped: Callable[[], bool]) -> Iterator[Scene]:
        """All scenes, those of files in the order of their times.

        Args:
            stopped: asked several times a second; once it is true no frame is taken any more.

        Raises:
            ReidHashError: a stage failed; whoever was seen before is in the gallery.
        """
        while not self._scenes.ended:
            if stopped():
                self.stop()
            if self._scenes.peek(_POLL) is not None:
                yield self._scenes.pop()
        self._scenes.check()

    def _detect(self) -> None:
        error: BaseException | None = None
        try:
            for frame in self._reader:
                with self.watch("detect"):
                    found = self._detectors[frame.camera].detect(frame.picture)
                if not self._found.put((frame, found)):
                    break
        except BaseException as problem:
            error = problem
        self._found.close(error)

    def _identify(self) -> None:
        error: BaseException | None = None
        try:
            for frame, found in self._found:
                scene = self._identifier.update(frame, found)
                self.frames[frame.camera] += 1
                self._scenes.put(scene)  # where nobody draws any more, people are still followed
        except BaseException as problem:
            error = problem
        try:
            self._identifier.finish()
        except BaseException as problem:
            error = error or problem
        self._found.refuse()
        self._reader.stop()  # after an error nobody takes frames any more
        self._scenes.close(error)
