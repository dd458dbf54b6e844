"""Where the page is served, what it takes, and from whom."""

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from reid_hash.errors import ConfigError
from reid_hash.models.foreign.network import Network

MOST_PICTURE_BYTES = 20 * 2**20
"""Size of a picture that is taken."""

MOST_PIXELS = 50_000_000
"""Pixels of a picture or of a video's frame that are taken."""

MOST_VIDEO_BYTES = 500 * 2**20
"""Size of a video that is taken."""

MOST_SENT_BYTES = 2 * 2**30
"""Size of all files together that visitors sent and that were not yet used."""


@dataclass(frozen=True)
class Settings:
    """What the page is started with.

    Attributes:
        gallery: the gallery's folder.
        host: address to listen at; anything but loopback needs a password.
        port: to listen at; 0 takes a free one.
        password: asked of whoever opens the page; None asks nobody. White space around it does not
            count.
        model: the network that makes the gallery's codes; None for the one it was made with.
        dataset: whose newest run is used where that is not known.
        detector: of the video page; see `video.detectors.detector.open_detector`.
        device: where networks compute.
        demo: whether the gallery is that of the drawn walkers.
        url: the page's address as visitors see it, such as https://people.example.org, where a
            proxy stands before it; None for its own.
        proxies: addresses of proxies that are believed when they say where a visitor is.
        runs: folder of all runs; None where there are none.
    """

    gallery: Path
    host: str = "127.0.0.1"
    port: int = 7860
    password: str | None = field(default=None, repr=False)
    model: Path | Network | None = None
    dataset: str = "cuhk03"
    detector: str = "auto"
    device: str = "auto"
    demo: bool = False
    url: str | None = None
    proxies: tuple[str, ...] = ()
    runs: Path | None = None

    def __post_init__(self) -> None:
        if self.password is not None and not self.password.strip():
            raise ConfigError("the password is empty; write one of at least one character")
        if self.url is not None:
            object.__setattr__(self, "url", _origin(self.url))
        for address in self.proxies:
            _check_address(address)
        shown = self.host if self.url is None else urlsplit(self.url).hostname or ""
        option = "--host" if self.url is None else "--url"
        if self.password is None and not (is_loopback(self.host) and is_loopback(shown)):
            raise ConfigError(
                f"whoever reaches {shown} could see and change the gallery: set a password "
                f"with --password-file or $REID_HASH_PASSWORD, or leave out {option}"
            )


def _origin(url: str) -> str:
    """An address as browsers name it in `Origin`: scheme and host, and no port that goes without.

    Raises:
        ConfigError: it is no address of a whole server.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = None
    if host is None or parts.scheme not in ("http", "https") or parts.path.strip("/"):
        raise ConfigError(f"--url {url!r} is no address such as https://people.example.org")
    usual = {"http": 80, "https": 443}[parts.scheme]
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}" + (f":{port}" if port not in (None, usual) else "")


def _check_address(address: str) -> None:
    try:
        ipaddress.ip_address(address)
    except ValueError as error:
        raise ConfigError(f"--proxy {address!r} is no address such as 127.0.0.1") from error


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a host.

    Example:
        >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0")
        (True, True, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:  # another name: it may mean any machine
        return False
