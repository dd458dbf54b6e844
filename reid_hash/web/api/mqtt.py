"""MQTT: events published to a broker that whoever starts the service names.

An event counts as published when the broker has acknowledged it (quality of service 1): it may come
twice, and is not lost. Home Assistant finds what there is by its discovery topics. Nothing about a
person is retained by the broker: who is forgotten here stays in no message there.
"""

import hashlib
import logging
import re
import secrets
import ssl
import threading
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

import reid_hash
from reid_hash.errors import ConfigError, ReidHashError
from reid_hash.utils.files import json_text
from reid_hash.web.api.events import Events
from reid_hash.web.api.following import Follower
from reid_hash.web.api.state import State

_PASSWORD = "REID_HASH_MQTT_PASSWORD"  # nosec B105  # the name of a variable

_LOG = logging.getLogger(__name__)
_TIMEOUT = 10.0  # seconds for an acknowledgement, after which it is looked whether to end
_ALIVE = 30  # seconds between signs of life
_DISCOVERY = "homeassistant"  # the prefix that Home Assistant listens to unless told otherwise
_MOST_CAMERAS = 200  # that are announced: their names come from whoever may write
_KINDS = ["sighting", "people", "erased"]


@dataclass(frozen=True)
class Broker:
    """Where events are published.

    Attributes:
        host, port: of the broker.
        tls: whether the connection is encrypted, and the broker's certificate checked.
        user: or None.
        topic: below which all messages are, those of discovery excepted.
    """

    host: str
    port: int
    tls: bool
    user: str | None
    topic: str


def parse_broker(url: str) -> Broker:
    """Read the address of a broker.

    Args:
        url: mqtt://[USER@]HOST[:PORT][/TOPIC], or mqtts:// for TLS.

    Raises:
        ConfigError: it is none.

    Example:
        >>> parse_broker("mqtt://me@broker.lan/house/people")
        Broker(host='broker.lan', port=1883, tls=False, user='me', topic='house/people')
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    else:
        if parts.password is not None:
            raise ConfigError(f"--mqtt: the password belongs into ${_PASSWORD}, not in the address")
    topic = unquote(parts.path).strip("/") if host else ""
    fine = host and parts.scheme in ("mqtt", "mqtts") and port != 0
    if not fine or parts.query or "#" in url or re.search(r"[+#\0]", topic):
        raise ConfigError(f"--mqtt {url!r} is no address such as mqtt://broker.example.org")
    assert host is not None
    tls = parts.scheme == "mqtts"
    user = None if parts.username is None else unquote(parts.username)
    return Broker(host, port or (8883 if tls else 1883), tls, user, topic or "reid_hash")


class Mqtt:
    """Publishes events to a broker, one after the other, each until it is acknowledged.

    How far it came is kept; see `Follower`. Connections that break are made again after 1, 2 … 120
    seconds.

    Args:
        url: see `parse_broker`.
        password: of the user, or None.
        state: where it is kept how far it came.
        events: to publish.
        waits: seconds after which a connection is made again: at first, and at most.

    Raises:
        ConfigError: the address is none.
        ReidHashError: paho-mqtt is not installed.
    """

    def __init__(
        self,
        url: str,
        password: str | None,
        state: State,
        events: Events,
        waits: tuple[int, int] = (1, 120),
    ) -> None:
        self._broker = broker = parse_broker(url)
        try:
            from paho.mqtt import client as paho
            from paho.mqtt.enums import CallbackAPIVersion
        except ImportError as error:
            raise ReidHashError(
                f"MQTT needs another package ({error}); install it with "
                "`pip install 'reid-hash[mqtt]'`"
            ) from error
        if password is not None and broker.user is None:
            raise ConfigError(f"${_PASSWORD} is set, but --mqtt names no user: mqtt://USER@HOST")
        self._topic = broker.topic
        self._slug = _slug(broker.topic)
        self._cameras: dict[str, str] = {}  # names, and what they are called in topics
        self._connected = threading.Event()
        self._client = client = paho.Client(
            CallbackAPIVersion.VERSION2, f"reid_hash_{secrets.token_hex(4)}"
        )
        if broker.user is not None:
            client.username_pw_set(broker.user, password)
        if broker.tls:
            client.tls_set_context(ssl.create_default_context())
        client.will_set(f"{self._topic}/status", "offline", qos=1, retain=True)
        client.reconnect_delay_set(*waits)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        name = "mqtt " + hashlib.sha256(url.encode()).hexdigest()[:16]
        self._follower = Follower(name, state, events, self._deliver)
        client.connect_async(broker.host, broker.port, _ALIVE)
        client.loop_start()
        self._follower.start()

    def __repr__(self) -> str:
        return f"Mqtt({self._broker.host}:{self._broker.port}, {self._topic!r})"

    def _on_connect(self, client: Any, data: Any, flags: Any, reason: Any, more: Any) -> None:
        if reason.is_failure:
            _LOG.warning("mqtt %s: the broker refuses: %s", self._broker.host, reason)
            return
        # all of it again: a broker that was set up anew has kept nothing
        self._announce("event", "events", {"event_types": _KINDS, "name": "Events"}, "event")
        for name, slug in list(self._cameras.items()):
            self._announce_camera(name, slug)
        self._publish("status", "online", retain=True)
        self._connected.set()

    def _on_disconnect(self, client: Any, data: Any, flags: Any, reason: Any, more: Any) -> None:
        self._connected.clear()
        if not self._follower.ended.is_set():
            _LOG.warning("mqtt %s: the connection broke: %s", self._broker.host, reason)

    def _announce(self, component: str, what: str, more: dict[str, Any], topic: str) -> None:
        """Tell Home Assistant of an entity."""
        told = {
            "unique_id": f"{self._slug}_{what}",
            "state_topic": f"{self._topic}/{topic}",
            "availability_topic": f"{self._topic}/status",
            "qos": 1,
            "device": {"identifiers": [self._slug], "name": f"reid_hash {self._topic}"},
            "origin": {"name": "reid_hash", "sw_version": reid_hash.__version__},
            **more,
        }
        config = f"{_DISCOVERY}/{component}/{self._slug}/{what}/config"
        self._client.publish(config, json_text(told), qos=1, retain=True)

    def _announce_camera(self, name: str, slug: str) -> None:
        topic = f"camera/{slug}"
        more = {
            "name": f"Last at {name or 'a camera without a name'}",
            "value_template": "{{ value_json.who }}",
            "json_attributes_topic": f"{self._topic}/{topic}",
        }
        self._announce("sensor", f"camera_{slug}", more, topic)

    def _publish(self, topic: str, text: str, retain: bool = False) -> Any:
        return self._client.publish(f"{self._topic}/{topic}", text, qos=1, retain=retain)

    def _deliver(self, event: dict[str, Any]) -> bool:
        """Publish an event until it is acknowledged; False where the service ends before."""
        told = {"id": event["id"], "event_type": event["type"], "time": event["time"]}
        messages = [("event", json_text({**told, "data": event["data"]}))]
        if event["type"] == "sighting":
            seen = event["data"]
            camera = self._camera(seen["camera"])
            if camera is not None:
                messages.append((f"camera/{camera}", json_text({"who": _who(seen), **seen})))
        return all(self._until_acknowledged(topic, text) for topic, text in messages)

    def _until_acknowledged(self, topic: str, text: str) -> bool:
        ended, sent = self._follower.ended, None
        while not ended.is_set():
            if not self._connected.wait(0.2):
                continue
            try:
                # what is under way when a connection breaks is sent again over the next one
                sent = self._publish(topic, text) if sent is None else sent
                sent.wait_for_publish(0.2)
                if sent.is_published():
                    return True
            except (RuntimeError, ValueError):  # it broke just now, or the queue is full
                sent = None
                ended.wait(0.2)
        return False

    def _camera(self, name: str) -> str | None:
        """What a camera is called in topics; None where there are too many."""
        if name not in self._cameras:
            if len(self._cameras) >= _MOST_CAMERAS:
                return None
            self._cameras[name] = _slug(name)
            if self._connected.is_set():  # else all are announced with the connection
                self._announce_camera(name, self._cameras[name])
        return self._cameras[name]

    def close(self) -> None:
        """End; what was not acknowledged is published when the service starts again."""
        self._follower.close(_TIMEOUT)
        if self._connected.is_set():
            try:
                self._publish("status", "offline", retain=True).wait_for_publish(1.0)
            except (RuntimeError, ValueError) as error:
                _LOG.debug("mqtt: %s", error)
        self._client.disconnect()
        self._client.loop_stop()


def _slug(name: str) -> str:
    """A name in letters that discovery topics may have; different names stay different."""
    kept = re.sub(r"[^A-Za-z0-9_-]+", "_", name)[:40].strip("_")
    if kept == name:
        return kept
    return f"{kept}_{hashlib.sha256(name.encode()).hexdigest()[:6]}".lstrip("_")


def _who(seen: dict[str, Any]) -> str:
    """What Home Assistant shows of a sighting."""
    if seen["name"]:
        return str(seen["name"])[:255]  # a state is no longer
    return "somebody" if seen["identity"] is None else f"person {seen['identity']}"
