"""What a track is known by: one code and real values, both made of its best crops."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reid_hash.codes import Codes, pack
from reid_hash.distances import weighted

MOST = 16
"""Crops that a track's code is made of at most."""

_GAPS = (0.3, 0.6)  # seconds from crop to crop up to MOST, and then; neighbours tell the same
_ROUNDING = 1e-3  # seconds: frames at 10 a second lie on the bounds of the gaps
_BREAK = 0.28  # share of the bit weights' sum by which the crops of one person do not differ often
_KNOWN = 2  # crops of a track from which it can be said that another looks like somebody else
_DOUBTS = 2  # crops in a row that look like somebody else, after which it is somebody else


def majority(codes: Codes, quality: ArrayLike) -> Codes:
    """The code each bit of which is what most of the given codes have, weighted by quality.

    Args:
        codes: n ≥ 1 codes of one person.
        quality: [n] real ≥ 0, the weight of each crop_code.

    Returns:
        One code. A tied vote goes to the code of the highest quality.

    Example:
        >>> codes = Codes.from_outputs([[1, 1, -1], [1, -1, -1], [-1, 1, 1]])
        >>> majority(codes, [1, 1, 1]).unpack().astype(int)
        array([[1, 1, 0]])
    """
    weights = np.asarray(quality, np.float64)
    bits = codes.unpack()
    votes = weights @ np.where(bits, 1.0, -1.0)
    won = np.where(votes == 0, bits[int(weights.argmax())], votes > 0)
    return Codes(pack(won[None]), codes.bits, codes.weights, codes.model)


class CropCode(NamedTuple):
    """What a network makes of a crop.

    Attributes:
        code: one code.
        quality: see `crops.cut`.
        time: of the frame, seconds.
        values: [bits] float32 in [-1, 1], what the code was cut from; see `query_values`.
    """

    code: Codes
    quality: float
    time: float
    values: NDArray[np.float32]

    def __repr__(self) -> str:
        return f"CropCode({self.code.bits} bits, quality={self.quality:.3f}, time={self.time:.3f})"


class TrackDescriptor(NamedTuple):
    """What a track is recognised by.

    Attributes:
        code: one code, which a gallery keeps.
        values: [bits] float32 in [-1, 1], which a search goes by. Of a track, the code is the
            majority of its crops' and these are a mean, so that signs may differ.
    """

    code: Codes
    values: NDArray[np.float32]

    def __repr__(self) -> str:
        return f"TrackDescriptor({self.code.bits} bits)"


class TrackCode:
    """Collects the codes of a track's best crops.

    Trackers that go by place alone hand a track over from one person to another where two pass
    each other. The codes tell: `add` says so where several crops in a row look like somebody else.

    Attributes:
        offered: crops that were taken up so far, those that others replaced included.
        doubts: the last crops, where they look like somebody else.
    """

    def __init__(self) -> None:
        self.offered = 0
        self.doubts: list[CropCode] = []
        self._crop_codes: list[CropCode] = []
        self._last: float | None = None

    def __len__(self) -> int:
        return len(self._crop_codes)

    def __repr__(self) -> str:
        return f"TrackCode({len(self)} crops of {self.offered})"

    def wants(self, time: float) -> bool:
        """Whether it is time for another crop.

        The times are the same for all tracks: a network takes half as long for several crops
        together as for each by itself.
        """
        gap = _GAPS[self.offered >= MOST]
        if self.doubts:  # whether it is somebody else must not wait for a long gap
            gap = _GAPS[0]
        if self._last is None:
            return True
        return (self._last + _ROUNDING) // gap < (time + _ROUNDING) // gap

    def add(self, crop_code: CropCode) -> bool:
        """Take up a crop; False where the track has gone over to somebody else.

        Then `doubts` are that person's crops, and nothing of them is in the code.
        """
        self._last = crop_code.time
        if len(self) >= _KNOWN:
            apart = float(weighted(self.code(), crop_code.code)[0, 0])
            if apart > _BREAK * float(crop_code.code.weights.sum()):
                self.doubts.append(crop_code)
                return len(self.doubts) < _DOUBTS
        self.doubts.clear()
        if len(self) == MOST:
            worst = min(range(MOST), key=lambda i: self._crop_codes[i].quality)
            if self._crop_codes[worst].quality >= crop_code.quality:
                return True
            del self._crop_codes[worst]
        self._crop_codes.append(crop_code)
        self.offered += 1
        return True

    def descriptor(self) -> TrackDescriptor:
        """The track's code so far, and the mean of the crops' values; there must be a crop.

        A bit that the network is not sure of, or the crops do not agree on, is near 0 in the mean.
        """
        rows = np.array([one.values for one in self._crop_codes])
        quality = np.array([one.quality for one in self._crop_codes]) + 1e-9  # all of them may be 0
        return TrackDescriptor(self.code(), (quality @ rows / quality.sum()).astype(np.float32))

    def code(self) -> Codes:
        """The track's code so far; there must be a crop."""
        like = self._crop_codes[0].code
        packed = np.concatenate([one.code.packed for one in self._crop_codes])
        codes = Codes(packed, like.bits, like.weights, like.model)
        return majority(codes, [one.quality for one in self._crop_codes])
