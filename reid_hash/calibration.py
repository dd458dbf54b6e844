"""Open-set answers: is the person of a query in the gallery at all?

The terms are those of ISO/IEC 19795-1. A search of someone who is not enrolled, a stranger, that
answers with anyone is a false positive identification; FPIR is the share of strangers' searches of
which that is so. TPIR is the share of the searches of enrolled people that answer with the person.
Both depend on a threshold: a match counts where its distance is at most that.

A bigger gallery holds more people whom a stranger may resemble. Where a threshold that was
calibrated with N0 images is used with N, FPIR is carried over as 1 - (1 - FPIR0)^(N / N0), as if
the images resembled the stranger independently of each other.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reid_hash.codes import Codes
from reid_hash.distances import hamming_blocks, weighted_blocks
from reid_hash.errors import GalleryError, one_line
from reid_hash.utils.files import json_text

Floats = NDArray[np.float64]


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
    """Thresholds for several code lengths.

    Attributes:
        tables: (bits, whether weighted) → what distances mean.
        about: where they come from, in words.
    """

    tables: Mapping[tuple[int, bool], Thresholds]
    about: str = ""

    def of(self, bits: int, weighted: bool) -> Thresholds:
        """The table for a length and a distance; GalleryError where there is none."""
        if (bits, weighted) not in self.tables:
            lengths = ", ".join(str(length) for length in self.lengths)
            raise GalleryError(f"the calibration is for {lengths} bits, not for {bits}")
        return self.tables[bits, weighted]

    @property
    def lengths(self) -> list[int]:
        """Code lengths, ascending."""
        return sorted({bits for bits, _ in self.tables})

    def to_json(self) -> str:
        """As text; `from_json` gives the same back."""
        tables = [
            {
                "bits": bits,
                "weighted": weighted,
                "size": table.size,
                "impostor": table.impostor.tolist(),
                "genuine": table.genuine.tolist(),
            }
            for (bits, weighted), table in self.tables.items()
        ]
        return json_text({"about": self.about, "tables": tables})

    @classmethod
    def from_json(cls, text: str) -> "Calibration":
        """Read what `to_json` wrote; GalleryError where it is something else."""
        try:
            value: dict[str, Any] = json.loads(text)
            tables = {
                (int(table["bits"]), bool(table["weighted"])): calibrate(
                    table["genuine"], table["impostor"], int(table["size"])
                )
                for table in value["tables"]
            }
            return cls(tables, str(value["about"]))
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
            raise GalleryError(f"the calibration is damaged: {one_line(error)}") from error
        except RecursionError as error:
            raise GalleryError("the calibration is damaged: it is nested too deep") from error


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


def best_matches(
    codes: Codes,
    labels: ArrayLike,
    cameras: ArrayLike,
    weighted: bool = True,
    queries: NDArray[np.int64] | None = None,
) -> tuple[Floats, Floats]:
    """Search a labelled gallery with its own images, once with the person enrolled and once not.

    Args:
        codes: n codes.
        labels: [n] int, identity of each.
        cameras: [n] int.
        weighted: weighted Hamming distance instead of the plain one.
        queries: indices of those that are searched for; all when left out.

    Returns:
        (genuine, impostor), each float64: the distance to the nearest image of the same identity
        from another camera, for the queries that have one; and to the nearest image of another
        identity, for the queries that have one: that of a stranger to them.

    Example:
        >>> codes = Codes.from_outputs([[1, 1, 1], [1, 1, -1], [-1, -1, -1]])
        >>> best_matches(codes, [7, 7, 8], [1, 2, 1])
        (array([1., 1.]), array([3., 2., 2.]))
    """
    who, where = np.asarray(labels), np.asarray(cameras)
    rows = np.arange(len(codes)) if queries is None else queries
    blocks = weighted_blocks if weighted else hamming_blocks
    genuine, impostor = [np.zeros(0)], [np.zeros(0)]
    for block, distances in blocks(codes[rows], codes):
        same = who[rows[block], None] == who
        other_camera = where[rows[block], None] != where
        for mask, nearest in ((same & other_camera, genuine), (~same, impostor)):
            found = np.where(mask, distances.astype(np.float64), np.inf).min(axis=1)
            nearest.append(found[np.isfinite(found)])
    return np.concatenate(genuine), np.concatenate(impostor)


def calibrate_codes(
    codes: Codes,
    labels: ArrayLike,
    cameras: ArrayLike,
    lengths: Sequence[int],
    queries: int = 2000,
    seed: int = 0,
    about: str = "",
) -> Calibration:
    """Calibrate several code lengths on labelled codes of people the network has not seen.

    Args:
        codes: n codes.
        labels: [n] int, identity of each.
        cameras: [n] int.
        lengths: code lengths, each a prefix.
        queries: how many of the codes are searched for; drawn where there are more.
        seed: of the draw.
        about: where the codes come from, in words.

    Raises:
        GalleryError: there are not two identities.
    """
    rows = np.random.default_rng(seed).permutation(len(codes))[:queries]
    if len(np.unique(np.asarray(labels))) < 2:
        raise GalleryError("a calibration needs sightings of at least two identities")
    tables = {}
    for bits in lengths:
        for weighted in (True, False):
            genuine, impostor = best_matches(codes.prefix(bits), labels, cameras, weighted, rows)
            tables[bits, weighted] = calibrate(genuine, impostor, len(codes))
    return Calibration(tables, about)
