"""CLEAR, identity and HOTA figures of tracks, over one camera and over several.

CLEAR (Bernardin and Stiefelhagen 2008), IDF1 (Ristani et al. 2016) and HOTA (Luiten et al. 2021)
are those of the trackers library. Over several cameras the frames of all are taken together, one
camera after the other: an identity is then the same before all of them or wrong.
"""

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from reid_hash.video.mot import MotFile
from reid_hash.video.types import iou

Ints = NDArray[np.int64]

OVERLAP = 0.5
"""IoU from which a box is that of a true person."""


@dataclass(frozen=True)
class Tracking:
    """Figures of tracks; shares in 0 … 1.

    Attributes:
        hota: higher order tracking accuracy.
        deta: of the detections.
        assa: of the associations.
        mota: multiple object tracking accuracy; may be negative.
        idf1: of identities; `idp` and `idr` are precision and recall.
        idp: see there.
        idr: see there.
        switches: how often a person's identity changed.
        misses: true boxes without one of ours.
        false: boxes of ours without a true one.
        boxes: true ones.
        people: true ones.
        identities: of the result.
    """

    hota: float
    deta: float
    assa: float
    mota: float
    idf1: float
    idp: float
    idr: float
    switches: int
    misses: int
    false: int
    boxes: int
    people: int
    identities: int


@dataclass(frozen=True, eq=False)
class Frames:
    """Frames with the true people and ours.

    Attributes:
        true: for each frame, [t] int64 identities.
        ours: for each frame, [o] int64 identities, each once.
        similarities: for each frame, [t, o] float64 IoU.
    """

    true: list[Ints]
    ours: list[Ints]
    similarities: list[NDArray[np.float64]]


def measure(frames: Frames) -> Tracking:
    """The figures of some frames."""
    from trackers.eval import compute_clear_metrics, compute_hota_metrics, compute_identity_metrics

    numbers: dict[int, int] = {}
    given = [_dense(true, numbers) for true in frames.true]
    people = len(numbers)
    numbers = {}
    ours = [_dense(found, numbers) for found in frames.ours]
    parts = (given, ours, frames.similarities)
    clear: dict[str, Any] = compute_clear_metrics(*parts, OVERLAP)
    identity: dict[str, Any] = compute_identity_metrics(*parts, OVERLAP)
    hota: dict[str, Any] = compute_hota_metrics(*parts)
    return Tracking(
        hota=float(hota["HOTA"]),
        deta=float(hota["DetA"]),
        assa=float(hota["AssA"]),
        mota=float(clear["MOTA"]),
        idf1=float(identity["IDF1"]),
        idp=float(identity["IDP"]),
        idr=float(identity["IDR"]),
        switches=int(clear["IDSW"]),
        misses=int(clear["CLR_FN"]),
        false=int(clear["CLR_FP"]),
        boxes=sum(map(len, given)),
        people=people,
        identities=len(numbers),
    )


def compare(
    truth: MotFile, result: MotFile, visible: float = 0.0, least_height: float = 0
) -> Frames:
    """Put a ground truth and a result side by side, one camera's.

    What a truth says is to be ignored counts neither for nor against: other classes, and people who
    are hidden or small. A box that is nearest to one of those is left out.

    Args:
        truth: of `read_mot(…, truth=True)`.
        result: ours.
        visible: people of whom less is visible are ignored.
        least_height: as are smaller ones, in pixels.
    """
    true, ours, similarities = [], [], []
    counted = (truth.scores > 0) & (truth.seen >= visible)
    counted &= truth.boxes[:, 3] - truth.boxes[:, 1] >= least_height
    for frame in np.union1d(truth.frames, result.frames).tolist():
        rows, found = truth.of(frame), result.of(frame)
        alike = iou(truth.boxes[rows], result.boxes[found]).astype(np.float64)
        matched = np.where(alike >= OVERLAP, alike, 0)
        a, b = linear_sum_assignment(-matched)
        ignored = [j for i, j in zip(a, b, strict=True) if matched[i, j] and not counted[rows[i]]]
        kept = np.setdiff1d(np.arange(len(found)), ignored)
        there = counted[rows]
        true.append(truth.identities[rows[there]])
        ours.append(_apart(result.identities[found[kept]]))
        similarities.append(alike[there][:, kept])
    return Frames(true, ours, similarities)


def joined(cameras: Sequence[Frames]) -> Frames:
    """The frames of several cameras, one after the other, with the identities that they share."""
    return Frames(
        [one for camera in cameras for one in camera.true],
        [one for camera in cameras for one in camera.ours],
        [one for camera in cameras for one in camera.similarities],
    )


def distinct(whose: Sequence[Hashable], numbers: dict[Hashable, int]) -> Ints:
    """Numbers of the boxes of a frame, no two alike, so that a metric counts each of them.

    Of several boxes of one identity the first one has its number, the others have numbers of their
    own: the second, the third.

    Args:
        whose: [n] whose each box is.
        numbers: given so far; added to.
    """
    seen = Counter[Hashable]()
    found = np.empty(len(whose), np.int64)
    for i, one in enumerate(whose):
        found[i] = numbers.setdefault((one, seen[one]), len(numbers))
        seen[one] += 1
    return found


def _apart(identities: Ints) -> Ints:
    """Identities of a frame, a second box of one under a negative number of its own."""
    found, seen = identities.copy(), Counter[int]()
    for i, one in enumerate(identities.tolist()):
        if seen[one]:
            found[i] = -(1000 * abs(one) + seen[one])
        seen[one] += 1
    return found


def _dense(identities: Ints, numbers: dict[int, int]) -> Ints:
    found = [numbers.setdefault(int(one), len(numbers)) for one in identities]
    return np.array(found, np.int64)
