"""What the stages of the pipeline share: bounded queues, a stopwatch, and the threads that read."""

import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Generic, TypeVar

from reid_hash.errors import ReidHashError
from reid_hash.video.source import Note, Source
from reid_hash.video.types import Frame

_WAITING = 4  # frames of a source that wait at most
_POLL = 0.02  # seconds between looks at several live sources

T = TypeVar("T")


class Channel(Generic[T]):
    """A bounded queue from one thread to another that can be ended from both sides.

    Args:
        capacity: items that wait at most.
        lossy: `put` drops the oldest item where the queue is full, and counts it, in place of
            waiting: for live sources, where the newest frame counts.

    Attributes:
        dropped: items that a lossy channel has dropped.

    Example:
        >>> channel = Channel(2, lossy=True)
        >>> [channel.put(i) for i in range(3)], channel.dropped
        ([True, True, True], 1)
        >>> channel.close()
        >>> list(channel)
        [1, 2]
    """

    def __init__(self, capacity: int, lossy: bool = False) -> None:
        self.dropped = 0
        self._items: deque[T] = deque()
        self._capacity, self._lossy = capacity, lossy
        self._changed = threading.Condition()
        self._closed = self._refused = False
        self._error: BaseException | None = None

    def __repr__(self) -> str:
        return f"Channel({len(self._items)} of {self._capacity} wait, {self.dropped} dropped)"

    def put(self, item: T) -> bool:
        """Hand an item over; False where nobody takes any more: the caller should stop."""
        with self._changed:
            if self._lossy and len(self._items) >= self._capacity:
                self._items.popleft()
                self.dropped += 1
            self._changed.wait_for(lambda: self._refused or len(self._items) < self._capacity)
            if self._refused:
                return False
            self._items.append(item)
            self._changed.notify_all()
        return True

    def close(self, error: BaseException | None = None) -> None:
        """Say that nothing follows; an error is raised at the other end, after what is there."""
        with self._changed:
            self._closed, self._error = True, error or self._error
            self._changed.notify_all()

    def refuse(self) -> None:
        """Take nothing any more: what waits is dropped, and `put` gives False from now on."""
        with self._changed:
            self._refused = self._closed = True
            self._items.clear()
            self._changed.notify_all()

    def peek(self, timeout: float | None = None) -> T | None:
        """The next item, which stays; None where none comes, or none came within `timeout` s."""
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._closed, timeout)
            return self._items[0] if self._items else None

    def pop(self) -> T:
        """Take the item that `peek` gave."""
        with self._changed:
            item = self._items.popleft()
            self._changed.notify_all()
        return item

    @property
    def ended(self) -> bool:
        """Whether nothing waits and nothing follows."""
        with self._changed:
            return self._closed and not self._items

    def check(self) -> None:
        """Raise the error that the other end closed with, if there is one."""
        if self._error is not None:
            raise self._error

    def __iter__(self) -> Iterator[T]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._items or self._closed)
                if not self._items:
                    break
                item = self._items.popleft()
                self._changed.notify_all()
            yield item
        self.check()


class Stopwatch:
    """Adds up the time of stages, of one thread.

    Attributes:
        seconds: by stage, time from start to end.
        cpu: by stage, time that the calling thread computed; what a library computes in threads
            of its own is not in it.

    Example:
        >>> watch = Stopwatch()
        >>> with watch("search"):
        ...     pass
        >>> list(watch.seconds)
        ['search']
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.cpu: dict[str, float] = {}

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Count a block."""
        wall, cpu = time.perf_counter(), time.thread_time()
        try:
            yield
        finally:
            spent = self.seconds.get(stage, 0.0) + time.perf_counter() - wall
            self.seconds[stage] = spent
            self.cpu[stage] = self.cpu.get(stage, 0.0) + time.thread_time() - cpu


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
