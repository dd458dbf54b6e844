"""People and erasing through the service."""

import json

from reid_hash.gallery.sqlite.gallery import Gallery
from reid_hash.web.api.state import state_folder
from tests.gallery.galleries import everything_in
from tests.web.api.conftest import problem


def test_people_are_named_merged_split_and_listed(client, folder):
    def assign(ids, who):
        return client.post("/people/assign", json={"ids": ids, "identity": who}).json()["identity"]

    ann, bob = assign([1, 2, 3], "Ann"), assign([4, 5], "Bob")
    assert assign([6], ann) == ann
    assert assign([6], None) is None
    page = client.get("/people", params={"limit": 1}).json()
    assert page["people"] == [
        {"identity": ann, "name": "Ann", "sightings": 3, "first": 1000.0, "last": 1002.0}
    ]
    rest = client.get("/people", params={"limit": 1, "cursor": page["next"]}).json()
    assert [one["name"] for one in rest["people"]] == ["Bob"]
    assert rest["next"] is None
    new = client.post(f"/people/{ann}/split", json={"ids": [3], "name": "Cid"}).json()["identity"]
    assert client.get(f"/people/{new}").json()["name"] == "Cid"
    assert client.post(f"/people/{ann}/merge", json={"other": "Bob"}).json() == {"identity": ann}
    assert client.put(f"/people/{ann}/name", json={"name": "Zoe"}).json() == {"identity": ann}
    with Gallery.open(folder, read_only=True) as gallery:
        people = {one.name: one.sightings for one in gallery.people.identities()}
    assert people == {"Zoe": 4, "Cid": 1}
    assert problem(client.get(f"/people/{bob}")) == (404, "not-found")
    taken = client.put(f"/people/{ann}/name", json={"name": "Cid"})
    assert problem(taken) == (409, "refused-by-gallery")
    assert str(folder) not in taken.text
    assert problem(client.put(f"/people/{ann}/name", json={"name": " "})) == (422, "invalid")
    everybody = client.post(f"/people/{new}/split", json={"ids": [3]})
    assert problem(everybody) == (409, "refused-by-gallery")
    assert problem(client.post("/people/99/merge", json={"other": ann})) == (404, "not-found")
    made = client.post("/people").json()["identity"]
    assert assign([7], made) == made


def test_who_is_forgotten_is_in_no_file_and_there_is_a_receipt(client, folder):
    name = "Xerxes-the-9th"
    person = client.post("/people/assign", json={"ids": [1, 2], "identity": name}).json()
    client.get("/sightings", params={"name": name})
    client.post("/search", json={"queries": [{"sighting": 9}], "where": {"identities": [name]}})
    key = {"idempotency-key": "once"}
    client.put(f"/people/{person['identity']}/name", json={"name": f"{name}!"}, headers=key)
    receipt = client.post("/forget", json={"identities": [f"{name}!"]}).json()
    assert receipt["sightings"] == 2
    assert receipt["what"] == {"forget": {"identities": ["by name"]}}
    assert receipt["done"] >= receipt["asked"]
    assert client.get("/receipts").json() == {"receipts": [receipt], "next": None}
    assert client.get("/gallery").json()["sightings"] == 58
    for place in (folder, state_folder(folder)):
        assert not [path for path, data in everything_in(place).items() if name.encode() in data]


def test_erasing_by_number_and_by_age(client, folder):
    person = client.post("/people/assign", json={"ids": [1, 2, 3], "identity": "Ann"}).json()
    assert client.delete("/sightings/3").json()["sightings"] == 1
    assert problem(client.delete("/sightings/3")) == (404, "not-found")
    assert client.delete(f"/people/{person['identity']}").json()["sightings"] == 2
    assert problem(client.delete(f"/people/{person['identity']}")) == (404, "not-found")
    assert problem(client.post("/forget", json={})) == (409, "nothing-named")
    assert problem(client.post("/forget", json={"since": None})) == (409, "nothing-named")
    assert client.post("/forget", json={"ids": []}).json()["sightings"] == 0
    assert client.post("/forget", json={"cameras": ["cam0"]}).json()["sightings"] == 19
    assert client.post("/prune", json={"keep_seconds": 60}).json()["sightings"] == 38
    receipts = client.get("/receipts", params={"limit": 2}).json()
    assert [one["sightings"] for one in receipts["receipts"]] == [38, 19]
    with Gallery.open(folder, read_only=True) as gallery:
        assert (len(gallery), gallery.people.identities(), gallery.verify()) == (0, [], [])


def test_the_log_says_who_asked_for_what(server, client, folder):
    client.delete("/sightings/3")
    client.get("/sightings", params={"name": "Secret", "limit": 3})
    client.get("/health")
    client.get("/nosuch/Secret")
    lines = (state_folder(folder) / "audit.jsonl").read_text().splitlines()
    told = [json.loads(line) for line in lines]
    assert [(one["method"], one["path"], one["status"]) for one in told] == [
        ("DELETE", "/api/v1/sightings/3", 200),
        ("GET", "/api/v1/sightings", 404),
        ("GET", "", 404),
    ]
    assert (told[0]["caller"], told[0]["receipt"], told[0]["sightings"]) == ("loopback", 1, 1)
    assert told[1]["parameters"] == ["limit", "name"]
    assert "Secret" not in "".join(lines)
