"""How often and how much may be asked for at a time."""

import contextlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator

from reid_hash.web.api.problems import Problem

_CALLERS = 10_000  # that are remembered; those longest unseen are forgotten first


class Rate:
    """Requests a second, for each caller (a token bucket).

    Args:
        rate: requests a second; twice as many may come at once.
        clock: seconds from any start.
    """

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._burst, self._clock = rate, max(1.0, 2 * rate), clock
        self._turn = threading.Lock()
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, caller: str) -> None:
        """Count a request; Problem where there were too many."""
        with self._turn:
            now = self._clock()
            left, then = self._left.pop(caller, (self._burst, now))
            left = min(self._burst, left + (now - then) * self._rate)
            self._left[caller] = (left - 1 if left >= 1 else left, now)
            while len(self._left) > _CALLERS:
                self._left.popitem(last=False)
        if left < 1:
            wait = max(1, round((1 - left) / self._rate))
            raise Problem(
                *(429, "too-many-requests", f"more than {self._rate:g} requests a second"),
                headers={"retry-after": str(wait)},
            )


class Slots:
    """How many things are under way at a time.

    Args:
        most: how many.
        what: they are, in words.
    """

    def __init__(self, most: int, what: str) -> None:
        self._most, self._what = most, what
        self._turn = threading.Lock()
        self.taken = 0

    @contextlib.contextmanager
    def take(self, size: int = 1) -> Iterator[None]:
        """Count one for the length of the block; Problem where there are too many."""
        self.grow(size)
        try:
            yield
        finally:
            self.grow(-size)

    def grow(self, size: int) -> None:
        """Count more, or fewer; Problem where there are too many."""
        with self._turn:
            if size > 0 and self.taken + size > self._most:
                raise Problem(503, "busy", f"too many {self._what} at a time; try again")
            self.taken += size
