import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reid_hash.codes import Codes
from reid_hash.distances import asymmetric, weighted
from reid_hash.index._engine.layout import row_nibbles
from reid_hash.index._engine.query_tables import query_tables
from reid_hash.index._engine.segments import Segment
from tests.index.plain import make_codes


@given(
    seed=st.integers(0, 2**32 - 1),
    bits=st.sampled_from([1, 4, 9, 64, 128, 1024]),
    power=st.sampled_from([0.0, 1.0, 8.0, 30.0]),
    real=st.booleans(),
)
@settings(deadline=None, max_examples=80)
def test_bounds_hold_and_are_no_wider_than_they_say(seed, bits, power, real):
    """What the exactness of fast scan's answers rests on, for every code."""
    random = np.random.default_rng(seed)
    weights = random.random(bits) ** power + (0.5 if power == 0 else 0.0)
    weights[0] += 1e-6
    codes = make_codes(random, 600, bits, weights=weights * 10.0 ** random.integers(-6, 7))
    width = codes.packed.shape[1]
    if real:
        query = random.normal(0, random.choice([1e-4, 0.5, 3.0]), (3, bits))
        distances = asymmetric(query, codes)
    else:
        query = make_codes(random, 3, bits)
        distances = weighted(query, codes)
    like = Codes.empty(bits, codes.weights)
    queries = query_tables(query, like, width, width)
    scanned, places = Segment.build(codes.packed, np.arange(600), width).scan(queries.vectors, 600)
    assert (np.sort(places) == np.arange(600)).all()
    lower = queries.lower(scanned)
    true = np.take_along_axis(distances, places, axis=1)
    assert (lower <= true).all()
    assert (true <= lower + 2 * queries.margin[:, None]).all()
    nibbles = row_nibbles(codes.packed)
    for row in range(3):
        np.testing.assert_array_equal(queries.distances(nibbles, row), distances[row])
    for scan in range(1, width + 1, 5):  # a prefix is never farther than the whole
        queries = query_tables(query, like, width, scan)
        part = Segment.build(codes.packed, np.arange(600), scan)
        scanned, places = part.scan(queries.vectors, 600)
        assert (queries.lower(scanned) <= np.take_along_axis(distances, places, axis=1)).all()


def test_further_bits_of_stored_codes_are_free():
    codes = Codes(np.array([[255, 255], [255, 0]], np.uint8), 16)
    queries = query_tables(codes.prefix(8), Codes.empty(8), 2, 2)
    np.testing.assert_array_equal(queries.distances(row_nibbles(codes.packed), 0), [0, 0])


@pytest.mark.parametrize("rows", [slice(1, 3), np.array([2, 0])])
def test_costs_of_some_queries(rows):
    random = np.random.default_rng(0)
    query, codes = make_codes(random, 3, 20), make_codes(random, 9, 20)
    some = query_tables(query, Codes.empty(20), 3, 3).rows(rows)
    for row, expected in enumerate(weighted(query[rows], codes)):
        np.testing.assert_array_equal(some.distances(row_nibbles(codes.packed), row), expected)
