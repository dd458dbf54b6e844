"""Searching through the service gives what searching the gallery gives."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from reid_hash.gallery.answers import answers
from reid_hash.gallery.sqlite.gallery import Gallery
from reid_hash.web.api.together import Together
from tests.gallery.galleries import some_codes
from tests.web.api.conftest import Client, b64, problem


def ask(client, queries, **how):
    reply = client.post("/search", json={"queries": queries, **how})
    assert reply.status_code == 200, reply.text
    return [
        [(m["sighting"]["id"], m["distance"]) for m in one["matches"]]
        for one in reply.json()["answers"]
    ]


def same(found):
    return [(one.sighting.id, one.distance) for one in found]


@pytest.mark.parametrize("bits", [None, 8, 44])
@pytest.mark.parametrize("weighted", [True, False])
def test_answers_are_the_gallerys(client, folder, bits, weighted):
    codes = some_codes(3, seed=7)
    queries = [{"code": b64(row.tobytes())} for row in codes.packed]
    how = {"k": 4, "bits": bits, "weighted": weighted}
    where = {"cameras": ["cam1", "cam2"], "exclude_ids": [2, 3]}
    with Gallery.open(folder, read_only=True) as gallery:
        found = gallery.search_many(codes, 4, bits=bits, weighted=weighted, **where)
        itself = gallery.search(
            some_codes()[4:5], 4, bits=bits, weighted=weighted, **where, exclude_identities=[]
        )
    itself = [one for one in itself if one.sighting.id != 5]
    found_here = ask(client, [*queries, {"sighting": 5}], **how, where=where)
    assert found_here[:3] == [same(one) for one in found]
    assert found_here[3][: len(itself)] == same(itself)
    assert len(found_here[3]) == 4
    assert 5 not in [number for number, _ in found_here[3]]


def test_many_at_once_get_what_each_gets_alone(server, client):
    asked = [
        {"queries": [{"sighting": n} for n in range(1 + i, 2 + i + i % 3)], "k": 3 + i % 2}
        if i % 4
        else {"queries": [{"code": b64(some_codes(1, seed=i).packed.tobytes())}], "bits": 8}
        for i in range(24)
    ]
    asked[5] = {"queries": [{"sighting": 999}], "k": 3}  # fails those with it, were they one
    alone = [client.post("/search", json=one).json() for one in asked]
    for _ in range(4):
        with ThreadPoolExecutor(len(asked)) as pool:
            replies = list(pool.map(lambda one: Client(server).post("/search", json=one), asked))
        assert [one.json() for one in replies] == alone
        assert [one.status_code for one in replies].count(404) == 1


def test_who_waits_is_answered_together_and_fails_alone():
    together, calls = Together(), []
    held, begun = threading.Event(), threading.Event()

    def answer(queries):
        calls.append(list(queries))
        if queries[0] == "held":
            begun.set()
            assert held.wait(60)
        if "bad" in queries:
            raise ValueError("bad")
        return [query * 2 for query in queries]

    with ThreadPoolExecutor(9) as pool:
        first = pool.submit(together.ask, "kind", ["held"], answer)
        assert begun.wait(60)
        others = [pool.submit(together.ask, "kind", [str(i), str(i)], answer) for i in range(4)]
        assert together.ask("another kind", ["free"], answer) == ["freefree"]
        while sum(map(len, together._waiting.values())) < 4:
            time.sleep(0.001)
        held.set()
        assert first.result(60) == ["heldheld"]
        assert [one.result(60) for one in others] == [[f"{i}{i}"] * 2 for i in range(4)]
        assert sorted(map(len, calls)) == [1, 1, 8]
        held.clear()
        begun.clear()
        first = pool.submit(together.ask, "kind", ["held"], answer)
        assert begun.wait(60)
        good = [pool.submit(together.ask, "kind", [str(i)], answer) for i in range(3)]
        bad = pool.submit(together.ask, "kind", ["bad"], answer)
        while sum(map(len, together._waiting.values())) < 4:
            time.sleep(0.001)
        held.set()
        assert [one.result(60) for one in good] == [["00"], ["11"], ["22"]]
        with pytest.raises(ValueError, match="bad"):
            bad.result(60)
    assert together._waiting == {}


def test_real_values_and_codes_in_one_request(client, folder):
    values = [0.25 if i % 3 else -0.5 for i in range(44)]
    code = b64(some_codes().packed[0].tobytes())
    with Gallery.open(folder, read_only=True) as gallery:
        found = gallery.search(values, 3)
    first, coded, last = ask(client, [{"values": values}, {"code": code}, {"values": values}], k=3)
    assert first == last == same(found)
    assert coded[0] == (1, 0)


def test_strangers_are_told(client, folder):
    query = {"queries": [{"code": b64(some_codes(1, seed=3).packed.tobytes())}], "far": 0.01}
    assert problem(client.post("/search", json=query)) == (409, "not-calibrated")
    with Gallery.open(folder) as gallery:
        for person in range(6):
            ids = range(1 + 4 * person, 5 + 4 * person)
            gallery.people.assign(list(ids), f"p{person}")
        gallery.calibrate([44])
        (expected,) = answers(gallery, some_codes(1, seed=3), [""], far=0.01)
    (told,) = client.post("/search", json=query).json()["answers"]
    assert (told["searched"], told["threshold"]) == (60, expected.threshold)
    assert told["stranger"] is expected.stranger
    within = [match["within"] for match in told["matches"]]
    assert within == [expected.within(match) for match in expected.matches]
    (told,) = client.post("/search", json={**query, "far": 1}).json()["answers"]
    assert (told["threshold"], told["stranger"]) == (None, False)
    assert problem(client.post("/search", json={**query, "bits": 16})) == (409, "not-calibrated")


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"queries": []}, (422, "invalid")),
        ({"queries": [{"sighting": 99}]}, (404, "not-found")),
        ({"queries": [{"sighting": 1, "code": "AA=="}]}, (422, "invalid")),
        ({"queries": [{"sighting": "1"}]}, (422, "invalid")),
        ({"queries": [{"sighting": 1}], "k": 0}, (422, "invalid")),
        ({"queries": [{"sighting": 1}], "k": 10**9}, (422, "invalid")),
        ({"queries": [{"sighting": 1}], "bits": 45}, (422, "too-many-bits")),
        ({"queries": [{"sighting": 1}], "where": {"identities": ["no"]}}, (404, "not-found")),
        ({"queries": [{"values": [0.0] * 43}]}, (422, "other-codes")),
        ({"queries": [{"image": "AAAA"}]}, (409, "no-model")),
        ({"queries": [{"sighting": 1}], "asymmetric": True, "weighted": False},
         (409, "contradiction")),
        ({"queries": [{"sighting": 1}] * 101}, (422, "invalid")),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told(shared, asked, expected):
    assert problem(shared.post("/search", json=asked)) == expected
