"""Which identities of a gallery are one after all, and which are two: proposals with evidence."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from reid_hash.gallery.network.appearance import Appearance
from reid_hash.gallery.network.associate import Given, cluster
from reid_hash.gallery.network.cameras import CameraNetwork
from reid_hash.gallery.network.learn import impossible, link_scores
from reid_hash.gallery.network.tracklets import Floats, Ints, Tracklets, apart, unit

CERTAIN = 20.0
"""Nats for who was in two places at once."""

_PLACE = 6.0  # nats that place and time may count


@dataclass(frozen=True)
class Proposal:
    """Tracklets that are somebody else's than the gallery says.

    Attributes:
        kind: "merge" (all of `other` are `identity`), "move" (some are), "split" (some of `other`
            are somebody new), "assign" (they were nobody's), or "new" (likewise, and are somebody
            new).
        identity: whose they are; None for somebody new.
        other: whose they were; None where nobody's.
        sightings: ids of theirs.
        beside: id of a sighting of `identity`, and of one that stays with `other`; None where
            there is none.
        evidence: nats that speak for it, of which `appearance` and `place` are parts.
        appearance: see there.
        place: see there; of place and time.
    """

    kind: str
    identity: int | None
    other: int | None
    sightings: tuple[int, ...]
    beside: tuple[int | None, int | None]
    evidence: float
    appearance: float
    place: float

    def to_dict(self) -> dict[str, Any]:
        """For JSON; `from_dict` gives the same back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> "Proposal":
        """Read what `to_dict` wrote."""
        inside, left = value["beside"]
        return cls(
            str(value["kind"]),
            value["identity"],
            value["other"],
            tuple(int(one) for one in value["sightings"]),
            (inside, left),
            *(float(value[name]) for name in ("evidence", "appearance", "place")),
        )


def propose(
    tracklets: Tracklets,
    network: CameraNetwork,
    appearance: Appearance,
    given: Given,
    named: set[int],
    far: float = 0.02,
) -> list[Proposal]:
    """Compare who is who with what all tracklets of a time together say.

    Args:
        tracklets: by time.
        network: the ways between their cameras.
        appearance: what distances mean.
        given: what people have said.
        named: identities that people have named: they keep what is theirs.
        far: share of strangers that may be joined to somebody.
    """
    if len(tracklets) < 2:
        return []
    group = cluster(tracklets, network, appearance, far, given)
    owner = _owners(tracklets.identities, group, named)
    weigh = _Weighing(tracklets, network, appearance)
    found = []
    for number in np.unique(group).tolist():
        rows = np.flatnonzero(group == number)
        whose = owner.get(number)
        own = rows[tracklets.identities[rows] == whose] if whose is not None else rows[:0]
        for other in np.unique(tracklets.identities[rows]).tolist():
            if other == whose:
                continue
            moved = rows[tracklets.identities[rows] == other]
            left = np.flatnonzero(tracklets.identities == other) if other >= 0 else rows[:0]
            left = left[group[left] != number]
            found.append(_proposal(weigh, whose, other, moved, own, left))
    return sorted(found, key=lambda one: -one.evidence)


def _owners(identities: Ints, group: Ints, named: set[int]) -> dict[int, int]:
    """The identity of each group that has one: whoever has most of its tracklets."""
    counts = Counter(zip(group.tolist(), identities.tolist(), strict=True))
    claims = sorted(
        (-(one in named), -count, number, one)
        for (number, one), count in counts.items()
        if one >= 0
    )
    owner: dict[int, int] = {}
    for _, _, number, one in claims:
        if number not in owner and one not in owner.values():
            owner[number] = one
    return owner


class _Weighing:
    """Evidence for tracklets' being of one person."""

    def __init__(
        self, tracklets: Tracklets, network: CameraNetwork, appearance: Appearance
    ) -> None:
        self.tracklets, self._appearance = tracklets, appearance
        nothing = np.full((len(tracklets),) * 2, appearance.crossing)
        place = link_scores(tracklets, nothing, network, appearance)
        self._place: Floats = np.maximum(place, place.T)
        two = impossible(tracklets, network)
        self._two = two | two.T

    def one(self, rows: Ints, others: Ints) -> tuple[float, float]:
        """(appearance, place) for two sets of tracklets' being one person's."""
        vectors = self.tracklets.vectors
        mean = [unit(vectors[at].mean(axis=0, keepdims=True)) for at in (rows, others)]
        looks = float(self._appearance.evidence(apart(*mean))[0, 0])
        if self._two[np.ix_(rows, others)].any():
            return looks, -CERTAIN
        place = self._place[np.ix_(rows, others)]
        place = place[np.isfinite(place)]
        if not len(place):
            return looks, 0.0
        # the best of many pairs of two people may fit by chance
        return looks, float(np.clip(place.max() - np.log(len(place)), -_PLACE, _PLACE))


def _proposal(
    weigh: _Weighing, whose: int | None, other: int, moved: Ints, own: Ints, left: Ints
) -> Proposal:
    looks = place = 0.0
    if len(own):
        looks, place = weigh.one(moved, own)
    if len(left):
        against = weigh.one(moved, left)
        looks, place = looks - against[0], place - against[1]
    if other < 0:
        kind = "new" if whose is None else "assign"
    elif whose is None:
        kind = "split"
    else:
        kind = "move" if len(left) else "merge"
    ids = weigh.tracklets.ids
    return Proposal(
        kind,
        whose,
        None if other < 0 else other,
        tuple(one for row in moved.tolist() for one in ids[row]),
        (_some(ids, own), _some(ids, left)),
        looks + place,
        looks,
        place,
    )


def _some(ids: Sequence[Sequence[int]], rows: Ints) -> int | None:
    return ids[int(rows[-1])][0] if len(rows) else None
