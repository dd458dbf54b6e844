"""Bounded queues between the threads of the pipeline."""

import threading
from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

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
