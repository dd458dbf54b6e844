"""What a run over videos found: a row for each person, and everything as JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from reid_hash.report.pages.timeline import Timeline
from reid_hash.utils.timestamps import format_time
from reid_hash.video.score import Score
from reid_hash.video.summary import Person


@dataclass(frozen=True, eq=False)
class DemoResult:
    """What a run found.

    Attributes:
        people: everybody who was identified, by number.
        nameless: tracks that were never good enough for a code, such as very short ones.
        cameras: for each source: name, where it is, frames looked at, frames dropped.
        undrawn: live frames that were looked at but not drawn.
        seconds: the run took.
        stages: seconds of each stage's own thread: (from start to end, of them computing).
        facts: name → text of what it was run with.
        notes: what a reader of the results must know.
        score: where there is a ground truth.
        start: time of the first frame.
        interrupted: whether somebody stopped it.
        error: what stopped it, in words; "" where nothing did.
        written: files and folders that `demo` has written.
    """

    people: Sequence[Person]
    nameless: int
    cameras: Sequence[Mapping[str, Any]]
    undrawn: int
    seconds: float
    stages: Mapping[str, tuple[float, float]]
    facts: Mapping[str, str]
    notes: Sequence[str]
    score: Score | None
    start: float
    interrupted: bool
    error: str = ""
    written: Sequence[Path] = ()

    @property
    def frames(self) -> int:
        """Frames looked at, of all sources."""
        return sum(int(camera["frames"]) for camera in self.cameras)

    def to_json(self) -> dict[str, Any]:
        """Everything, without pictures; times in ISO 8601."""
        return {
            "facts": dict(self.facts),
            "start": format_time(self.start),
            "cameras": [dict(camera) for camera in self.cameras],
            "frames": self.frames,
            "frames_not_drawn": self.undrawn,
            "seconds": self.seconds,
            "frames_per_second": self.frames / max(self.seconds, 1e-9),
            "stages": {
                name: {"seconds": wall, "cpu_seconds": cpu}
                for name, (wall, cpu) in self.stages.items()
            },
            "interrupted": self.interrupted,
            "error": self.error or None,
            "people": [_person(person) for person in self.people],
            "tracks_without_identity": self.nameless,
            "score": None if self.score is None else asdict(self.score),
            "notes": list(self.notes),
        }

    def timeline(self) -> Timeline:
        """The page of who was where and when."""
        facts = [
            (f"camera {i}", f"{one['name']}: {one['source']}, {one['frames']:,} frames")
            for i, one in enumerate(self.cameras, 1)
        ]
        facts += [(name, text) for name, text in self.facts.items()]
        score = self.score
        if score is not None:
            facts.append(
                (
                    "score",
                    f"{score.matched} of {score.matches} tracks with an identity that several "
                    f"cameras saw have the right one; {score.right} of {score.people} people have "
                    f"mostly one identity before all of them; IDF1 {100 * score.idf1:.1f} %",
                )
            )
        notes = list(self.notes)
        if self.nameless:
            notes.append(
                f"{self.nameless} tracks were too short, small or crowded to tell who it was."
            )
        if self.interrupted:
            notes.append("The run was stopped before the end.")
        if self.error:
            notes.append(f"The run ended with an error: {self.error}")
        return Timeline(
            [str(one["name"]) for one in self.cameras], self.people, self.start, facts, notes
        )


def _person(person: Person) -> dict[str, Any]:
    visits = [
        {
            "camera": visit.camera,
            "track": visit.track,
            "first": format_time(visit.first),
            "last": format_time(visit.last),
            "frames": visit.frames,
            "distance": visit.distance,
            "watch": visit.watched or None,
        }
        for visit in person.visits
    ]
    return {
        "identity": person.identity,
        "label": person.label,
        "known_before": person.known,
        "visits": visits,
    }
