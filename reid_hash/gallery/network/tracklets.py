"""The tracklets of a gallery: what each camera saw of somebody at one time, as one vector."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Unpack

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reid_hash.codes import Codes
from reid_hash.gallery.base import AnyGallery
from reid_hash.gallery.sighting import Filter

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_GAP = 600.0  # seconds without a sighting after which a number is another track's


@dataclass(frozen=True, eq=False)
class Tracklets:
    """Tracklets by the time of their first sighting.

    Attributes:
        names: of the cameras.
        cameras: [n] int64, index of each one's camera.
        first: [n] float64, time of the first sighting, seconds.
        last: [n] float64, time of the last one.
        vectors: [n, bits] float32 of length 1, the bits' weights in them: the distance of two is
            (1 - their product) / 2, which for single codes is the weighted Hamming distance as a
            share of the sum of the weights.
        identities: [n] int64, who it is as the gallery has it; -1 where it does not say.
        ids: the sightings of each.
    """

    names: Sequence[str]
    cameras: Ints
    first: Floats
    last: Floats
    vectors: NDArray[np.float32] = field(repr=False)
    identities: Ints = field(repr=False)
    ids: Sequence[Sequence[int]] = field(repr=False)

    def __len__(self) -> int:
        return len(self.cameras)

    def __getitem__(self, rows: ArrayLike) -> "Tracklets":
        """Some of them: indices, which must ascend."""
        at = np.asarray(rows, np.int64)
        return Tracklets(
            self.names,
            self.cameras[at],
            self.first[at],
            self.last[at],
            self.vectors[at],
            self.identities[at],
            [self.ids[i] for i in at.tolist()],
        )

    def distances(self) -> Floats:
        """Of all pairs, [n, n] float64 in 0 … 1."""
        return apart(self.vectors, self.vectors)

    def together(self) -> NDArray[np.bool_]:
        """Pairs that one camera sees at once, and which are therefore two people: [n, n] bool."""
        same = self.cameras[:, None] == self.cameras
        found: NDArray[np.bool_] = same & overlapping(self.first, self.last)
        np.fill_diagonal(found, False)
        return found


def apart(vectors: NDArray[np.float32], others: NDArray[np.float32]) -> Floats:
    """Distances of unit vectors [n, bits] to others [m, bits]: [n, m] float64 in 0 … 1."""
    found: Floats = (1 - vectors @ others.T).astype(np.float64) / 2
    return np.clip(found, 0, 1)


def overlapping(first: Floats, last: Floats) -> NDArray[np.bool_]:
    """Which spans of time have more than a moment in common: [n, n] bool."""
    common = np.minimum(last[:, None], last) - np.maximum(first[:, None], first)
    found: NDArray[np.bool_] = common > 0.2
    return found


def unit(vectors: NDArray[np.floating]) -> NDArray[np.float32]:
    """Vectors [n, bits] at length 1; those of length 0 stay."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(length, 1e-9), np.float32)


def vectors_of(codes: Codes, groups: Sequence[Sequence[int]]) -> NDArray[np.float32]:
    """The mean of each group's codes as a unit vector.

    Args:
        codes: all codes.
        groups: rows of the codes that are of one tracklet.

    Returns:
        [groups, bits] float32, see `Tracklets`.
    """
    signs = np.where(codes.unpack(), np.float32(1), np.float32(-1))
    signs *= np.sqrt(codes.weights.astype(np.float32))
    return unit(np.stack([signs[list(rows)].mean(axis=0) for rows in groups]))


def read_tracklets(
    gallery: AnyGallery, most: int = 0, bits: int | None = None, **where: Unpack[Filter]
) -> Tracklets:
    """Gather the sightings of a gallery into tracklets.

    Args:
        gallery: sightings without a number of their track are tracklets by themselves.
        most: how many at most, the newest; all when 0.
        bits: of the codes that are compared; all when left out.
        where: which sightings; see `Filter`.
    """
    sightings = gallery.sightings(**where)
    codes, ids = gallery.codes(**where)
    codes = codes.prefix(bits or gallery.bits)
    row_of = {int(number): row for row, number in enumerate(ids)}
    groups: dict[tuple[object, ...], list[int]] = {}
    kept = [one for one in sightings if one.id in row_of]  # some may be erased meanwhile
    for i, one in enumerate(kept):
        key = (one.id,) if one.track is None else (one.source, one.camera, one.track)
        groups.setdefault(key, []).append(i)
    spans = []
    for rows in groups.values():
        # the numbers of the tracks begin again in each run
        for part in _apart_in_time(rows, [kept[i].time or 0.0 for i in rows]):
            times = [kept[i].time or 0.0 for i in part]
            spans.append((min(times), max(times), part))
    spans.sort(key=lambda span: span[:2])
    spans = spans[-most:] if most else spans
    names = sorted({one.camera for one in kept})
    rows_of = [[row_of[kept[i].id or 0] for i in rows] for _, _, rows in spans]
    who = [next((kept[i].identity for i in rows if kept[i].identity is not None), None)
           for _, _, rows in spans]  # fmt: skip
    return Tracklets(
        names,
        np.array([names.index(kept[rows[0]].camera) for _, _, rows in spans], np.int64),
        np.array([first for first, _, _ in spans]),
        np.array([last for _, last, _ in spans]),
        vectors_of(codes, rows_of) if spans else np.zeros((0, codes.bits), np.float32),
        np.array([-1 if one is None else one for one in who], np.int64),
        [[kept[i].id or 0 for i in rows] for _, _, rows in spans],
    )


def _apart_in_time(rows: Sequence[int], times: Sequence[float]) -> list[list[int]]:
    """Rows of one number in parts between which there is a long gap."""
    parts: list[list[int]] = []
    before = -np.inf
    for time, row in sorted(zip(times, rows, strict=True)):
        if time - before > _GAP:
            parts.append([])
        parts[-1].append(row)
        before = time
    return parts
