"""What a run over videos found: a row for each person, and everything as JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

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
