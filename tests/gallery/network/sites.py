"""Tracklets of a drawn site whose people look as different as one asks for; nothing is drawn."""

import numpy as np
from numpy.typing import NDArray

from reid_hash.data.walkers.site import Site
from reid_hash.gallery.network.tracklets import Tracklets, unit


def tracklets_of(
    site: Site, noise: float = 0.6, bits: int = 32
) -> tuple[Tracklets, NDArray[np.int64]]:
    """Tracklets with vectors of their person and some noise, and who each is."""
    rng = np.random.default_rng(site.seed)
    people = unit(rng.standard_normal((site.people + 1, bits)))
    seen = site.tracklets
    who = np.array([one.identity for one in seen], np.int64)
    vectors = unit(people[who] + noise * unit(rng.standard_normal((len(seen), bits))))
    tracklets = Tracklets(
        [f"camera {i}" for i in range(1, site.cameras + 1)],
        np.array([one.camera - 1 for one in seen], np.int64),
        np.array([one.first for one in seen]),
        np.array([one.last for one in seen]),
        vectors,
        np.full(len(seen), -1, np.int64),
        [[i] for i in range(len(seen))],
    )
    return tracklets, who
