"""How long the stages take."""

import time
from collections.abc import Iterator
from contextlib import contextmanager


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
