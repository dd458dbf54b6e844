"""Webhooks: events sent to addresses that whoever starts the service names, signed, until taken.

Signed as Standard Webhooks has it (standardwebhooks.com): `webhook-signature` is `v1,` and the
HMAC-SHA256 in base64 of `webhook-id.webhook-timestamp.body`. No address comes from a request, so
that nobody with a key can have the service ask other machines.
"""

import base64
import hashlib
import hmac
import http.client
import logging
import ssl
import time
from typing import Any
from urllib.parse import urlsplit

from reid_hash.errors import ConfigError
from reid_hash.utils.files import json_text
from reid_hash.web.api.events import Events
from reid_hash.web.api.following import Follower
from reid_hash.web.api.state import State

_LOG = logging.getLogger(__name__)
_TIMEOUT = 10.0  # seconds for an answer
_LONGEST = 300.0  # seconds between two attempts at most


def check_webhook(url: str, secret: str | None) -> None:
    """Raise ConfigError unless events can be sent to an address, and signed."""
    try:
        parts = urlsplit(url)
        fine = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fine = False
    if not fine:
        raise ConfigError(f"--webhook {url!r} is no address such as https://example.org/people")
    if not secret or len(secret) < 16:
        raise ConfigError(
            "--webhook needs a secret of 16 characters or more in $REID_HASH_WEBHOOK_SECRET: "
            "events are signed with it"
        )


def signature(secret: str, number: str, moment: str, body: bytes) -> str:
    """The signature of an event.

    Example:
        >>> signature("0123456789abcdef", "7", "1700000000", b"{}")
        'v1,hPhUFFDAc3zSf9GnDicrClu71KDpHGp57fKvsrcBBdk='
    """
    signed = f"{number}.{moment}.".encode() + body
    digest = hmac.new(secret.encode(), signed, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


class Webhook:
    """Sends events to an address, one after the other, each until it is taken (a status 2xx).

    How far it came is kept; see `Follower`.

    Args:
        url: the address.
        secret: signs.
        state: where it is kept how far it came.
        events: to send.
        first_wait: seconds after which what was not taken is sent again; twice as many each time.
    """

    def __init__(
        self, url: str, secret: str, state: State, events: Events, first_wait: float = 1.0
    ) -> None:
        check_webhook(url, secret)
        self._url, self._secret, self._first_wait = url, secret, first_wait
        name = "webhook " + hashlib.sha256(url.encode()).hexdigest()[:16]
        self._follower = Follower(name, state, events, self._deliver)
        self._follower.start()

    def _deliver(self, event: dict[str, Any]) -> bool:
        """Send an event until it is taken; False where the service ends before."""
        body = json_text({key: event[key] for key in ("id", "type", "time", "data")}).encode()
        wait = self._first_wait
        while not self._follower.ended.is_set():
            status = self._send(str(event["id"]), body)
            if 200 <= status < 300:
                return True
            _LOG.warning(
                "webhook %s: status %d for event %d; sent again in %.0f s",
                *(urlsplit(self._url).hostname, status, event["id"], wait),
            )
            self._follower.ended.wait(wait)
            wait = min(2 * wait, _LONGEST)
        return False

    def _send(self, number: str, body: bytes) -> int:
        """Send once; gives the status, 0 where nobody answered."""
        parts, moment = urlsplit(self._url), str(int(time.time()))
        headers = {
            "content-type": "application/json",
            "webhook-id": number,
            "webhook-timestamp": moment,
            "webhook-signature": signature(self._secret, number, moment, body),
        }
        host = parts.hostname or ""
        connection: http.client.HTTPConnection
        if parts.scheme == "https":
            context = ssl.create_default_context()
            connection = http.client.HTTPSConnection(
                host, parts.port, timeout=_TIMEOUT, context=context
            )
        else:
            connection = http.client.HTTPConnection(host, parts.port, timeout=_TIMEOUT)
        try:
            path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            connection.request("POST", path, body, headers)
            return connection.getresponse().status  # a redirect is not followed
        except (OSError, http.client.HTTPException, ValueError):
            return 0
        finally:
            connection.close()

    def close(self) -> None:
        """End; what was not taken is sent when the service starts again."""
        self._follower.close(_TIMEOUT + 2)
