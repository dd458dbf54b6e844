"""The SQL of docs/scale.md answers what the page says that it answers."""

import re
from pathlib import Path

import pytest

from reid_hash.gallery.sighting import Sighting
from tests.gallery.clickhouse.places import address_in, require_clickhouse
from tests.gallery.galleries import some_codes

require_clickhouse()

from reid_hash.gallery.clickhouse.gallery import ClickHouseGallery  # noqa: E402
from reid_hash.gallery.clickhouse.link import Link  # noqa: E402

PAGE = Path(__file__).parents[3] / "docs" / "scale.md"
VIEWS = r"\b(FROM|JOIN) (sightings|people|visits)\b"

SEEN = [  # camera and minute; Ann crosses within the hour, Bob after two, Cy stays, Dee is nobody
    *[("Ann", "gate", 0), ("Ann", "hall", 30)],
    *[("Bob", "gate", 0), ("Bob", "hall", 120)],
    *[("Cy", "hall", 60 + 4 * i) for i in range(4)],
    (None, "gate", 61),
]


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """The rows that each query of the page gives, in the page's order."""
    place = address_in(tmp_path_factory.mktemp("sql"))
    codes = some_codes(len(SEEN))
    sightings = [
        Sighting(camera, 60.0 * minute, f"{i}.jpg", name=name)
        for i, (name, camera, minute) in enumerate(SEEN)
    ]
    with ClickHouseGallery.create(place, codes[:0]) as gallery:
        gallery.add(codes, sightings)
    queries = re.findall(r"^```sql\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    link = Link(place)
    try:
        return [link.rows(re.sub(VIEWS, rf"\1 {place.database}.\2", query)) for query in queries]
    finally:
        link.close()


def test_who_was_at_two_doors_within_an_hour(answers):
    assert [name for _, name in answers[0]] == ["Ann"]


def test_sightings_and_people_by_hour(answers):
    assert [(camera, n, people) for _, camera, n, people in answers[1]] == [
        ("gate", 2, 2),
        ("hall", 1, 1),
        ("gate", 1, 0),
        ("hall", 4, 1),
        ("hall", 1, 1),
    ]


def test_who_stayed_longer(answers):
    assert [(name, camera, seconds) for name, camera, _, seconds in answers[2]] == [
        ("Cy", "hall", 720)
    ]
