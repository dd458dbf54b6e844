"""Who somebody is, by all evidence: how they look, where they are, and when."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reid_hash.gallery.network.appearance import Appearance

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Verdict:
    """What the evidence says of the likeliest candidate.

    Attributes:
        row: index of the candidate.
        appearance: nats that its look speaks for it; negative against.
        place: nats that place and time speak for it, compared with the average candidate.
        chance: share of the strangers of whom somebody here would seem to be one of the
            candidates at least as surely, 0 to 1: accept where it is at most the false accept
            rate that is asked for, whatever the model, length, cameras, and number of candidates.
    """

    row: int
    appearance: float
    place: float
    chance: float

    @property
    def evidence(self) -> float:
        """All nats together."""
        return self.appearance + self.place


def judge(
    appearance: Appearance, distances: ArrayLike, places: ArrayLike | None = None
) -> Verdict | None:
    """Weigh candidates against each other, and against its being somebody unknown.

    Args:
        appearance: what distances mean.
        distances: [n] to each candidate, as shares of the sum of the bit weights; infinite for
            one who cannot be meant.
        places: [n] log of how likely each candidate is here now, as `CameraNetwork.log_density`;
            left out where nothing is known of the cameras.

    Returns:
        None where there is no candidate.
    """
    apart = np.asarray(distances, np.float64)
    possible = np.isfinite(apart)
    if not possible.any():
        return None
    where = np.zeros(len(apart)) if places is None else np.asarray(places, np.float64)
    # against the average candidate: what all have in common says nothing
    most = float(where[possible].max())
    where = where - most - np.log(np.exp(where[possible] - most).mean())
    looks = appearance.evidence(np.where(possible, apart, 1.0))
    total = np.where(possible, looks + where, -np.inf)
    best = int(total.argmax())
    # a stranger would have to come so near each of them to seem as sure
    needed = appearance.distance(total[best] - where[possible])
    chances = np.minimum(appearance.chance(needed), 1 - 1e-12)
    chance = -np.expm1(np.log1p(-chances).sum())
    return Verdict(best, float(looks[best]), float(where[best]), float(chance))
