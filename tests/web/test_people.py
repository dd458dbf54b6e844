"""People as the page shows them."""

import re

import pytest

from reid_hash.web.html import find_people, people_html, shots_html, timeline_html


def test_people_are_found_by_name_and_number(page_gallery):
    everybody = find_people(page_gallery, "")
    assert len(everybody) == 11
    assert everybody == sorted(everybody, key=lambda one: -one.last)
    assert [one.name for one in find_people(page_gallery, " Walker 03 ")] == ["walker 03"]
    assert [one.id for one in find_people(page_gallery, "#11")] == [11]
    assert find_people(page_gallery, "nobody") == []
    page = people_html(page_gallery, everybody, 3)
    assert page.count("data-id=") == page.count("<img") == 11
    assert re.findall(r'rh-chosen" data-id="(\d+)"', page) == ["3"]
    assert "Nobody of that name" in people_html(page_gallery, [], None)


def test_a_timeline_has_a_lane_a_camera_and_a_mark_a_sighting(page_gallery):
    seen = page_gallery.gallery.sightings(identities=[2])
    page = timeline_html(seen)
    assert re.findall(r"<b title=\"(\w+)\"", page) == ["gate", "hall"]
    places = [float(text) for text in re.findall(r'<i style="left:([\d.]+)%', page)]
    assert len(places) == 4
    assert (min(places), max(places)) == (0.0, 100.0)
    assert timeline_html([]) == ""
    assert timeline_html(seen[:1]).count("<i ") == 1


def test_chosen_sightings_are_marked(page_gallery):
    seen = page_gallery.gallery.sightings(identities=[2], thumbnails=True)
    page = shots_html(seen, [seen[1].id])
    assert re.findall(r'data-id="(\d+)" aria-pressed="true"', page) == [str(seen[1].id)]
    assert page.count('aria-pressed="false"') == 3


@pytest.mark.parametrize("count", [0, 1, 70])
def test_more_people_than_are_shown_are_counted(page_gallery, count):
    some = (find_people(page_gallery, "") * 7)[:count]
    page = people_html(page_gallery, some, None)
    assert page.count("data-id=") == min(count, 60)
    assert ("and 10 more" in page) == (count == 70)
