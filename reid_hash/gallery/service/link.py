"""Requests to a service: one connection, writes that may be sent again, errors in plain words."""

import http.client
import json
import secrets
import ssl
import threading
from typing import Any
from urllib.parse import urlsplit

from reid_hash.errors import BusyError, CodeError, GalleryError, MissingError
from reid_hash.gallery.service.address import KEY, ServiceAddress
from reid_hash.utils.files import json_text

_PREFIX = "/api/v1"
_TIMEOUT = 120.0  # seconds: forgetting writes a large gallery anew
_MOST = 512 * 2**20  # bytes of an answer
_ATTEMPTS = 3


class Link:
    """A connection to a service; may be used from several threads.

    Args:
        address: of the service.
    """

    def __init__(self, address: ServiceAddress) -> None:
        self._address = address
        self._parts = urlsplit(address.url)
        self._turn = threading.Lock()
        self._connection: http.client.HTTPConnection | None = None
        self._closed = False

    def get(self, path: str) -> Any:
        """Read something."""
        return self._ask("GET", path, None, {})

    def read(self, path: str, asked: dict[str, Any]) -> Any:
        """Read something that takes more words than an address."""
        return self._ask("POST", path, asked, {})

    def write(self, path: str, asked: dict[str, Any] | None, method: str = "POST") -> Any:
        """Change something: once, however often the request must be sent."""
        return self._ask(method, path, asked, {"Idempotency-Key": secrets.token_hex(16)})

    def _ask(
        self, method: str, path: str, asked: dict[str, Any] | None, headers: dict[str, str]
    ) -> Any:
        body = None if asked is None else json_text(asked).encode()
        if body is not None:
            headers["Content-Type"] = "application/json"
        if self._address.key is not None:
            headers["Authorization"] = f"Bearer {self._address.key}"
        with self._turn:
            status, data = self._sent(method, path, body, headers)
        try:
            told = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise GalleryError(
                f"{self._address} gives an answer of status {status} that is none of a service; "
                "is that `reid-hash serve`?"
            ) from error
        if status >= 300:
            raise self._error(status, told)
        return told

    def _sent(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str]
    ) -> tuple[int, bytes]:
        if self._closed:
            raise GalleryError(f"gallery {self._address} is no longer open")
        for left in reversed(range(_ATTEMPTS)):
            try:
                if self._connection is None:
                    self._connection = self._connect()
                whole = f"{self._parts.path}{_PREFIX}{path}"
                self._connection.request(method, whole, body, headers)
                reply = self._connection.getresponse()
                data = reply.read(_MOST + 1)
            except (OSError, http.client.HTTPException) as error:
                # a connection that waited for long may have been closed meanwhile
                self._disconnect()
                if left == 0 or isinstance(error, ssl.SSLError | ConnectionRefusedError):
                    why = getattr(error, "strerror", None) or error or type(error).__name__
                    raise GalleryError(f"cannot reach {self._address}: {why}") from error
                continue
            if len(data) > _MOST:
                self._disconnect()
                raise GalleryError(f"{self._address} gives an answer without end")
            return reply.status, data
        raise AssertionError("unreachable")

    def _connect(self) -> http.client.HTTPConnection:
        host, port = self._parts.hostname or "", self._parts.port
        if self._parts.scheme == "https":
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(host, port, timeout=_TIMEOUT, context=context)
        return http.client.HTTPConnection(host, port, timeout=_TIMEOUT)

    def _error(self, status: int, told: Any) -> Exception:
        """What a problem means for whoever asked."""
        kind = detail = hint = ""
        if isinstance(told, dict):
            kind = str(told.get("type", "")).rsplit(":", 1)[-1]
            detail, hint = (str(told.get(key) or "")[:500] for key in ("detail", "hint"))
        said = f"{self._address}: {detail or f'status {status}'}" + (f"; {hint}" if hint else "")
        if kind == "no-key":
            return GalleryError(f"{self._address}: {detail}; set ${KEY} to one of its keys")
        if status == 404:
            return MissingError(said)
        if kind in ("other-codes", "too-many-bits"):
            return CodeError(said)
        return BusyError(said) if status in (429, 503) else GalleryError(said)

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def close(self) -> None:
        """Close the connection."""
        with self._turn:
            self._closed = True
            self._disconnect()
