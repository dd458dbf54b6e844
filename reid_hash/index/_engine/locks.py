"""A lock that many readers or one writer can hold."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class SharedLock:
    """Searches share it, changes hold it alone; a waiting change goes before later searches."""

    def __init__(self) -> None:
        self._state = threading.Condition()
        self._readers = 0
        self._writers = 0  # that hold it or wait for it
        self._turn = threading.Lock()

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Hold it beside others; not within `shared` itself."""
        with self._state:
            self._state.wait_for(lambda: not self._writers)
            self._readers += 1
        try:
            yield
        finally:
            with self._state:
                self._readers -= 1
                self._state.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold it alone."""
        with self._state:
            self._writers += 1
        try:
            with self._turn:
                with self._state:
                    self._state.wait_for(lambda: not self._readers)
                yield
        finally:
            with self._state:
                self._writers -= 1
                self._state.notify_all()
