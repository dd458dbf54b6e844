"""The ranking list of a query, as pictures show it."""

import numpy as np
from numpy.typing import NDArray

from reid_hash.data.labels import relevance
from reid_hash.evaluation.encoded import Encoded
from reid_hash.report.grid import RankingRow


def ranking_row(
    encoded: Encoded,
    i: int,
    distances: NDArray[np.generic],
    top: int,
    valid: NDArray[np.bool_] | None = None,
) -> RankingRow:
    """The nearest images of a query.

    Images at equal distance stand in an order drawn once, the same for every query: in the order
    of the gallery, which class folders are read in, ties would favour a class.

    Args:
        encoded: queries and gallery.
        i: index of the query.
        distances: [G] to each gallery image.
        top: how many images.
        valid: [G] False for images that are left out; all count when it is None.
    """
    query, gallery = encoded.query_pixels, encoded.gallery_pixels
    tie = np.random.default_rng(0).permutation(len(gallery))
    order = np.lexsort((tie, distances))
    if valid is not None:
        order = order[valid[order]]
    order = order[:top]
    return RankingRow(
        query=query.images[i],
        query_name=query.names[i],
        images=[gallery.images[j] for j in order],
        names=[gallery.names[j] for j in order],
        matches=relevance(query.labels[[i]], gallery.labels[order])[0].tolist(),
        distances=[float(d) for d in np.asarray(distances, np.float64)[order]],
    )
