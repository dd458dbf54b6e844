"""The people of a gallery as HTML: cards, a timeline, their sightings."""

from collections.abc import Collection, Sequence
from html import escape

from reid_hash.gallery.sighting import Identity, Sighting
from reid_hash.report.colours import PALETTE
from reid_hash.web.cards import moment, picture, when
from reid_hash.web.page_gallery import Desk

SHOWN = 60
"""People, and sightings of one, that are shown at most: more are found by name or by search."""

_LEAST = 1.0  # seconds that a timeline spans at least


def called(person: Identity) -> str:
    """What a person is called: by name and number, or by number."""
    return f"{person.name} (#{person.id})" if person.name else f"#{person.id}"


def find_people(desk: Desk, text: str) -> list[Identity]:
    """Those whose name or number holds a text, whoever was seen last first."""
    wanted = text.strip().casefold()
    found = [one for one in desk.gallery.people.identities() if wanted in called(one).casefold()]
    return sorted(found, key=lambda one: (-one.last, one.id))


def people_html(desk: Desk, found: Sequence[Identity], chosen: int | None) -> str:
    """A card for each person."""
    if not found:
        return "<p class='rh-said'>Nobody of that name or number.</p>"
    cards = []
    for one in found[:SHOWN]:
        newest = desk.gallery.sightings(identities=[one.id], newest=True, limit=1, thumbnails=True)
        jpeg = newest[0].thumbnail if newest else None
        state = " rh-chosen" if one.id == chosen else ""
        cards.append(
            f'<button type="button" class="rh-card{state}" data-id="{one.id}">'
            f"<b>{escape(one.name or f'#{one.id}')}</b>{picture(jpeg, called(one))}"
            f"<span>{one.sightings:,} sightings</span>{when(one.last)}</button>"
        )
    more = len(found) - SHOWN
    rest = f"<p class='rh-said'>… and {more:,} more: write part of a name.</p>" if more > 0 else ""
    return f"<div class='rh-people'>{''.join(cards)}</div>{rest}"


def timeline_html(seen: Sequence[Sighting]) -> str:
    """A lane for each camera with a mark for each sighting."""
    times = [one.time or 0.0 for one in seen]
    if not times:
        return ""
    begin, end = min(times), max(times)
    length = max(end - begin, _LEAST)
    lanes = []
    for number, camera in enumerate(sorted({one.camera for one in seen})):
        colour = PALETTE[number % len(PALETTE)]
        marks = "".join(
            f'<i style="left:{100 * ((one.time or 0.0) - begin) / length:.2f}%;'
            f'background:{colour}" title="sighting {one.id}, {moment(one.time)}"></i>'
            for one in seen
            if one.camera == camera
        )
        name = escape(camera) or "no camera"
        lanes.append(f'<div class="rh-lane"><b title="{name}">{name}</b><div>{marks}</div></div>')
    ends = f"<em style='left:0'>{moment(begin)}</em>"
    if end > begin:
        ends += f"<em style='left:100%'>{moment(end)} UTC</em>"
    return f"{''.join(lanes)}<div class='rh-lane'><b></b><div>{ends}</div></div>"


def shots_html(seen: Sequence[Sighting], chosen: Collection[int]) -> str:
    """The sightings of a person; those that are chosen have a frame."""
    cards = []
    for one in seen[:SHOWN]:
        on = one.id in chosen
        cards.append(
            f'<button type="button" class="rh-card{" rh-chosen" if on else ""}" '
            f'data-id="{one.id}" aria-pressed="{str(on).lower()}" title="{escape(one.source)}">'
            f"{picture(one.thumbnail, f'sighting {one.id}')}<span>sighting {one.id}</span>"
            f"<span>{escape(one.camera)}</span>{when(one.time)}</button>"
        )
    return f"<div class='rh-shots'>{''.join(cards)}</div>"
