"""Events go to a broker, none is lost, and Home Assistant finds what there is."""

import json
import sys
import time

import pytest

from reid_hash.errors import ConfigError, ReidHashError
from reid_hash.web.api.mqtt import Mqtt, _slug, parse_broker
from reid_hash.web.settings import Settings
from tests.gallery.galleries import some_codes
from tests.web.api.broker import Broker
from tests.web.api.conftest import Client, b64

needs_paho = pytest.mark.usefixtures("paho")


@pytest.fixture
def paho():
    pytest.importorskip("paho.mqtt.client", reason="needs the extra: pip install 'reid-hash[mqtt]'")


def add(client, **more):
    code = {"code": b64(some_codes(1).packed.tobytes()), **more}
    return client.post("/sightings", json={"sightings": [code]}).json()["ids"][0]


def wait_for(condition):
    for _ in range(3000):
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError("it did not happen")


def numbers(broker, topic="reid_hash/event"):
    """Numbers of the sightings that were told."""
    told = [json.loads(text) for name, text, _ in broker.got if name == topic]
    return [one["data"]["id"] for one in told if one["event_type"] == "sighting"]


@pytest.fixture
def publish(server):
    """Publish the events of the service; ends with the test."""
    started = []

    def start(port, address="mqtt://127.0.0.1:{}", password=None):
        service = server.service
        started.append(
            Mqtt(address.format(port), password, service.state, service.events, waits=(1, 1))
        )
        return started[-1]

    yield start
    for one in started:
        one.close()


@needs_paho
def test_events_are_published_and_home_assistant_finds_them(serve, folder):
    with Broker(password="its password") as broker:
        address = f"mqtt://me@127.0.0.1:{broker.port}/house/people"
        server = serve(folder, mqtt=address, mqtt_password="its password")
        client = Client(server)
        wait_for(lambda: ("house/people/status", "online", True) in broker.got)
        assert broker.users == [("me", "its password")]
        assert broker.wills == [("house/people/status", "offline", True)]
        first = add(client, camera="Tür 1", identity="Ann")
        wait_for(lambda: len(numbers(broker, "house/people/event")) == 1)
        client.post("/forget", json={"ids": [first]})
        wait_for(lambda: broker.topics().count("house/people/event") == 2)
        server.close()
        wait_for(lambda: broker.said_goodbye == 1)
        assert broker.got[-1] == ("house/people/status", "offline", True)
    told = {topic: json.loads(text) for topic, text, _ in broker.got if text.startswith("{")}
    node = _slug("house/people")
    events = told[f"homeassistant/event/{node}/events/config"]
    assert events["state_topic"] == "house/people/event"
    assert events["event_types"] == ["sighting", "people", "erased"]
    assert told["house/people/event"]["event_type"] == "erased"
    (camera,) = [one for topic, one in told.items() if topic.startswith("homeassistant/sensor/")]
    assert camera["name"] == "Last at Tür 1"
    assert camera["unique_id"] != events["unique_id"]
    assert camera["device"] == events["device"]
    seen = told[camera["state_topic"]]
    assert (seen["who"], seen["id"], seen["camera"]) == ("Ann", first, "Tür 1")
    for topic, text, retained in broker.got:
        assert retained == (topic.startswith("homeassistant/") or topic.endswith("/status"))
        assert not retained or "Ann" not in text
        assert all(c.isascii() and (c.isalnum() or c in "_-/") for c in topic)


@needs_paho
@pytest.mark.slow
def test_nothing_is_lost_where_the_connection_breaks(client, publish):
    with Broker(breaks=[2, 4, 7]) as broker:
        publish(broker.port)
        ids = [add(client, camera="door") for _ in range(4)]
        wait_for(lambda: ids[-1] in numbers(broker))
        found = numbers(broker)
    assert list(dict.fromkeys(found)) == ids  # some may come twice, in their order
    assert len(broker.users) == 4


@needs_paho
@pytest.mark.slow
def test_a_broker_that_is_away_gets_everything_when_it_is_back(server, client, publish):
    with Broker() as broker:
        port = broker.port
        first = publish(port)
        one = add(client)
        wait_for(lambda: numbers(broker) == [one])
    two = add(client, camera="door")
    wait_for(lambda: server.service.events.last == 2)
    first.close()  # the service ends while the broker is away
    three = add(client, camera="yard")
    publish(port)
    with Broker(port) as broker:
        wait_for(lambda: len(numbers(broker)) == 2)
        assert numbers(broker) == [two, three]
        assert "reid_hash/status" in broker.topics()
        found = {topic for topic in broker.topics() if topic.startswith("homeassistant/sensor/")}
        assert len(found) == 2


@needs_paho
def test_a_wrong_password_is_told_and_stops_nothing(client, publish, caplog):
    with Broker(password="right") as broker:
        publish(broker.port, "mqtt://me@127.0.0.1:{}", "wrong")
        wait_for(lambda: "the broker refuses" in caplog.text)
        assert client.get("/gallery").status_code == 200
        assert broker.got == []
    assert "wrong" not in caplog.text


def test_nobody_is_called_unless_asked(server):
    assert server.service.mqtt is None


def test_where_paho_is_missing_the_way_to_it_is_said(serve, folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "paho", None)
    monkeypatch.setitem(sys.modules, "paho.mqtt", None)
    with pytest.raises(ReidHashError, match=r"pip install 'reid-hash\[mqtt\]'"):
        serve(folder, mqtt="mqtt://127.0.0.1:1")


@needs_paho
def test_a_password_without_a_user(serve, folder):
    with pytest.raises(ConfigError, match="names no user"):
        serve(folder, mqtt="mqtt://127.0.0.1:1", mqtt_password="secret")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mqtt://", "is no address"), ("http://broker", "is no address"),
        ("mqtt://broker:0", "is no address"), ("mqtt://broker:x", "is no address"),
        ("mqtt://broker/a/#", "is no address"), ("mqtt://broker/a/%2B", "is no address"),
        ("mqtt://broker?a=b", "is no address"), ("mqtt://me:word@broker", "MQTT_PASSWORD"),
    ],
)  # fmt: skip
def test_an_address_that_is_none(url, message):
    with pytest.raises(ConfigError, match=message) as wrong:
        parse_broker(url)
    assert "word@" not in str(wrong.value)


def test_addresses_and_names(tmp_path):
    assert parse_broker("mqtts://broker").port == 8883
    assert parse_broker("mqtts://broker").tls
    assert parse_broker("mqtt://broker:1884/").topic == "reid_hash"
    names = ["door", "Tür", "T_r", "T?r", "", "x" * 200, "x" * 201, "a/b", "a_b"]
    assert len({_slug(name) for name in names}) == len(names)
    assert "secret" not in repr(Settings(tmp_path, mqtt_password="secret"))
