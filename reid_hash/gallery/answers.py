"""Searching, and saying of each query whether it is of anyone known."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from reid_hash.codes import Codes
from reid_hash.errors import GalleryError
from reid_hash.gallery.base import AnyGallery
from reid_hash.gallery.sighting import Answer, Filter


def answers(
    gallery: AnyGallery,
    query: Codes | NDArray[np.floating],
    names: Sequence[str],
    k: int = 10,
    bits: int | None = None,
    weighted: bool = True,
    far: float | None = None,
    where: Filter | None = None,
) -> list[Answer]:
    """Search, and say where a query is of a stranger.

    Args:
        gallery: an open one.
        query: codes, or real values; see `Gallery.find`.
        names: one a code.
        k: how many sightings to find for each.
        bits: see `Gallery.search`.
        weighted: see `Gallery.search`.
        far: share of strangers that may be taken for somebody, 0 … 1; the threshold is that of
            the gallery's calibration, carried over to the number of sightings searched.
        where: among which sightings.

    Raises:
        GalleryError: `far` is asked of a gallery that was not calibrated, or not at this length, or
            for real values.
    """
    chosen: Filter = where or {}
    searched = gallery.count(**chosen)
    threshold, resolved = None, True
    if far is not None:
        if not isinstance(query, Codes):
            raise GalleryError(
                "a false accept rate is calibrated for distances between codes, not for real values"
            )
        calibration = gallery.calibration
        if calibration is None:
            raise GalleryError(
                f"gallery {gallery.place} is not calibrated: `reid-hash gallery calibrate` learns "
                "from its identities what distances strangers have"
            )
        table = calibration.of(bits or gallery.bits, weighted)
        threshold = table.threshold(far, max(searched, 1))
        resolved = table.resolved(far, max(searched, 1))
    found = gallery.find(query, k, bits=bits, weighted=weighted, **chosen)
    return [
        replace(one, query=name, searched=searched, threshold=threshold, resolved=resolved)
        for name, one in zip(names, found, strict=True)
    ]
