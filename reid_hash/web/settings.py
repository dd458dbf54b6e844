"""Where the page is served, what it takes, and from whom."""

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from reid_hash.errors import ConfigError
from reid_hash.gallery.open import Place
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
class Limits:
    """What the service takes; each limit has an answer of its own.

    Attributes:
        rate: requests a second of each key, and of each address that has none (429). Twice as many
            may come at once.
        concurrency: requests that are worked on at a time (503).
        streams: listeners to events at a time (503).
        body: bytes of a request (413).
        bodies: bytes of all requests together that wait for their end (503).
        pixels: of all pictures of a request (413).
        stalled: seconds without a byte after which a request is given up (408).
        sending: seconds after which a request is given up that has not come whole (408).
    """

    rate: float = 1000.0
    concurrency: int = 64
    streams: int = 64
    body: int = 32 * 2**20
    bodies: int = 512 * 2**20
    pixels: int = 200_000_000
    stalled: float = 30.0
    sending: float = 300.0


@dataclass(frozen=True)
class Settings:
    """What page and service are started with.

    Attributes:
        gallery: the gallery's folder or address.
        host: address to listen at; anything but loopback needs a password for the page, and keys
            for the service.
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
        page: serve the page; the service alone needs no Gradio.
        state: folder of the service's keys, receipts and audit log; see `api.state.state_folder`.
        limits: of the service.
        webhooks: addresses that events are sent to.
        webhook_secret: signs them; 16 characters or more.
        mqtt: address of a broker that events are published to, see `api.mqtt.parse_broker`; None
            for none.
        mqtt_password: of the user that the address names.
    """

    gallery: Place
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
    page: bool = True
    state: Path | None = None
    limits: Limits = field(default_factory=Limits)
    webhooks: tuple[str, ...] = ()
    webhook_secret: str | None = field(default=None, repr=False)
    mqtt: str | None = None
    mqtt_password: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.password is not None and not self.password.strip():
            raise ConfigError("the password is empty; write one of at least one character")
        if self.url is not None:
            object.__setattr__(self, "url", _origin(self.url))
        for address in self.proxies:
            _check_address(address)
        shown = self.host if self.url is None else urlsplit(self.url).hostname or ""
        option = "--host" if self.url is None else "--url"
        if self.page and self.password is None and not self.is_local:
            raise ConfigError(
                f"whoever reaches {shown} could see and change the gallery: set a password "
                f"with --password-file or $REID_HASH_PASSWORD, or leave out {option}"
            )

    @property
    def is_local(self) -> bool:
        """Whether only this machine reaches the server."""
        shown = self.host if self.url is None else urlsplit(self.url).hostname or ""
        return is_loopback(self.host) and is_loopback(shown)


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
