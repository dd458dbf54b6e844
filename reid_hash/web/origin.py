"""Where a request comes from: another page in a visitor's browser, or a proxy's visitor."""

import ipaddress
import re
from urllib.parse import urlsplit

from starlette.requests import Request

from reid_hash.web.inbox import Refused
from reid_hash.web.settings import Settings, is_loopback

_HOST = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]+)?")


def check_origin(request: Request, settings: Settings, page: bool = False) -> None:
    """Refuse what another page sends through a visitor's browser.

    Args:
        request: what was asked.
        settings: at which addresses the server is.
        page: whether a link to the page itself is let through.

    Raises:
        Refused: it comes from elsewhere, or to another host.
    """
    headers, host = request.headers, request.headers.get("host", "")
    wanted = settings.url
    if not _HOST.fullmatch(host):
        raise Refused(400, "the request names no host")
    named = wanted is not None and host == urlsplit(wanted).netloc
    if not named and is_loopback(settings.host) and not _is_loopback_host(host):
        # a name that was made to mean this machine
        raise Refused(400, "this page has another address; name it with --url")
    own = {f"http://{host}"} | ({wanted} if wanted is not None else set())
    if (origin := headers.get("origin")) is not None and origin not in own:
        raise Refused(403, "another page asked; behind a proxy, start the page with --url")
    site = headers.get("sec-fetch-site", "same-origin")
    if site not in ("same-origin", "none") and not (page and _is_link(request)):
        raise Refused(403, "another page asked for this")


def address_of(request: Request, settings: Settings) -> str:
    """Where a visitor is; a proxy says so of its own visitors."""
    address = request.client.host if request.client else ""
    if address in settings.proxies:
        told = request.headers.get("x-forwarded-for", "").split(",")[-1].strip()
        return told or address
    return address


def _is_loopback_host(host: str) -> bool:
    """Whether a Host header names this machine, with or without a port.

    Example:
        >>> [_is_loopback_host(h) for h in ("127.0.0.2:80", "[::1]:80", "localhost", "a.example")]
        [True, True, True, False]
    """
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _is_link(request: Request) -> bool:
    """Whether a visitor followed a link to the page itself, which shows nothing to the other."""
    headers = request.headers
    return (
        request.method in ("GET", "HEAD")
        and request.scope["path"] in ("/", "/login")
        and headers.get("sec-fetch-mode") == "navigate"
        and headers.get("sec-fetch-dest") == "document"
    )
