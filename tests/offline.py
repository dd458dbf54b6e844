"""Watching a block of a test for connections: none is opened, not even to ask for an address."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

_EVENTS = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto")
_watching: list[list[str]] = []


def _hook(event: str, arguments: tuple[object, ...]) -> None:
    if _watching and event in _EVENTS:
        _watching[-1].append(f"{event}{arguments!r}")
        raise ConnectionRefusedError(event)


sys.addaudithook(_hook)  # it cannot be taken off again, and does nothing outside of a block


@contextmanager
def offline() -> Iterator[None]:
    """Refuse every connection within the block, and fail if one was tried, even if that was caught.

    Other threads of the test are watched as well.
    """
    tried: list[str] = []
    _watching.append(tried)
    try:
        yield
    finally:
        _watching.remove(tried)
    assert not tried, f"a connection was opened: {tried}"
