import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reid_hash.codes import Codes, weighted
from reid_hash.distances import asymmetric, query_values
from reid_hash.errors import CodeError


@given(st.integers(1, 70), st.integers(0, 2**31))
def test_is_the_plain_loop(bits, seed):
    random = np.random.default_rng(seed)
    gallery = Codes.from_outputs(random.normal(size=(5, bits)), random.random(bits) + 0.1)
    values = random.uniform(-1.5, 1.5, (3, bits))
    signs = np.where(gallery.unpack(), 1.0, -1.0)
    for q, row in zip(values, asymmetric(values, gallery), strict=True):
        for s, distance in zip(signs, row, strict=True):
            parts = [
                w * (min(max(x, -1), 1) - y) ** 2 / 4
                for w, x, y in zip(gallery.weights, q, s, strict=True)
            ]
            assert distance == pytest.approx(sum(parts), abs=1e-5)


@given(st.integers(1, 70), st.integers(0, 2**31))
def test_of_signs_is_the_weighted_hamming_distance_to_the_last_digit(bits, seed):
    random = np.random.default_rng(seed)
    weights = random.random(bits) + 0.01
    query, gallery = (Codes.from_outputs(random.normal(size=(n, bits)), weights) for n in (4, 6))
    signs = np.where(query.unpack(), 1.0, -1.0)
    assert (asymmetric(signs, gallery) == weighted(query, gallery)).all()


def test_equal_codes_are_tied_wherever_they_stand():
    random = np.random.default_rng(0)
    one = Codes.from_outputs(random.normal(size=(1, 67)), random.random(67))
    many = one[np.zeros(1001, np.int64)]
    distances = asymmetric(random.normal(size=(9, 67)), many)
    assert (distances == distances[:, :1]).all()


def test_query_values_keep_signs_within_one():
    outputs = np.array([[-30.0, -0.1, 0.2, 5.0]])
    values = query_values(outputs)
    assert values.dtype == np.float32
    assert (np.abs(values) <= 1).all()
    assert (np.sign(values) == np.sign(outputs)).all()


@pytest.mark.parametrize("values", [np.zeros((2, 7)), np.zeros(8), np.full((1, 8), np.nan)])
def test_values_that_do_not_fit_are_refused(values):
    gallery = Codes.from_outputs(np.ones((3, 8)))
    with pytest.raises(CodeError, match="finite numbers for codes of 8 bits"):
        asymmetric(values, gallery)
