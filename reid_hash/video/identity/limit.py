"""Up to which distance of a track from a sighting both are taken to be of one person."""

import math
import statistics
from collections import deque
from typing import Protocol

from reid_hash.gallery.base import AnyGallery

ENOUGH = 25
"""Distances between strangers after which a limit is learned from them."""

BOUNDS = (0.14, 0.18)
"""Shares of the sum of the bit weights that a learned limit stays between; it starts at the lower
one. See docs/demo.md for how they were chosen."""

CODE_BOUNDS = (0.22, 0.26)
"""The same for distances between codes."""

_QUARTILES = 1.349  # standard deviations between the quartiles of a normal distribution
_KEPT = 2000  # distances between strangers: a camera that runs for weeks must not fill memory


class Limit(Protocol):
    """A limit on distances.

    Attributes:
        of_codes: whether between codes; else from real values to codes (`by_certainty`).
    """

    of_codes: bool

    @property
    def about(self) -> str:
        """Where it comes from, in words."""
        ...

    def distance(self, size: int) -> float:
        """The limit where `size` sightings are searched; larger ones are of strangers."""
        ...

    def stranger(self, distance: float) -> None:
        """Learn that two people who are certainly two are at this distance."""
        ...


class CalibratedLimit:
    """The limit of a gallery's calibration, which is of codes; see `reid_hash.calibration`.

    Args:
        gallery: one with a calibration for `bits`.
        bits: length of the codes that are compared.
        far: share of strangers that may be taken for somebody.
    """

    def __init__(self, gallery: AnyGallery, bits: int, far: float) -> None:
        calibration = gallery.calibration
        assert calibration is not None
        self.of_codes = True
        self._table, self._far = calibration.of(bits, True), far
        self.about = f"the gallery's calibration on {calibration.about}, at a FAR of {far:g}"

    def distance(self, size: int) -> float:
        """See `Limit`."""
        return self._table.threshold(self._far, max(size, 1))

    def stranger(self, distance: float) -> None:
        """See `Limit`: the calibration stays as it is."""


class LearnedLimit:
    """A limit for a gallery without calibration, learned from the video itself.

    Two people whom one camera sees at the same time are two. The distances between them are those
    of strangers; with a normal distribution through their quartiles, the limit is where a
    stranger would find one of `size` sightings nearer than that with probability `far`. Until
    there are `ENOUGH` of them, it is the lower of the bounds, and it never leaves them.

    Args:
        total: sum of the weights of the bits that are compared.
        far: share of strangers that may be taken for somebody, 0 … 1.
        of_codes: see `Limit`; then the bounds are `CODE_BOUNDS`, else `BOUNDS`.
    """

    def __init__(self, total: float, far: float, of_codes: bool = False) -> None:
        self.of_codes = of_codes
        self._total, self._far = total, far
        self._low, self._high = CODE_BOUNDS if of_codes else BOUNDS
        self._strangers: deque[float] = deque(maxlen=_KEPT)
        self._fit: statistics.NormalDist | None = None

    @property
    def about(self) -> str:
        """See `Limit`."""
        if self._fit is None:
            return f"{self._low:g} of the sum of the bit weights; the gallery is not calibrated"
        return (
            f"learned from {len(self._strangers)} pairs of people seen at the same time, at a FAR "
            f"of {self._far:g}, but within {self._low:g} to {self._high:g} of the sum of the bit "
            "weights; the gallery is not calibrated"
        )

    def distance(self, size: int) -> float:
        """See `Limit`."""
        if self._fit is None:
            return self._low * self._total
        # each of the sightings may resemble a stranger by chance
        share = -math.expm1(math.log1p(-min(self._far, 1 - 1e-9)) / max(size, 1))
        low, high = self._low * self._total, self._high * self._total
        return min(max(self._fit.inv_cdf(max(share, 1e-12)), low), high)

    def stranger(self, distance: float) -> None:
        """See `Limit`."""
        self._strangers.append(distance)
        if len(self._strangers) >= ENOUGH:
            # not mean and deviation: where two people are in one crop, they resemble each other
            low, middle, high = statistics.quantiles(self._strangers, n=4)
            spread = max((high - low) / _QUARTILES, 1e-3 * self._total)
            self._fit = statistics.NormalDist(middle, spread)


def make_limit(gallery: AnyGallery, bits: int, far: float) -> Limit:
    """The limit of the gallery's calibration, or one that is learned where it has none."""
    calibration = gallery.calibration
    if calibration is not None and bits in calibration.lengths:
        return CalibratedLimit(gallery, bits, far)
    total = float(gallery.weights[:bits].sum())
    return LearnedLimit(total, far, of_codes=not gallery.real_queries)
