"""The page's answers as HTML: sightings, rankings, people, remarks, errors in one line.

Everything that comes from the gallery is escaped. A picture is part of the page, not a file of its
own: the page's server gives out no file at all of the gallery, and what was forgotten is in no
cache.
"""

import base64
import functools
import logging
from collections.abc import Callable, Collection, Sequence
from html import escape
from typing import Any

from reid_hash.errors import ReidHashError
from reid_hash.gallery.sighting import Identity, Match, Sighting
from reid_hash.report.colours import PALETTE, RIGHT_MARK, WRONG_MARK
from reid_hash.utils.timestamps import format_time
from reid_hash.web.page_gallery import PageGallery
from reid_hash.web.ranking import Query, Ranking, View

CLICK = """
element.addEventListener('click', event => {
  const card = event.target.closest('[data-id]');
  if (card) trigger('click', {id: card.dataset.id});
});
"""
"""Script of an HTML element: clicking a card gives the number in its `data-id`."""

SHOWN = 60
"""People, and sightings of one, that are shown at most: more are found by name or by search."""

_LEAST = 1.0  # seconds that a timeline spans at least

_LOG = logging.getLogger(__name__)


def note(text: str) -> str:
    """A remark as HTML."""
    return f'<p class="rh-note">{escape(text)}</p>'


def problem(error: Exception) -> str:
    """What went wrong, as HTML in one line; what nobody foresaw is also logged."""
    if isinstance(error, ReidHashError):
        return f'<p class="rh-error" role="alert">{escape(str(error))}</p>'
    _LOG.error("unexpected error", exc_info=error)
    text = f"unexpected {type(error).__name__}; the terminal where the page was started says more"
    return f'<p class="rh-error" role="alert">{text}</p>'


def calm(work: Callable[..., str]) -> Callable[..., str]:
    """Make a function that gives HTML say what went wrong in place of failing."""

    @functools.wraps(work)
    def wrapped(*arguments: Any) -> str:
        try:
            return work(*arguments)
        except Exception as error:
            return problem(error)

    return wrapped


def number_of(event: Any) -> int | None:
    """The number of the card that was clicked; None where the browser sent something else."""
    try:
        text = str(getattr(event, "id", ""))
    except TypeError:  # Gradio's event holds nothing
        return None
    return int(text) if text.isdecimal() and len(text) < 19 else None


def picture(jpeg: bytes | None, alt: str) -> str:
    """An image element, or a box that says that there is no picture."""
    if jpeg is None:
        return f'<span class="rh-none" title="{escape(alt)}">no picture kept</span>'
    data = base64.b64encode(jpeg).decode("ascii")
    return f'<img src="data:image/jpeg;base64,{data}" alt="{escape(alt)}">'


def label(sighting: Sighting) -> str:
    """Whom a sighting shows: name or number of the identity; "" where that is not known."""
    if sighting.name:
        return sighting.name
    return "" if sighting.identity is None else f"#{sighting.identity}"


def moment(seconds: float | None) -> str:
    """A time as people read it: date and time to the second, UTC."""
    return format_time(seconds or 0.0)[:19].replace("T", " ")


def when(seconds: float | None) -> str:
    """A time in two short lines, as HTML."""
    return "".join(f"<span>{part}</span>" for part in moment(seconds).split(" "))


def ranking_html(query: Query, view: View, ranking: Ranking) -> str:
    """The query and its ranking list."""
    cards = (_card(rank, match, ranking) for rank, match in enumerate(ranking.matches, 1))
    return (
        f'<p class="rh-said" role="status">{escape(said(view, ranking))}</p>'
        f'<div class="rh-ranking">{query_card(query)}{"".join(cards)}</div>'
    )


def said(view: View, ranking: Ranking) -> str:
    """The ranking list in a sentence."""
    kind = "weighted Hamming" if view.weighted else "Hamming"
    text = (
        f"{len(ranking.matches)} nearest of {ranking.searched:,} sightings by the first "
        f"{view.bits} bits, {kind} distance, in {1000 * ranking.seconds:.0f} ms."
    )
    if not ranking.matches:
        return f"None of {ranking.searched:,} sightings to show: change the filters."
    if ranking.of_person is not None:
        right = sum(ranking.right(match) is True for match in ranking.matches)
        text += f" {right} of them right, of {ranking.of_person} that there are of this person."
    return text


def query_card(query: Query) -> str:
    """The card of what is searched for."""
    seen = query.sighting
    lines = [query.name] if seen is None else [label(seen) or "nobody known", seen.camera]
    text = "".join(f"<span>{escape(line)}</span>" for line in lines if line)
    text += "" if seen is None else when(seen.time)
    return (
        f'<div class="rh-card rh-query"><b>query</b>{picture(query.thumbnail, "the query")}'
        f"{text}</div>"
    )


def _card(rank: int, match: Match, ranking: Ranking) -> str:
    seen, right = match.sighting, ranking.right(match)
    who = label(seen)
    state = {True: "rh-right", False: "rh-wrong", None: ""}[right]
    mark = {True: RIGHT_MARK, False: WRONG_MARK, None: ""}[right]
    means = {True: "right", False: "wrong", None: "not known whether right"}[right]
    share = 100 * match.distance / max(ranking.farthest, 1e-9)
    badge = f'<i title="{means}">{mark}</i>' if mark else ""
    alt = f"rank {rank}, {who or 'nobody known'}, camera {seen.camera}, {means}"
    return (
        f'<button type="button" class="rh-card {state}" data-id="{seen.id}" '
        f'title="search for this one; from {escape(seen.source)}">'
        f"<b>{rank}{badge}</b>{picture(seen.thumbnail, alt)}"
        f'<span class="rh-distance" style="--share:{share:.1f}%">{_number(match.distance)}</span>'
        f"<span>{escape(who) or '—'}</span><span>{escape(seen.camera)}</span>"
        f"{when(seen.time)}</button>"
    )


def _number(distance: float) -> str:
    return f"{distance:.0f}" if distance.is_integer() else f"{distance:.2f}"


def called(person: Identity) -> str:
    """What a person is called: by name and number, or by number."""
    return f"{person.name} (#{person.id})" if person.name else f"#{person.id}"


def find_people(page_gallery: PageGallery, text: str) -> list[Identity]:
    """Those whose name or number holds a text, whoever was seen last first."""
    wanted = text.strip().casefold()
    found = [
        one for one in page_gallery.gallery.people.identities() if wanted in called(one).casefold()
    ]
    return sorted(found, key=lambda one: (-one.last, one.id))


def people_html(page_gallery: PageGallery, found: Sequence[Identity], chosen: int | None) -> str:
    """A card for each person."""
    if not found:
        return "<p class='rh-said'>Nobody of that name or number.</p>"
    cards = []
    for one in found[:SHOWN]:
        newest = page_gallery.gallery.sightings(
            identities=[one.id], newest=True, limit=1, thumbnails=True
        )
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
