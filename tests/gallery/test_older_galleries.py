"""Galleries that were written before the package was laid out in rooms (commit 22fea59).

`with_log` was copied while its writer was open: three sightings are in the log alone, and the index
file holds the nine before them. `exported.npz` is the same gallery, exported.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from reid_hash.codes import Codes
from reid_hash.gallery.sqlite.gallery import Gallery

DATA = Path(__file__).parent / "data"
EXPECTED = json.loads((DATA / "expected.json").read_text(encoding="utf-8"))


def packed(texts):
    return np.frombuffer(bytes.fromhex("".join(texts)), np.uint8).reshape(len(texts), -1)


def plain(sighting):
    """A sighting as the file of what is expected has it."""
    return {
        name: getattr(sighting, name)
        for name in ("camera", "time", "source", "track", "frame", "identity", "name", "id")
    } | {
        "box": None if sighting.box is None else list(sighting.box),
        "thumbnail": None if sighting.thumbnail is None else sighting.thumbnail.hex(),
    }


def found(answers):
    return [[[match.sighting.id, match.distance] for match in row] for row in answers]


@pytest.fixture(params=["reader", "writer", "loaded"])
def gallery(request, tmp_path):
    """The gallery, opened in place of a copy, or loaded from what was exported."""
    if request.param == "loaded":
        with Gallery.load(tmp_path / "g", DATA / "exported.npz") as loaded:
            yield loaded
        return
    shutil.copytree(DATA / "with_log", tmp_path / "g")
    (tmp_path / "g").chmod(0o700)
    for file in (tmp_path / "g").iterdir():
        file.chmod(0o600)  # as the toolkit wrote it; Git keeps no modes
    with Gallery.open(tmp_path / "g", read_only=request.param == "reader") as opened:
        yield opened


def test_it_opens_and_is_sound(gallery):
    assert gallery.verify() == []
    assert (gallery.bits, gallery.model) == (EXPECTED["bits"], EXPECTED["model"])
    assert gallery.weights.tolist() == EXPECTED["weights"]


def test_it_holds_what_was_written(gallery):
    assert [plain(one) for one in gallery.sightings(thumbnails=True)] == EXPECTED["sightings"]
    assert gallery.codes()[0].packed.tolist() == packed(EXPECTED["codes"]).tolist()
    assert [list(one) for one in gallery.people.identities()] == EXPECTED["identities"]
    assert gallery.cameras() == EXPECTED["cameras"]


@pytest.mark.parametrize("asked", EXPECTED["answers"], ids=lambda asked: str(asked["options"]))
def test_it_answers_alike(gallery, asked):
    queries = Codes(packed(EXPECTED["queries"]), gallery.bits, gallery.weights, gallery.model)
    assert found(gallery.search_many(queries, **asked["options"])) == asked["matches"]
    for query, matches in zip(range(len(queries)), asked["matches"], strict=True):
        one = gallery.search(queries[[query]], **asked["options"])
        assert found([one]) == [matches]


def test_it_answers_real_values_alike(gallery):
    values = np.array(EXPECTED["values"])
    assert found(gallery.search_many(values, 6)) == EXPECTED["answers_to_values"]
    assert found([gallery.search(values[0], 6)]) == EXPECTED["answers_to_values"][:1]


def test_the_old_index_file_is_used(tmp_path):
    shutil.copytree(DATA / "with_log", tmp_path / "g")
    with Gallery.open(tmp_path / "g", read_only=True) as gallery:
        assert gallery.info()["index_cache"] == "3 sightings behind"


def test_it_is_written_to(tmp_path):
    shutil.copytree(DATA / "with_log", tmp_path / "g")
    codes = Codes(
        packed(EXPECTED["codes"][:1]), EXPECTED["bits"], EXPECTED["weights"], "feedfacecafe"
    )
    with Gallery(tmp_path / "g", codes) as gallery:
        (number,) = gallery.add(codes, camera="door")
        assert number == 13
        assert gallery.forget(ids=[2]) == 1
        assert len(gallery) == 12
    with Gallery(tmp_path / "g", read_only=True) as gallery:
        matches = gallery.search(codes, 2)
        assert {(one.sighting.id, one.distance) for one in matches} == {(1, 0.0), (13, 0.0)}
