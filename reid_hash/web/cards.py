"""Sightings as HTML: everything that comes from the gallery is escaped, pictures are inside.

A picture is part of the page, not a file of its own: the page's server gives out no file at all of
the gallery, and what was forgotten is in no cache.
"""

import base64
from html import escape

from reid_hash.gallery.sighting import Sighting
from reid_hash.report.colours import RIGHT_MARK, WRONG_MARK
from reid_hash.utils.timestamps import format_time
from reid_hash.web.ranking import Hit, Question, Ranking, View


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


def ranking_html(question: Question, view: View, ranking: Ranking) -> str:
    """The query and its ranking list."""
    return (
        f'<p class="rh-said" role="status">{escape(said(view, ranking))}</p>'
        f'<div class="rh-ranking">{query_card(question)}'
        f"{''.join(_hit(rank, hit, ranking) for rank, hit in enumerate(ranking.hits, 1))}</div>"
    )


def said(view: View, ranking: Ranking) -> str:
    """The ranking list in a sentence."""
    kind = "weighted Hamming" if view.weighted else "Hamming"
    text = (
        f"{len(ranking.hits)} nearest of {ranking.searched:,} sightings by the first {view.bits} "
        f"bits, {kind} distance, in {1000 * ranking.seconds:.0f} ms."
    )
    if not ranking.hits:
        return f"None of {ranking.searched:,} sightings to show: change the filters."
    if ranking.of_person is not None:
        right = sum(hit.right is True for hit in ranking.hits)
        text += f" {right} of them right, of {ranking.of_person} that there are of this person."
    return text


def query_card(question: Question) -> str:
    """The card of what is searched for."""
    seen = question.sighting
    lines = [question.name] if seen is None else [label(seen) or "nobody known", seen.camera]
    text = "".join(f"<span>{escape(line)}</span>" for line in lines if line)
    text += "" if seen is None else when(seen.time)
    return (
        f'<div class="rh-card rh-query"><b>query</b>{picture(question.thumbnail, "the query")}'
        f"{text}</div>"
    )


def _hit(rank: int, hit: Hit, ranking: Ranking) -> str:
    seen = hit.sighting
    who = label(seen)
    state = {True: "rh-right", False: "rh-wrong", None: ""}[hit.right]
    mark = {True: RIGHT_MARK, False: WRONG_MARK, None: ""}[hit.right]
    means = {True: "right", False: "wrong", None: "not known whether right"}[hit.right]
    share = 100 * hit.distance / max(ranking.farthest, 1e-9)
    badge = f'<i title="{means}">{mark}</i>' if mark else ""
    alt = f"rank {rank}, {who or 'nobody known'}, camera {seen.camera}, {means}"
    return (
        f'<button type="button" class="rh-card {state}" data-id="{seen.id}" '
        f'title="search for this one; from {escape(seen.source)}">'
        f"<b>{rank}{badge}</b>{picture(hit.thumbnail, alt)}"
        f'<span class="rh-distance" style="--share:{share:.1f}%">{_number(hit.distance)}</span>'
        f"<span>{escape(who) or '—'}</span><span>{escape(seen.camera)}</span>"
        f"{when(seen.time)}</button>"
    )


def _number(distance: float) -> str:
    return f"{distance:.0f}" if distance.is_integer() else f"{distance:.2f}"
