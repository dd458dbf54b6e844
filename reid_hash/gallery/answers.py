"""Searching, and saying of each query whether it is of anyone known."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from reid_hash.calibration import Kind
from reid_hash.codes import Codes
from reid_hash.distances import from_certainty
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
    track: bool = False,
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
        track: real values are means of tracks, which have thresholds of their own.

    Raises:
        GalleryError: `far` is asked of a gallery that was not calibrated, or not at this length or
            for this kind of query.
    """
    chosen: Filter = where or {}
    searched = gallery.count(**chosen)
    thresholds: list[float | None] = [None] * len(query)
    resolved = True
    if far is not None:
        calibration = gallery.calibration
        if calibration is None:
            raise GalleryError(
                f"gallery {gallery.place} is not calibrated: `reid-hash gallery calibrate` learns "
                "from its identities, or its tracks, what distances strangers have"
            )
        length = bits or gallery.bits
        kind: Kind = "weighted" if weighted else "hamming"
        if not isinstance(query, Codes):
            kind = "track" if track else "asymmetric"
        table = calibration.of(length, kind)
        limit = table.threshold(far, max(searched, 1))
        resolved = table.resolved(far, max(searched, 1))
        thresholds = [limit] * len(query)
        if not isinstance(query, Codes):
            like = gallery.codes(ids=[])[0].prefix(length)
            values = np.asarray(query)[:, :length]
            thresholds = [from_certainty(limit, one, like) for one in values]
    found = gallery.find(query, k, bits=bits, weighted=weighted, **chosen)
    return [
        replace(one, query=name, searched=searched, threshold=threshold, resolved=resolved)
        for name, one, threshold in zip(names, found, thresholds, strict=True)
    ]
