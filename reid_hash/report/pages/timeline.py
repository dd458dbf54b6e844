"""One self-contained HTML page that shows who was seen by which camera, and when."""

import base64
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from reid_hash.report.colours import PALETTE
from reid_hash.utils.files import write_text
from reid_hash.utils.timestamps import format_time
from reid_hash.video.draw.boxes import identity_colour
from reid_hash.video.summary import Person, Visit

TEMPLATE = "timeline.html.j2"

_TICKS = 8  # ticks of the axis, at most
_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)
_PICTURES = 4  # pictures of a person, at most


@dataclass(frozen=True, eq=False)
class Timeline:
    """Content of the page.

    Attributes:
        cameras: names of the sources.
        people: the people who were seen.
        start: time at the left edge, in seconds since 1970, UTC.
        facts: (name, value) of what was run and on what.
        notes: what a reader must know.
    """

    cameras: Sequence[str]
    people: Sequence[Person]
    start: float
    facts: Sequence[tuple[str, str]] = ()
    notes: Sequence[str] = ()


def write_timeline(path: str | os.PathLike[str], timeline: Timeline) -> None:
    """Write the page as one HTML file, atomically; all text is escaped.

    Args:
        path: the file; a missing folder is created.
        timeline: content of the page.

    Raises:
        ReidHashError: the file cannot be written.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    ends = [visit.last for person in timeline.people for visit in person.visits]
    length = max([end - timeline.start for end in ends], default=0.0)
    length = max(length * 1.04, 1.0)  # room for the last label
    colours = {name: PALETTE[i % len(PALETTE)] for i, name in enumerate(timeline.cameras)}
    page = environment.get_template(TEMPLATE).render(
        timeline=timeline,
        summary=_summary(timeline),
        colours=colours,
        ticks=_ticks(length),
        rows=[_row(person, timeline, length, colours) for person in timeline.people],
        begin=format_time(timeline.start)[:19].replace("T", " ") + " UTC",
    )
    write_text(path, page)


def _row(
    person: Person, timeline: Timeline, length: float, colours: dict[str, str]
) -> dict[str, Any]:
    blue, green, red = identity_colour(person.identity)
    pictures = [visit for visit in person.visits if visit.thumbnail]
    # the first picture from each camera, then others
    firsts = {visit.camera: visit for visit in reversed(pictures)}
    chosen = list(firsts.values())[::-1] + [v for v in pictures if v not in firsts.values()]
    return {
        "person": person,
        "colour": f"rgb({red}, {green}, {blue})",
        "watched": next((visit.watched for visit in person.visits if visit.watched), ""),
        "pictures": [
            {"data": base64.b64encode(v.thumbnail).decode("ascii"), "camera": v.camera}
            for v in chosen[:_PICTURES]
        ],
        "lanes": [
            [_bar(v, timeline.start, length, colours) for v in person.visits if v.camera == camera]
            for camera in person.cameras
        ],
        "visits": [_said(visit, timeline.start) for visit in person.visits],
    }


def _bar(visit: Visit, start: float, length: float, colours: dict[str, str]) -> dict[str, Any]:
    return {
        "left": 100 * (visit.first - start) / length,
        "width": max(100 * (visit.last - visit.first) / length, 0.3),
        "colour": colours[visit.camera],
        "title": _said(visit, start),
    }


def _said(visit: Visit, start: float) -> str:
    parts = [
        f"{visit.camera}: {clock(visit.first - start)} to {clock(visit.last - start)}",
        f"track {visit.track}, {visit.frames:,} frames",
    ]
    if visit.distance is not None:
        parts.append(f"nearest sighting before at {visit.distance:.2f}")
    if visit.watched:
        parts.append(f"looks like {visit.watched}")
    return ", ".join(parts)


def _ticks(length: float) -> list[dict[str, Any]]:
    step = next((step for step in _STEPS if length / step <= _TICKS), None)
    step = step or 86400 * math.ceil(length / _TICKS / 86400)
    count = int(length / step)
    return [{"left": 100 * i * step / length, "text": clock(i * step)} for i in range(count + 1)]


def clock(seconds: float) -> str:
    """Format seconds as minutes:seconds, with hours if needed.

    Example:
        >>> clock(75.4), clock(3725)
        ('1:15', '1:02:05')
    """
    whole = max(int(seconds), 0)
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def _summary(timeline: Timeline) -> str:
    several = sum(len(person.cameras) > 1 for person in timeline.people)
    known = sum(person.known for person in timeline.people)
    parts = [f"{len(timeline.people):,} people"]
    if len(timeline.cameras) > 1:
        parts.append(f"{several:,} of them before several cameras")
    parts.append(f"{known:,} known from before")
    return ", ".join(parts) + "."
