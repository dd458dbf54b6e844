"""What a distance says about whether two tracklets are of one person.

The evidence is a log-likelihood ratio in nats, a straight line of the distance: logistic regression
between pairs of one person and pairs of two (Brümmer and du Preez 2006 calibrate the scores of
speakers so). How rarely two people are so near is counted, and beyond what was seen the tail is
taken to be exponential.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reid_hash.errors import GalleryError

Floats = NDArray[np.float64]

_TAIL = 0.002  # share of the pairs of two people from which the tail is fitted
_LEAST = 20  # pairs in it at least
_KNOTS = 60  # quantiles that are kept of the others
_STEEPEST = 200.0  # nats per unit of distance


@dataclass(frozen=True)
class Appearance:
    """What distances mean.

    Attributes:
        slope: nats per unit of distance, the sum of the bit weights: positive.
        crossing: distance at which both are equally likely.
        knots: ascending distances of two people; `levels` are the shares of pairs up to each.
        levels: likewise.
        tail: distance in which the share falls by 1/e below the first knot.
        pairs: pairs of two people that this was learned from.
    """

    slope: float
    crossing: float
    knots: tuple[float, ...]
    levels: tuple[float, ...]
    tail: float
    pairs: int = 0

    def evidence(self, distances: ArrayLike) -> Floats:
        """Log-likelihood ratio of distances, [...] float64: positive speaks for one person."""
        found: Floats = self.slope * (self.crossing - np.asarray(distances, np.float64))
        return found

    def distance(self, evidence: ArrayLike) -> Floats:
        """The distance that says so much."""
        found: Floats = self.crossing - np.asarray(evidence, np.float64) / self.slope
        return found

    def chance(self, distances: ArrayLike) -> Floats:
        """Share of the pairs of two people that are no farther apart than this."""
        given = np.asarray(distances, np.float64)
        within = np.interp(given, self.knots, self.levels)
        below = self.levels[0] * np.exp(np.minimum(given - self.knots[0], 0) / self.tail)
        found: Floats = np.where(given < self.knots[0], below, within)
        return found

    def nearest(self, share: float) -> float:
        """The distance up to which the share of the pairs of two people is `share`."""
        if share < self.levels[0]:
            return float(self.knots[0] + self.tail * np.log(max(share, 1e-12) / self.levels[0]))
        return float(np.interp(share, self.levels, self.knots))

    def to_dict(self) -> dict[str, Any]:
        """For JSON; `from_dict` gives the same back."""
        return {
            "slope": self.slope,
            "crossing": self.crossing,
            "knots": list(self.knots),
            "levels": list(self.levels),
            "tail": self.tail,
            "pairs": self.pairs,
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> "Appearance":
        """Read what `to_dict` wrote; GalleryError where it is something else."""
        try:
            return cls(
                float(value["slope"]),
                float(value["crossing"]),
                tuple(map(float, value["knots"])),
                tuple(map(float, value["levels"])),
                float(value["tail"]),
                int(value["pairs"]),
            )
        except (TypeError, ValueError, KeyError) as error:
            raise GalleryError("what distances mean is damaged in the gallery") from error


def fit_appearance(
    genuine: ArrayLike, impostor: ArrayLike, candidates: ArrayLike | None = None
) -> Appearance:
    """Learn what distances mean.

    Args:
        genuine: [g ≥ 1] distances of pairs of one person, as shares of the sum of the bit weights.
        impostor: [m ≥ 2] distances of pairs of two people.
        candidates: [c ≥ 2] distances of tracklets to other people as candidates are kept, the mean
            of all their tracklets so far; `impostor` when left out. How rarely a stranger comes so
            near is counted from these.

    Raises:
        GalleryError: there are none, or one is NaN.

    Example:
        >>> near, far = np.linspace(0.1, 0.3, 50), np.linspace(0.25, 0.7, 500)
        >>> learned = fit_appearance(near, far)
        >>> learned.evidence([0.15, 0.5]).round() > 0, round(float(learned.chance(0.475)), 2)
        (array([ True, False]), 0.5)
    """
    near = np.asarray(genuine, np.float64).reshape(-1)
    far = np.sort(np.asarray(impostor, np.float64).reshape(-1))
    if not len(near) or len(far) < 2 or np.isnan(near).any() or np.isnan(far).any():
        raise GalleryError("too few pairs of tracklets to learn what distances mean")
    slope, crossing = _logistic(near, far)
    if candidates is not None:
        far = np.sort(np.asarray(candidates, np.float64).reshape(-1))
        if len(far) < 2 or np.isnan(far).any():
            raise GalleryError("too few pairs of tracklets to learn what distances mean")
    first = min(max(round(_TAIL * len(far)), _LEAST), len(far) - 1)
    tail = float(np.mean(far[first] - far[:first])) if first else 0.0
    # closer together where few pairs are: it is there that decisions are made
    places = np.unique(np.geomspace(first + 1, len(far), _KNOTS).round().astype(int)) - 1
    knots = far[places] + 1e-9 * np.arange(len(places))  # np.interp wants them to ascend
    levels = (places + 1) / len(far)
    return Appearance(
        slope, crossing, tuple(knots.tolist()), tuple(levels.tolist()), max(tail, 1e-3), len(far)
    )


def _logistic(near: Floats, far: Floats) -> tuple[float, float]:
    """Slope and crossing of the log-likelihood ratio; both kinds of pairs weigh the same."""
    # imported here: it takes as long as the rest of the page, and only learning needs it
    from scipy.optimize import minimize
    from scipy.special import expit

    distances = np.concatenate([near, far])
    same = np.concatenate([np.ones(len(near)), -np.ones(len(far))])
    weights = np.concatenate(
        [np.full(len(near), 0.5 / len(near)), np.full(len(far), 0.5 / len(far))]
    )

    def loss(at: Floats) -> tuple[float, Floats]:
        slope = np.exp(at[0])
        signed = same * slope * (at[1] - distances)
        wrong = weights * expit(-signed) * same
        grad = np.array([-(wrong * slope * (at[1] - distances)).sum(), -(wrong * slope).sum()])
        ridge = 1e-4 * at[0] ** 2  # what is told apart perfectly would have an endless slope
        grad[0] += 2e-4 * at[0]
        return float((weights * np.logaddexp(0, -signed)).sum() + ridge), grad

    middle = (np.median(near) + np.median(far)) / 2
    found = minimize(loss, np.array([np.log(30.0), middle]), jac=True, method="L-BFGS-B")
    return float(min(np.exp(found.x[0]), _STEEPEST)), float(found.x[1])
