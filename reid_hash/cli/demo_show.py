"""What `demo` prints: the people, the score, how fast it was."""

from rich import box
from rich.console import Console
from rich.table import Table

from reid_hash.app.demo.result import DemoResult
from reid_hash.cli import show
from reid_hash.video.score import VISIBLE
from reid_hash.video.summary import Person

_MOST = 60  # people that are listed: the timeline has them all


def result(found: DemoResult) -> None:
    """Print what a run found."""
    _people(found)
    frames = ", ".join(f"{one['name']}: {one['frames']:,}" for one in found.cameras)
    rate = found.frames / max(found.seconds, 1e-9)
    show.line(f"frames  {frames}; {found.seconds:.1f} s, {rate:.1f} frames/s")
    for one in found.cameras:
        if one["frames_dropped"]:
            show.line(f"dropped {one['name']}: {one['frames_dropped']:,} frames, it was too fast")
    if found.undrawn:
        show.line(f"dropped {found.undrawn:,} frames that were looked at but not drawn")
    if found.stages:
        total = sum(wall for wall, _ in found.stages.values())
        parts = [f"{name} {100 * wall / total:.0f} %" for name, (wall, _) in found.stages.items()]
        show.line(f"work    {', '.join(parts)}")
    show.line(f"limit   {found.facts['threshold']}")
    if found.score is not None:
        score(found)
    for note in found.notes:
        show.line(f"note    {note}")
    if found.interrupted:
        show.line("stopped before the end; everybody seen so far is in the gallery")


def score(found: DemoResult) -> None:
    """Print how much of it is right."""
    right = found.score
    assert right is not None
    share = 100 * right.matched / right.matches if right.matches else 0.0
    show.line(
        f"score   {right.matched} of {right.matches} tracks with an identity that both cameras saw "
        f"have the right one ({share:.0f} %)"
    )
    show.line(
        f"        {right.right} of {right.people} people before both cameras have mostly one "
        f"identity, and nobody else's; {right.identities} identities for {right.true} people"
    )
    show.line(
        f"        IDF1 over both cameras {100 * right.idf1:.1f} (precision {100 * right.idp:.1f}, "
        f"recall {100 * right.idr:.1f}) of people of whom {100 * VISIBLE:.0f} % or more are visible"
    )


def _people(found: DemoResult) -> None:
    known = sum(person.known for person in found.people)
    tracks = sum(len(person.visits) for person in found.people)
    short = (
        f"; {found.nameless} tracks too short, small or crowded to tell" if found.nameless else ""
    )
    show.line(
        f"{len(found.people):,} people in {tracks:,} tracks, {known:,} of them known before{short}"
    )
    if not found.people:
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for header in ("identity", "", "cameras", "visits", "from", "to", "seen"):
        right = header in ("visits", "from", "to", "seen")
        table.add_column(header, justify="right" if right else "left", no_wrap=header != "cameras")
    for person in found.people[:_MOST]:
        show.row(table, *_row(person, found.start))
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:  # a pipe or a file has no width: nothing may be cut there
        console.width = 140
    console.print(table)
    if len(found.people) > _MOST:
        show.line(f"… and {len(found.people) - _MOST:,} more; see the timeline")


def _row(person: Person, start: float) -> list[str]:
    first, last = person.visits[0].first, max(visit.last for visit in person.visits)
    seen = sum(visit.last - visit.first for visit in person.visits)
    marks = ["known" if person.known else "new"]
    marks += ["watch"] if any(visit.watched for visit in person.visits) else []
    return [
        person.label,
        ", ".join(marks),
        ", ".join(person.cameras),
        str(len(person.visits)),
        f"{first - start:.1f} s",
        f"{last - start:.1f} s",
        f"{seen:.1f} s",
    ]
