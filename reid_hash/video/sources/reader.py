"""A thread for each source, and their frames brought into one order."""

import threading
import time
from collections.abc import Iterator, Sequence

from reid_hash.errors import ReidHashError
from reid_hash.video.channel import Channel
from reid_hash.video.sources.source import Note, Source
from reid_hash.video.types import Frame

_WAITING = 4  # frames of a source that wait at most
_POLL = 0.02  # seconds between looks at several live sources


class Reader:
    """Reads sources, each in a thread of its own.

    Frames of files are all handed on, those of several files in the order of their times, so that
    a run gives the same result again. Where a live source is too fast, its oldest waiting frame is
    dropped and counted.

    Args:
        sources: open ones.
        start: time of the first frame of files, seconds since 1970, UTC; live sources have the
            time of the clock.
        note: told of sources that go away and come back; called from several threads.
        max_frames: of each source.
    """

    def __init__(
        self, sources: Sequence[Source], start: float, note: Note, max_frames: int | None = None
    ) -> None:
        self._sources, self._start, self._note = sources, start, note
        self._max = max_frames
        self._stop = threading.Event()
        self._channels: list[Channel[Frame]] = [
            Channel(_WAITING, lossy=source.live) for source in sources
        ]
        self._threads = [
            threading.Thread(target=self._read, args=(i,), name=f"read {i}", daemon=True)
            for i in range(len(sources))
        ]
        for thread in self._threads:
            thread.start()

    @property
    def dropped(self) -> list[int]:
        """Frames of each source that were dropped because nobody could take them in time."""
        return [channel.dropped for channel in self._channels]

    def stop(self) -> None:
        """End: no frame comes any more."""
        self._stop.set()
        for channel in self._channels:
            channel.refuse()

    def close(self) -> None:
        """Stop, and wait for the threads; one that hangs in a dead stream is left behind."""
        self.stop()
        for thread, source in zip(self._threads, self._sources, strict=True):
            thread.join(timeout=1.0)
            if not thread.is_alive():
                source.close()

    def __iter__(self) -> Iterator[Frame]:
        files = [c for c, s in zip(self._channels, self._sources, strict=True) if not s.live]
        live = [c for c in self._channels if c not in files]
        while not self._stop.is_set():
            # waits for every file's next frame, but for no camera's
            first = [(channel.peek(), channel) for channel in files]
            first += [(channel.peek(0.0), channel) for channel in live]
            ready = [(frame.time, i) for i, (frame, _) in enumerate(first) if frame is not None]
            if ready:
                yield first[min(ready)[1]][1].pop()
            elif all(channel.ended for channel in self._channels):
                break
            else:
                time.sleep(_POLL)
        for channel in self._channels:
            channel.check()

    def _read(self, camera: int) -> None:
        source, channel = self._sources[camera], self._channels[camera]
        start = time.time() if source.live else self._start
        error: BaseException | None = None
        try:
            for index, (seconds, picture) in enumerate(source.frames(self._stop, self._note)):
                if index == self._max or not channel.put(
                    Frame(camera, index, start + seconds, picture)
                ):
                    break
        except ReidHashError as problem:
            self._note("ended", str(problem))  # the other sources go on
        except BaseException as problem:
            error = problem
        channel.close(error)
