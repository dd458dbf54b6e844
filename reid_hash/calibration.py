"""Open-set answers: is the person of a query in the gallery at all?

The terms are those of ISO/IEC 19795-1. A search of someone who is not enrolled, a stranger, that
answers with anyone is a false positive identification; FPIR is the share of strangers' searches of
which that is so. TPIR is the share of the searches of enrolled people that answer with the person.
Both depend on a threshold: a match counts where its distance is at most that.

A bigger gallery holds more people whom a stranger may resemble. Where a threshold that was
calibrated with N0 images is used with N, FPIR is carried over as 1 - (1 - FPIR0)^(N / N0), as if
the images resembled the stranger independently of each other.

Each kind of query has distances of its own (`KINDS`). Who is the same person and who is not is
known from labels (`ByIdentity`) or, without any, from tracks (`ByTrack`): two people whom one
camera sees at the same time are two, and the crops of a track are of one.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reid_hash.codes import Codes
from reid_hash.distances import asymmetric, by_certainty, hamming_blocks, weighted_blocks
from reid_hash.errors import GalleryError, one_line
from reid_hash.utils.files import json_text

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

Kind = Literal["hamming", "weighted", "asymmetric", "track"]
"""What is compared with stored codes: a code, by plain or weighted distance; real values; or the
mean of a track's real values. Real values are compared on the scale of `by_certainty`."""

KINDS: tuple[Kind, ...] = ("hamming", "weighted", "asymmetric", "track")

_DRAWN = 1_000  # strangers that one query is compared with at a time
_BLOCK = 64 * 2**20  # bytes of distances at a time


@dataclass(frozen=True, eq=False)
class Thresholds:
    """What distances mean, for codes of one length and one kind of distance.

    Attributes:
        impostor: [m] float64, ascending: the distance of the nearest gallery image in searches of
            strangers.
        genuine: [g] float64, ascending: the distance of the nearest gallery image of the same
            person from another camera.
        size: images of the gallery that was searched.
    """

    impostor: Floats
    genuine: Floats
    size: int

    def threshold(self, far: float, size: int | None = None) -> float:
        """The largest distance at which at most the share `far` of strangers is answered.

        All strangers at one distance are answered or none, for they cannot be told apart: FPIR may
        stay below `far` by as much as the ties at the threshold make up.

        Args:
            far: FPIR to keep to, 0 … 1.
            size: images that are searched; as many as in the calibration when left out.

        Returns:
            A distance; a match counts where its own is not larger. Negative where even distance 0
            answers too many strangers, infinity where `far` allows all.
        """
        if not 0 <= far <= 1:
            raise GalleryError(f"a false accept rate is a share between 0 and 1, not {far}")
        share = 1.0 - (1.0 - far) ** (self.size / (size or self.size))
        # 1e-9: a share such as 0.29 × 100 may come out as 28.999…
        allowed = int(np.floor(share * len(self.impostor) + 1e-9))
        if allowed >= len(self.impostor):
            return float("inf")
        return float(np.nextafter(self.impostor[allowed], -np.inf))

    def far(self, distance: float, size: int | None = None) -> float:
        """FPIR of a threshold at this distance: how rarely a stranger has a match so near."""
        within = np.searchsorted(self.impostor, distance, "right") / len(self.impostor)
        return float(1.0 - (1.0 - within) ** ((size or self.size) / self.size))

    def tpir(self, threshold: float) -> float:
        """Share of genuine searches with the person within a threshold, at whatever rank.

        NaN where the calibration saw nobody from two cameras.
        """
        if not len(self.genuine):
            return float("nan")
        return float(np.searchsorted(self.genuine, threshold, "right") / len(self.genuine))

    def resolved(self, far: float, size: int | None = None) -> bool:
        """Whether there were strangers enough to tell so small a share from none."""
        share = 1.0 - (1.0 - far) ** (self.size / (size or self.size))
        return bool(share * len(self.impostor) >= 1.0 - 1e-9)


@dataclass(frozen=True, eq=False)
class Calibration:
    """Thresholds for several code lengths and kinds of query.

    Attributes:
        tables: (bits, kind of query) → what distances mean.
        about: where they come from, in words.
    """

    tables: Mapping[tuple[int, Kind], Thresholds]
    about: str = ""

    def of(self, bits: int, kind: Kind) -> Thresholds:
        """The table for a length and a kind of query; GalleryError where there is none."""
        if (bits, kind) in self.tables:
            return self.tables[bits, kind]
        if kind not in self.kinds:
            raise GalleryError(
                f"the calibration is not for {NAMES[kind]}, but for "
                f"{', '.join(NAMES[one] for one in self.kinds)}: it takes images or vectors to "
                "learn from, `gallery calibrate --images` or `--embeddings`"
            )
        lengths = ", ".join(str(length) for length in self.lengths)
        raise GalleryError(f"the calibration is for {lengths} bits, not for {bits}")

    @property
    def lengths(self) -> list[int]:
        """Code lengths, ascending."""
        return sorted({bits for bits, _ in self.tables})

    @property
    def kinds(self) -> list[Kind]:
        """Kinds of query, in the order of `KINDS`."""
        there = {kind for _, kind in self.tables}
        return [kind for kind in KINDS if kind in there]

    def to_json(self) -> str:
        """As text; `from_json` gives the same back."""
        tables = [
            {
                "bits": bits,
                "kind": kind,
                "size": table.size,
                "impostor": table.impostor.tolist(),
                "genuine": table.genuine.tolist(),
            }
            for (bits, kind), table in self.tables.items()
        ]
        return json_text({"about": self.about, "tables": tables})

    @classmethod
    def from_json(cls, text: str) -> "Calibration":
        """Read what `to_json` wrote; GalleryError where it is something else."""
        try:
            value: dict[str, Any] = json.loads(text)
            tables = {
                (int(table["bits"]), _kind(table)): calibrate(
                    table["genuine"], table["impostor"], int(table["size"])
                )
                for table in value["tables"]
            }
            return cls(tables, str(value["about"]))
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
            raise GalleryError(f"the calibration is damaged: {one_line(error)}") from error
        except RecursionError as error:
            raise GalleryError("the calibration is damaged: it is nested too deep") from error


NAMES: Mapping[Kind, str] = {
    "hamming": "Hamming distances",
    "weighted": "weighted Hamming distances",
    "asymmetric": "asymmetric queries",
    "track": "means of tracks",
}
"""What each kind is called."""


def _kind(table: Mapping[str, Any]) -> Kind:
    """The kind of a table; older ones say only whether they are weighted."""
    if "kind" not in table:
        return "weighted" if table["weighted"] else "hamming"
    kind: Kind = table["kind"]
    if kind not in KINDS:
        raise ValueError(f"there is no kind of query {str(kind)[:20]!r}")
    return kind


def calibrate(genuine: ArrayLike, impostor: ArrayLike, size: int) -> Thresholds:
    """Learn what distances mean from searches of people that the network was not trained on.

    Args:
        genuine: [g] real, distance of each search's nearest image of the same person from another
            camera.
        impostor: [m ≥ 1] real, distance of each stranger's nearest image.
        size: images of the gallery that was searched, ≥ 1.

    Raises:
        GalleryError: there is no stranger, or a distance is NaN.

    Example:
        >>> table = calibrate(genuine=[1.0, 2.0, 6.0], impostor=[4.0, 7.0, 8.0, 9.0], size=100)
        >>> table.threshold(0.25) < 7.0, table.far(6.0), round(table.tpir(6.0), 2)
        (True, 0.25, 1.0)
    """
    near, strange = (np.sort(np.asarray(d, np.float64).reshape(-1)) for d in (genuine, impostor))
    if not len(strange) or size < 1:
        raise GalleryError("a calibration needs searches of strangers in a gallery")
    if np.isnan(near).any() or np.isnan(strange).any():
        raise GalleryError("a distance is not a number (NaN)")
    return Thresholds(strange, near, int(size))


@dataclass(frozen=True, eq=False)
class Seen:
    """What is known of n images.

    Attributes:
        identities: [n] int, below 0 where unknown; None for none.
        cameras: [n] int; None where unknown. Tracks and times are within a camera.
        tracks: [n] int, below 0 where unknown; None for none.
        times: [n] real, seconds or frames; None where unknown.

    Raises:
        GalleryError: they are of different lengths.
    """

    identities: NDArray[np.int64] | None = None
    cameras: NDArray[np.int64] | None = None
    tracks: NDArray[np.int64] | None = None
    times: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        lengths = {
            len(column)
            for column in (self.identities, self.cameras, self.tracks, self.times)
            if column is not None
        }
        if len(lengths) > 1:
            raise GalleryError(f"columns of {' and '.join(map(str, sorted(lengths)))} images")


class Evidence(Protocol):
    """Which images are of one person, and which certainly are not.

    Attributes:
        size: images among which a stranger is searched for.
        queries: [q] arrays of rows: each is one query alone, the first row of each what it is
            called by.
        groups: the same for means: each array the rows of one track.
        about: how it is known, in words.
    """

    @property
    def size(self) -> int: ...  # noqa: D102 - see above

    @property
    def queries(self) -> Sequence[Rows]: ...  # noqa: D102

    @property
    def groups(self) -> Sequence[Rows]: ...  # noqa: D102

    @property
    def about(self) -> str: ...  # noqa: D102

    def pairs(self, rows: Rows) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Of some rows and all images: [r, n] which to find, and [r, n] which are strangers."""
        ...


class ByIdentity:
    """Evidence of labels: searched with the person enrolled, the same camera left out, and without.

    Without cameras, it is the image itself that is left out.

    Args:
        seen: with identities.
        most: how many queries to draw.
        seed: of the draw.

    Raises:
        GalleryError: there are not two identities.
    """

    def __init__(self, seen: Seen, most: int = 2000, seed: int = 0) -> None:
        assert seen.identities is not None
        self.seen, self._who = seen, seen.identities
        known = np.flatnonzero(self._who >= 0)
        people = len(np.unique(self._who[known]))
        if people < 2:
            raise GalleryError("a calibration needs sightings of at least two identities")
        self.size = len(known)
        drawn = np.random.default_rng(seed).permutation(known)[:most]
        self.queries = [drawn[i : i + 1] for i in range(len(drawn))]
        keys = [self._who[known]]
        keys += [part[known] for part in (seen.cameras, seen.tracks) if part is not None]
        self.groups = _some(_grouped(np.stack(keys, 1), known), most, seed)
        if seen.cameras is None and seen.tracks is None:
            self.groups = []  # the mean of all of somebody leaves nobody to be found
        self.about = f"{len(known):,} images of {people:,} identities"

    def pairs(self, rows: Rows) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """See `Evidence`."""
        who, seen = self._who, self.seen
        same = who[rows, None] == who
        strangers = ~same & (who >= 0)
        if seen.cameras is not None:
            same &= seen.cameras[rows, None] != seen.cameras
        else:
            same[np.arange(len(rows)), rows] = False
            if seen.tracks is not None:
                same &= (seen.tracks[rows, None] != seen.tracks) | (seen.tracks < 0)
        return same, strangers


class ByTrack:
    """Evidence without labels: people seen at once by a camera are two, a track's crops are one.

    A stranger is searched for among one image of each track beside his own, the same number for
    every query; a person is to be found in the crop of the own track that is farthest in time.
    That crop is of the same camera: between cameras, people resemble themselves less.

    Args:
        seen: with tracks and times.
        most: how many queries to draw.
        seed: of all draws.

    Raises:
        GalleryError: nobody was seen beside somebody else.
    """

    def __init__(self, seen: Seen, most: int = 2000, seed: int = 0) -> None:
        assert seen.tracks is not None
        assert seen.times is not None
        random = np.random.default_rng(seed)
        count = len(seen.tracks)
        self._camera = np.zeros(count, np.int64) if seen.cameras is None else seen.cameras
        self._track = np.full(count, -1)
        self._first, self._last = np.full((2, count), np.nan)
        self._shown = np.zeros(count, np.bool_)
        self._farthest = np.full(count, -1)
        known = np.flatnonzero((seen.tracks >= 0) & np.isfinite(seen.times))
        keys = np.stack([self._camera[known], seen.tracks[known]], 1)
        tracks = _grouped(keys, known)
        halves = []
        for number, given in enumerate(tracks):
            rows = given[np.argsort(seen.times[given], kind="stable")]
            times = seen.times[rows]
            self._track[rows], self._first[rows], self._last[rows] = number, times[0], times[-1]
            self._shown[random.choice(rows)] = True
            if len(rows) > 1:
                later = times - times[0] <= times[-1] - times
                self._farthest[rows] = np.where(later, rows[-1], rows[0])
                halves.append(rows[: len(rows) // 2])
        beside = np.zeros(count, np.int64)
        for block in np.split(known, range(_DRAWN, len(known), _DRAWN)):
            beside[block] = self._beside(block).sum(1)
        if not beside.any():
            raise GalleryError(
                "nobody was seen at the same time as somebody else in one camera: a calibration "
                "without identities needs tracks with times that overlap"
            )
        # as many strangers a query as make most comparisons in all
        numbers = np.sort(beside[beside > 0])
        self.size = int(numbers[np.argmax(numbers * np.arange(len(numbers), 0, -1))])
        fit = np.flatnonzero(beside >= self.size)
        drawn = random.permutation(fit)[:most]
        self.queries = [drawn[i : i + 1] for i in range(len(drawn))]
        self.groups = _some([rows for rows in halves if beside[rows[0]] >= self.size], most, seed)
        self._keys = random.permutation(count)  # of those beside, the first ones by these
        self.about = (
            f"{len(known):,} images of {len(tracks):,} tracks without labels, {self.size} beside "
            "each"
        )

    def _beside(self, rows: Rows) -> NDArray[np.bool_]:
        """[r, n] one image of each track that was there while the row's was."""
        track, first, last = self._track, self._first, self._last
        found: NDArray[np.bool_] = self._shown & (self._camera[rows, None] == self._camera)
        found &= track[rows, None] != track
        found &= (first[rows, None] <= last) & (last[rows, None] >= first)
        return found

    def pairs(self, rows: Rows) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """See `Evidence`."""
        same = np.zeros((len(rows), len(self._track)), np.bool_)
        has = np.flatnonzero(self._farthest[rows] >= 0)
        same[has, self._farthest[rows[has]]] = True
        strangers = self._beside(rows)
        for i in range(len(rows)):
            there = np.flatnonzero(strangers[i])
            more = there[np.argsort(self._keys[there])[self.size :]]
            strangers[i, more] = False
        return same, strangers


def evidence(seen: Seen, most: int = 2000, seed: int = 0) -> Evidence:
    """That of identities where there are two, else that of tracks.

    Raises:
        GalleryError: there is neither.
    """
    if seen.identities is not None and len(np.unique(seen.identities[seen.identities >= 0])) > 1:
        return ByIdentity(seen, most, seed)
    if seen.tracks is not None and seen.times is not None and (seen.tracks >= 0).any():
        return ByTrack(seen, most, seed)
    raise GalleryError(
        "a calibration needs at least two identities, or without labels tracks with times: people "
        "seen at once are two, and the crops of a track are of one"
    )


def best_matches(
    codes: Codes,
    known: Evidence,
    kind: Kind = "weighted",
    values: NDArray[np.floating] | None = None,
) -> tuple[Floats, Floats]:
    """Search images among each other, once with the person enrolled and once not.

    Args:
        codes: n codes.
        known: which of them are of one person.
        kind: of the queries.
        values: [n, bits] real values of the images (`distances.query_values`), which "asymmetric"
            and "track" take.

    Returns:
        (genuine, impostor), each float64: the distance to the nearest image that is to be found,
        for the queries that have one; and to the nearest stranger, likewise.

    Example:
        >>> codes = Codes.from_outputs([[1, 1, 1], [1, 1, -1], [-1, -1, -1]])
        >>> seen = Seen(identities=np.array([7, 7, 8]), cameras=np.array([1, 2, 1]))
        >>> genuine, impostor = best_matches(codes, ByIdentity(seen))
        >>> sorted(genuine.tolist()), sorted(impostor.tolist())
        ([1.0, 1.0], [2.0, 2.0, 3.0])
    """
    queries = known.groups if kind == "track" else known.queries
    rows = np.array([group[0] for group in queries], np.int64)
    genuine, impostor = [np.zeros(0)], [np.zeros(0)]
    for block, distances in _distances(kind, queries, codes, values):
        for mask, nearest in zip(known.pairs(rows[block]), (genuine, impostor), strict=True):
            found = np.where(mask, distances, np.inf).min(axis=1)
            nearest.append(found[np.isfinite(found)])
    return np.concatenate(genuine), np.concatenate(impostor)


def _distances(
    kind: Kind, queries: Sequence[Rows], codes: Codes, values: NDArray[np.floating] | None
) -> Iterator[tuple[slice, Floats]]:
    """Distances of queries to all codes, float64, some queries at a time."""
    if kind in ("hamming", "weighted"):
        asked = codes[np.array([group[0] for group in queries], np.int64)]
        blocks = weighted_blocks if kind == "weighted" else hamming_blocks
        for block, found in blocks(asked, codes):
            yield block, found.astype(np.float64)
        return
    assert values is not None
    step = max(1, min(_DRAWN, _BLOCK // (16 * max(1, len(codes)))))
    for start in range(0, len(queries), step):
        means = np.stack([values[group].mean(0) for group in queries[start : start + step]])
        apart = asymmetric(means, codes)
        scaled = [by_certainty(*pair, codes) for pair in zip(apart, means, strict=True)]
        yield slice(start, start + len(means)), np.stack(scaled)


def calibrate_queries(
    codes: Codes,
    seen: Seen | Evidence,
    lengths: Sequence[int],
    values: NDArray[np.floating] | None = None,
    queries: int = 2000,
    seed: int = 0,
    about: str = "",
) -> Calibration:
    """Calibrate code lengths and kinds of query on images of people the network has not seen.

    Args:
        codes: n codes of any model.
        seen: what is known of the images; see `evidence`.
        lengths: code lengths, each a prefix.
        values: [n, bits] real values of the images (`distances.query_values`): asymmetric queries
            and means of tracks are then calibrated, too.
        queries: how many of the images, and of the tracks, are searched for; drawn where there are
            more.
        seed: of the draw.
        about: where the codes come from, in words; from the evidence when left out.

    Raises:
        GalleryError: it is not known of two images that they are of two people.
    """
    known = evidence(seen, queries, seed) if isinstance(seen, Seen) else seen
    tables: dict[tuple[int, Kind], Thresholds] = {}
    for bits in lengths:
        for kind in KINDS:
            if values is None and kind in ("asymmetric", "track"):
                continue
            if kind == "track" and not known.groups:
                continue
            cut = None if values is None else values[:, :bits]
            genuine, impostor = best_matches(codes.prefix(bits), known, kind, cut)
            tables[bits, kind] = calibrate(genuine, impostor, known.size)
    return Calibration(tables, about or known.about)


def calibrate_codes(
    codes: Codes,
    labels: ArrayLike,
    cameras: ArrayLike,
    lengths: Sequence[int],
    queries: int = 2000,
    seed: int = 0,
    about: str = "",
) -> Calibration:
    """Calibrate queries that are codes, from labels; see `calibrate_queries`.

    Args:
        codes: n codes.
        labels: [n] int, identity of each.
        cameras: [n] int.
        lengths: code lengths.
        queries: how many are searched for.
        seed: of the draw.
        about: where the codes come from, in words.
    """
    seen = Seen(np.asarray(labels, np.int64), np.asarray(cameras, np.int64))
    known = ByIdentity(seen, queries, seed)
    return calibrate_queries(codes, known, lengths, about=about)


def _grouped(keys: NDArray[np.int64], rows: Rows) -> list[Rows]:
    """The rows of each different key, [n, k] keys of the [n] rows."""
    if not len(rows):
        return []
    number = np.unique(keys, axis=0, return_inverse=True)[1].reshape(-1)
    order = np.argsort(number, kind="stable")
    return np.split(rows[order], np.flatnonzero(np.diff(number[order])) + 1)


def _some(groups: list[Rows], most: int, seed: int) -> list[Rows]:
    drawn = np.random.default_rng(seed).permutation(len(groups))[:most]
    return [groups[i] for i in drawn]
