"""Addresses of services: http://HOST:PORT and https://HOST, with or without a path before /api."""

import os
import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from reid_hash.errors import GalleryError

KEY = "REID_HASH_KEY"
"""The variable with the key: other users of a machine see command lines."""


@dataclass(frozen=True)
class ServiceAddress:
    """Where a service is.

    Attributes:
        url: without `/api/v1` and without a slash at its end.
        key: what the service asks for; None for none.
    """

    url: str
    key: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return self.url


def is_service(text: str) -> bool:
    """Whether text is the address of a service, and not a folder."""
    return text.startswith(("http://", "https://"))


def parse_service(text: str, key: str | None = None) -> ServiceAddress:
    """Read an address.

    Args:
        text: such as https://people.example.org.
        key: of the service; that in $REID_HASH_KEY when left out.

    Raises:
        GalleryError: it is none, or the key cannot be one.

    Example:
        >>> str(parse_service("https://people.example.org/api/v1/"))
        'https://people.example.org'
    """
    url = text.rstrip("/").removesuffix("/api/v1").rstrip("/")
    try:
        parts = urlsplit(url)
        fine = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        fine = False
    if not fine or parts.query or parts.fragment or not re.fullmatch(r"[\x21-\x7e]+", url):
        raise GalleryError(f"{text!r} is no address such as https://people.example.org")
    if parts.username is not None or parts.password is not None:
        raise GalleryError(
            f"the address of {parts.hostname} holds a name or a password; a service takes a key, "
            f"from ${KEY}"
        )
    given = (os.environ.get(KEY) if key is None else key) or None
    if given is not None and not re.fullmatch(r"[\x21-\x7e]+", given.strip()):
        raise GalleryError(f"the key for {url} is none: it has characters that no key has")
    return ServiceAddress(url, given and given.strip())
