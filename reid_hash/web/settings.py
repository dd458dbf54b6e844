"""Where the page is served, what it takes, and from whom."""

import ipaddress
from dataclasses import dataclass
from pathlib import Path

from reid_hash.errors import ConfigError

MOST_PICTURE_BYTES = 20 * 2**20
"""Size of a picture that is taken."""

MOST_PIXELS = 50_000_000
"""Pixels of a picture or of a video's frame that are taken."""

MOST_VIDEO_BYTES = 500 * 2**20
"""Size of a video that is taken."""


@dataclass(frozen=True)
class Settings:
    """What the page is started with.

    Attributes:
        gallery: the gallery's folder.
        host: address to listen at; anything but loopback needs a password.
        port: to listen at; 0 takes a free one.
        password: asked of whoever opens the page; None asks nobody.
        model: the network that makes the gallery's codes; None for the one it was made with.
        dataset: whose newest run is used where that is not known.
        detector: of the video page; see `video.detectors.choose.open_detector`.
        device: where networks compute.
        demo: whether the gallery is that of the drawn walkers.
    """

    gallery: Path
    host: str = "127.0.0.1"
    port: int = 7860
    password: str | None = None
    model: Path | None = None
    dataset: str = "cuhk03"
    detector: str = "auto"
    device: str = "auto"
    demo: bool = False

    def __post_init__(self) -> None:
        if self.password == "":
            raise ConfigError("the password is empty; write one of at least one character")
        if self.password is None and not is_loopback(self.host):
            raise ConfigError(
                f"whoever reaches {self.host} could see and change the gallery: set a password "
                "with --password-file or $REID_HASH_PASSWORD, or leave out --host"
            )


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
