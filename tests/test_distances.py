import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from reid_hash.codes import Codes, exact_weights, pack
from reid_hash.distances import (
    asymmetric,
    by_certainty,
    hamming,
    hamming_blocks,
    query_values,
    weighted,
    weighted_blocks,
)
from reid_hash.errors import CodeError
from reid_hash.index import WeightedIndex

bit_matrices = st.integers(1, 70).flatmap(
    lambda bits: hnp.arrays(np.bool_, st.tuples(st.integers(0, 6), st.just(bits)))
)


@given(bit_matrices, st.data())
@settings(deadline=None)
def test_distances_equal_plain_loops(bits, data):
    length = bits.shape[1]
    weights = data.draw(hnp.arrays(np.float32, length, elements=st.floats(0.125, 100, width=32)))
    codes = Codes(pack(bits), length, weights)
    plain, by_weight = hamming(codes, codes), weighted(codes, codes)
    assert plain.dtype == np.uint16
    for i in range(len(bits)):
        for j in range(len(bits)):
            differing = [k for k in range(length) if bits[i, k] != bits[j, k]]
            assert plain[i, j] == len(differing)
            assert by_weight[i, j] == sum(float(codes.weights[k]) for k in differing)


@given(st.integers(0, 2**32 - 1))
def test_weighted_sums_do_not_depend_on_their_order(seed):
    random = np.random.default_rng(seed)
    weights = exact_weights(random.lognormal(0, 3, 200)).astype(np.float64)
    assert weights.sum() == sum(random.permutation(weights).tolist())


@pytest.mark.parametrize("block_bytes", [1, 500, 10_000_000])
def test_blocks_cover_all_queries_and_keep_to_the_memory(block_bytes):
    random = np.random.default_rng(0)
    codes = Codes(random.integers(0, 256, (40, 9), dtype=np.uint8), 72, random.random(72))
    for blocks, whole in ((hamming_blocks, hamming), (weighted_blocks, weighted)):
        parts = list(blocks(codes[:17], codes, block_bytes))
        np.testing.assert_array_equal(
            np.concatenate([d for _, d in parts]), whole(codes[:17], codes)
        )
        assert [r for rows, _ in parts for r in range(rows.start, rows.stop)] == list(range(17))
        assert all(len(d) == 1 or d.nbytes <= block_bytes for _, d in parts)


def test_codes_of_other_length_or_model_are_not_compared():
    codes = Codes(np.zeros((1, 2), np.uint8), 16, model="aaaa")
    with pytest.raises(CodeError, match="16 bits cannot be compared with codes of 8 bits"):
        hamming(codes, codes.prefix(8))
    with pytest.raises(CodeError, match="encode both with the same model"):
        weighted(codes, Codes(codes.packed, 16, model="bbbb"))


@pytest.mark.parametrize("distance", [hamming, weighted])
def test_one_code_is_compared_like_many_and_other_values_are_refused(distance):
    codes = Codes.from_outputs(np.random.default_rng(0).normal(size=(3, 9)), range(9, 0, -1))
    whole = distance(codes, codes)
    assert distance(codes[0], codes[2]).tolist() == [[whole[0, 2]]]
    np.testing.assert_array_equal(distance(codes[1], codes), whole[1:2])
    assert distance(codes[:0], codes).shape == (0, 3)
    for pair in ((codes.packed, codes), (codes, codes.unpack()), ("a.npz", codes), (codes, None)):
        with pytest.raises(CodeError, match="between Codes, not"):
            distance(*pair)


@given(st.integers(1, 70), st.integers(0, 2**31))
def test_asymmetric_is_the_plain_loop(bits, seed):
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
def test_asymmetric_of_signs_is_the_weighted_hamming_distance_to_the_last_digit(bits, seed):
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


@given(st.integers(1, 40), st.integers(0, 9))
def test_distances_by_certainty_are_the_plain_loop(bits, seed):
    random = np.random.default_rng(seed)
    gallery = Codes.from_outputs(random.normal(size=(7, bits)), random.random(bits))
    values = random.uniform(-1, 1, bits)
    found = by_certainty(asymmetric(values[None], gallery)[0], values, gallery)
    weights = gallery.weights.astype(float)
    sure = weights * np.abs(values)
    for code, distance in zip(gallery.unpack(), found, strict=True):
        differ = sum(sure[k] for k in range(bits) if code[k] != (values[k] > 0))
        assert distance == pytest.approx(differ / sure.sum() * weights.sum(), abs=1e-4)


def test_distances_by_certainty_of_signs_are_weighted_hamming_distances():
    random = np.random.default_rng(0)
    query, gallery = (Codes.from_outputs(random.normal(size=(n, 24))) for n in (1, 9))
    signs = np.where(query.unpack()[0], 1.0, -1.0)
    found = by_certainty(asymmetric(signs[None], gallery)[0], signs, gallery)
    np.testing.assert_allclose(found, weighted(query, gallery)[0])
    unsure = np.zeros(24)
    assert (by_certainty(asymmetric(unsure[None], gallery)[0], unsure, gallery) == 12).all()


def test_a_prefix_whose_weights_are_all_0_has_a_plain_distance_alone():
    random = np.random.default_rng(0)
    codes = Codes.from_outputs(random.normal(size=(20, 24)), [0.0] * 9 + [1.0] * 15)
    cut = codes.prefix(9)
    assert not cut.weights.any()
    expected = (cut.unpack()[:, None] != cut.unpack()).sum(2)
    np.testing.assert_array_equal(hamming(cut, cut), expected)
    np.testing.assert_array_equal(hamming(cut[3], cut[[1, 2]]), expected[3:4, 1:3])
    np.testing.assert_array_equal(hamming(codes.prefix(16).prefix(9), cut), expected)
    for compare in (
        lambda: weighted(cut, cut),
        lambda: asymmetric(np.zeros((1, 9)), cut),
        lambda: WeightedIndex(codes.weights).prefix(9).search(cut, 1),
    ):
        with pytest.raises(CodeError, match="9 bits are all 0: compare them by the plain"):
            compare()
