"""A network of cameras: for each ordered pair, how many go there and how long they take."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import ArrayLike, NDArray

from reid_hash.errors import GalleryError, one_line
from reid_hash.utils.files import json_text

Floats = NDArray[np.float64]

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Shares of the passages that take no longer than the times of a way."""

NEVER = 0.05
"""A way that is certainly taken by fewer is none."""

HORIZON = 900.0
"""Seconds after which somebody who comes again has left meanwhile."""

_TAIL = 0.5  # seconds of the tails beyond the outermost times at least
_LOOSE = 0.05  # share of the passages that take any time
_BROAD = 10.0  # seconds: how the times of those are spread, as 1 / (10 + time)
_DOUBT = 2.0  # passages that the loose part counts as, where there are few others


@dataclass(frozen=True)
class Way:
    """The way from one camera to another.

    Attributes:
        share: of those who leave the one camera's picture, whom the other sees next, 0 to 1.
        seconds: times from leaving the one picture to entering the other that the shares `LEVELS`
            of the passages do not exceed; negative while both see them.
        count: passages that this was learned from; 0 where a person said so.
    """

    share: float
    seconds: tuple[float, float, float, float, float]
    count: float = 0.0

    @property
    def overlap(self) -> bool:
        """Whether most people are seen by both cameras at once."""
        return self.seconds[2] < 0

    def density(self, gaps: ArrayLike) -> Floats:
        """Density of the times of passage at these times, in 1 / second."""
        gap = np.asarray(gaps, np.float64)
        loose = _LOOSE if not self.count else min(_LOOSE + _DOUBT / (_DOUBT + self.count), 1.0)
        times = np.maximum.accumulate(np.array(self.seconds) + 1e-3 * np.arange(len(LEVELS)))
        found = np.zeros_like(gap)
        for i in range(len(LEVELS) - 1):
            within = (gap >= times[i]) & (gap < times[i + 1])
            found[within] = (LEVELS[i + 1] - LEVELS[i]) / (times[i + 1] - times[i])
        low, high = (max(times[i + 1] - times[i], _TAIL) for i in (0, 3))
        early, late = gap < times[0], gap >= times[-1]
        found[early] = LEVELS[0] / low * np.exp((gap[early] - times[0]) / low)
        found[late] = (1 - LEVELS[-1]) / high * np.exp((times[-1] - gap[late]) / high)
        density: Floats = (1 - loose) * found + loose * broad(gap)
        return density


def broad(gaps: ArrayLike) -> Floats:
    """Density of a time of which nothing is known: 1 / (10 s + time) up to the horizon."""
    gap = np.asarray(gaps, np.float64)
    ahead = 0.9 / (_BROAD + np.abs(gap)) / math.log1p(HORIZON / _BROAD)
    behind = 0.1 / _BROAD * np.exp(np.minimum(gap, 0) / _BROAD)
    density: Floats = np.where(gap >= 0, ahead, behind)
    return density


@dataclass(frozen=True)
class CameraNetwork:
    """Cameras, and the ways between them.

    Attributes:
        cameras: their names.
        ways: (from, to) → what is known of the way; pairs that are not in it were not seen.
        never: pairs of which it is known that nobody goes there without another camera's seeing
            them.
        departures: camera → people who left its picture, of whom the next camera was looked for.
        entries: camera → share of all people who come in that are first seen by it.
        clocks: camera → seconds by which its clock is ahead of the others'.
        about: where this comes from, in words.
    """

    cameras: Sequence[str]
    ways: Mapping[tuple[str, str], Way] = field(default_factory=dict)
    never: frozenset[tuple[str, str]] = frozenset()
    departures: Mapping[str, float] = field(default_factory=dict)
    entries: Mapping[str, float] = field(default_factory=dict)
    clocks: Mapping[str, float] = field(default_factory=dict)
    about: str = ""

    def share(self, start: str, end: str) -> float:
        """Share of those before `start` whom `end` sees next; small, not 0, where none was seen."""
        way = self.ways.get((start, end))
        if way is not None:
            return max(way.share, 1e-4)
        unseen = 0.5 / (self.departures.get(start, 0.0) + len(self.cameras) + 1)
        return unseen / 10 if (start, end) in self.never else unseen

    def leaves(self, start: str) -> float:
        """Share of those before a camera whom none sees next: they leave by a door."""
        seen = sum(self.share(start, end) for end in self.cameras)
        return min(max(1 - seen, 0.02), 1.0)

    def log_density(self, start: str, end: str, gaps: ArrayLike) -> Floats:
        """Log of how often somebody before `start` is next before `end` after a time.

        Args:
            start: name of the camera whose picture was left; an unknown one is like any other.
            end: name of the camera that sees somebody now.
            gaps: [...] seconds between, by the cameras' own clocks.

        Returns:
            [...] float64: log of a density in 1 / second. Those who have left and come again are
            in it: any time, anywhere.
        """
        gap = np.asarray(gaps, np.float64)
        gap = gap - self.clocks.get(end, 0.0) + self.clocks.get(start, 0.0)
        if not {start, end} <= set(self.cameras):
            direct = broad(gap) / (len(self.cameras) + 2)
        else:
            way = self.ways.get((start, end))
            direct = self.share(start, end) * (broad(gap) if way is None else way.density(gap))
        entry = self.entries.get(end, 1 / (len(self.cameras) + 1))
        again = 0.1 * self.leaves(start) * max(entry, 0.01) * np.where(gap > 0, 1 / _DAY, 0)
        found: Floats = np.log(direct + again + 1e-12)
        return found

    def to_json(self) -> str:
        """As text; `from_json` gives the same back."""
        return json_text(self.to_dict())

    def to_dict(self) -> dict[str, Any]:
        """As a person edits it in YAML."""
        return {
            "about": self.about,
            "cameras": {
                name: {
                    "entries": round(self.entries.get(name, 0.0), 4),
                    "departures": round(self.departures.get(name, 0.0), 1),
                    "clock_ahead": round(self.clocks.get(name, 0.0), 2),
                }
                for name in self.cameras
            },
            "ways": [
                {
                    "from": start,
                    "to": end,
                    "share": round(way.share, 4),
                    "seconds": [round(value, 2) for value in way.seconds],
                    "passages": round(way.count, 1),
                }
                for (start, end), way in sorted(self.ways.items())
            ],
            "never": [list(pair) for pair in sorted(self.never)],
        }

    @classmethod
    def from_dict(cls, value: Any, origin: str = "the network of cameras") -> "CameraNetwork":
        """Read what `to_dict` wrote, or a person: only names of cameras are needed.

        Raises:
            GalleryError: it is something else.
        """
        try:
            given = value["cameras"]
            about = {str(name): (given[name] or {}) if isinstance(given, dict) else {}
                     for name in given}  # fmt: skip
            ways = {
                (str(way["from"]), str(way["to"])): _way(way) for way in value.get("ways") or ()
            }
            never = frozenset((str(a), str(b)) for a, b in value.get("never") or ())
            strange = {name for pair in [*ways, *never] for name in pair} - set(about)
            if strange:
                raise GalleryError(f"camera {min(strange)} has ways, but is not among the cameras")
            return cls(
                list(about),
                ways,
                never,
                {name: float(one.get("departures", 0)) for name, one in about.items()},
                {name: float(one["entries"]) for name, one in about.items() if "entries" in one},
                {name: float(one.get("clock_ahead", 0)) for name, one in about.items()},
                str(value.get("about", "")),
            )
        except GalleryError as error:
            raise GalleryError(f"{origin}: {error}") from None
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            missing = isinstance(error, KeyError)
            what = f"{error.args[0]} is missing" if missing else one_line(error)
            raise GalleryError(f"{origin} is no network of cameras: {what}") from error

    @classmethod
    def from_json(cls, text: str) -> "CameraNetwork":
        """Read what `to_json` wrote; GalleryError where it is something else."""
        try:
            return cls.from_dict(json.loads(text))
        except (ValueError, RecursionError) as error:
            raise GalleryError(f"the network of cameras is damaged: {one_line(error)}") from error

    def to_yaml(self) -> str:
        """As a file for people."""
        return str(yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True, width=100))

    @classmethod
    def read(cls, file: Path) -> "CameraNetwork":
        """Read a file that a person has written, or `to_yaml`.

        Raises:
            GalleryError: it cannot be read.
        """
        try:
            value = yaml.safe_load(file.read_text(encoding="utf-8"))
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise GalleryError(f"cannot read {file}: {one_line(error)}") from error
        return cls.from_dict(value, str(file))


_DAY = 86_400.0


def _way(value: Mapping[str, Any]) -> Way:
    seconds = value["seconds"]
    if isinstance(seconds, int | float):  # a person knows how long it takes, about
        middle = float(seconds)
        spread = max(0.25 * abs(middle), 1.0)
        seconds = [middle + step * spread for step in (-1.6, -0.7, 0, 0.7, 1.6)]
    times = tuple(float(second) for second in seconds)
    share = float(value["share"])
    if (
        len(times) != len(LEVELS)
        or list(times) != sorted(times)
        or not all(map(math.isfinite, times))
    ):
        raise ValueError(f"seconds are one number, or {len(LEVELS)} that ascend")
    if not 0 <= share <= 1:
        raise ValueError(f"a share is between 0 and 1, not {share}")
    return Way(share, times, float(value.get("passages", 0)))  # type: ignore[arg-type]
