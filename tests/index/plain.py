"""Search by looking at every code and sorting: what indexes are compared with."""

import numpy as np

from reid_hash.codes import Codes
from reid_hash.distances import asymmetric, hamming, weighted


def make_codes(random, n, bits, distinct=None, weights=None):
    """Codes of which only some are different, so that many are equally far from everything."""
    different = random.random((distinct or max(n, 1), bits)) < 0.5
    packed = np.packbits(different, axis=1, bitorder="little")
    rows = random.integers(0, len(packed), n) if distinct else np.arange(n)
    return Codes(packed[rows], bits, weights)


def nearest(distances, ids, k, only=None):
    """The k smallest of each row by (distance, id), all where there are fewer."""
    allowed = None if only is None else set(np.asarray(only).tolist())
    k = min(k, sum(allowed is None or id_ in allowed for id_ in ids.tolist()))
    found = np.full((len(distances), k), np.inf), np.full((len(distances), k), -1)
    for row, of_row in enumerate(distances):
        pairs = [
            (distance, id_)
            for distance, id_ in zip(of_row.tolist(), ids.tolist(), strict=True)
            if allowed is None or id_ in allowed
        ]
        for place, pair in enumerate(sorted(pairs)[:k]):
            found[0][row, place], found[1][row, place] = pair
    return found


def check(index, query, codes, ids, k, only=None, plain=False):
    """Assert that an index over codes answers as looking at every one does."""
    if not isinstance(query, Codes):
        distances = asymmetric(query, codes)
    else:
        distances = (hamming if plain else weighted)(query, codes)
    expected = nearest(distances, ids, k, only)
    found = index.search(query, k, only)
    assert found.distances.dtype == np.float64
    assert found.ids.dtype == np.int64
    np.testing.assert_array_equal(found.distances, expected[0])
    np.testing.assert_array_equal(found.ids, expected[1])
