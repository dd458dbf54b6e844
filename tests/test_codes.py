import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from reid_hash.codes import Codes, load_codes, pack, save_codes, unpack
from reid_hash.errors import (
    CheckpointError,
    CodeError,
    ConfigError,
    DataError,
    GalleryError,
    MetricError,
    ReidHashError,
)

bit_matrices = st.integers(1, 70).flatmap(
    lambda bits: hnp.arrays(np.bool_, st.tuples(st.integers(0, 6), st.just(bits)))
)


@given(bit_matrices)
def test_unpack_undoes_pack(bits):
    packed = pack(bits)
    assert packed.shape == (len(bits), -(-bits.shape[1] // 8))
    np.testing.assert_array_equal(unpack(packed, bits.shape[1]), bits)


@given(bit_matrices)
def test_bit_k_is_bit_k_mod_8_of_byte_k_div_8(bits):
    packed = pack(bits)
    for row in range(len(bits)):
        for k in range(bits.shape[1]):
            assert bool(packed[row, k // 8] >> (k % 8) & 1) == bits[row, k]


@given(bit_matrices, st.data())
def test_prefix_is_the_first_bits(bits, data):
    codes = Codes(pack(bits), bits.shape[1], weights=np.arange(bits.shape[1]) + 1)
    length = data.draw(st.integers(1, codes.bits))
    prefix = codes.prefix(length)
    np.testing.assert_array_equal(prefix.unpack(), bits[:, :length])
    np.testing.assert_array_equal(prefix.weights, codes.weights[:length])


def test_ones_are_outputs_above_zero():
    codes = Codes.from_outputs([[0.1, 0.0, -0.1, 9.0]])
    np.testing.assert_array_equal(codes.unpack(), [[True, False, False, True]])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Codes(np.zeros((2, 2), np.uint8), 17), r"\[n, 3\]"),
        (lambda: Codes(np.zeros((2, 2), np.int8), 16), "uint8"),
        (lambda: Codes(np.zeros((2, 0), np.uint8), 0), "at least 1 bit"),
        (lambda: Codes(np.full((1, 1), 8, np.uint8), 3), "padding"),
        (lambda: Codes(np.zeros((1, 1), np.uint8), 8, np.ones(7)), "7 weights"),
        (lambda: Codes(np.zeros((1, 1), np.uint8), 8, -np.ones(8)), "not negative"),
        (lambda: Codes(np.zeros((1, 1), np.uint8), 8, np.zeros(8)), "all be zero"),
        (lambda: Codes(np.zeros((1, 1), np.uint8), 8, np.full(8, np.nan)), "finite"),
        (lambda: Codes(np.zeros((1, 1), np.uint8), 8).prefix(9), "9 bits asked of codes"),
        (lambda: Codes(np.zeros((1, 1), np.uint8), 8).prefix(0), "choose 1 to 8"),
        (lambda: pack([True, False]), "matrix"),
    ],
)
def test_what_is_no_code_is_refused(make, message):
    with pytest.raises(CodeError, match=message):
        make()


def test_selecting_rows_keeps_weights_and_model():
    codes = Codes.from_outputs(np.eye(4) - 0.5, [4, 3, 2, 1], "m")
    for rows in (slice(1, 3), [1, 2], np.array([False, True, True, False])):
        part = codes[rows]
        np.testing.assert_array_equal(part.unpack(), codes.unpack()[1:3])
        assert part.model == "m"
        np.testing.assert_array_equal(part.weights, codes.weights)
    np.testing.assert_array_equal(codes.unweighted().weights, np.ones(4))
    other = codes.reweighted([4, 3, 2, 0.5])
    np.testing.assert_array_equal(other.weights, [4, 3, 2, 0.5])
    np.testing.assert_array_equal(other.packed, codes.packed)
    assert other.model == codes.model


def test_codes_do_not_change_under_their_owner():
    codes = Codes(np.zeros((1, 1), np.uint8), 8)
    with pytest.raises(ValueError, match="read-only"):
        codes.packed[0, 0] = 1


def test_file_round_trip(tmp_path):
    codes = Codes.from_outputs(np.random.default_rng(0).normal(size=(5, 13)), range(1, 14), "f00d")
    save_codes(tmp_path / "a" / "codes.npz", codes, ["ä.jpg", "b", "c", "d", "e"])
    loaded, names = load_codes(tmp_path / "a" / "codes.npz")
    np.testing.assert_array_equal(loaded.packed, codes.packed)
    np.testing.assert_array_equal(loaded.weights, codes.weights)
    assert (loaded.bits, loaded.model, names) == (13, "f00d", ["ä.jpg", "b", "c", "d", "e"])


def test_damaged_and_foreign_files_are_refused(tmp_path):
    path = tmp_path / "codes.npz"
    save_codes(path, Codes(np.zeros((100, 8), np.uint8), 64))
    whole = path.read_bytes()
    for content in (b"", whole[: len(whole) // 2], b"no zip file at all", whole[:-1]):
        path.write_bytes(content)
        with pytest.raises(CodeError, match="damaged"):
            load_codes(path)
    np.savez(path, packed=np.zeros((1, 1), np.uint8))
    with pytest.raises(CodeError, match="holds no codes"):
        load_codes(path)
    np.savez(path, packed=np.array([{}], dtype=object))
    with pytest.raises(CodeError, match="holds no codes"):  # object arrays need pickle
        load_codes(path)
    with pytest.raises(CodeError, match="no such file"):
        load_codes(tmp_path / "missing.npz")
    with pytest.raises(ReidHashError, match="1 names for 2 codes"):
        save_codes(path, Codes(np.zeros((2, 1), np.uint8), 8), ["a"])


def test_an_index_a_list_and_iteration_select_codes():
    codes = Codes.from_outputs(np.eye(4) - 0.5, [4, 3, 2, 1], "m")
    for index in (0, 3, -1, -4, np.int64(2), np.array(1)):
        one = codes[index]
        assert len(one) == 1
        np.testing.assert_array_equal(one.packed[0], codes.packed[index])
        assert (one.bits, one.model) == (4, "m")
    assert [codes.packed.tolist().index(one.packed[0].tolist()) for one in codes] == [0, 1, 2, 3]
    assert len(codes[[]]) == len(codes[:0]) == len(codes[np.zeros(4, bool)]) == 0
    for outside in (4, -5, [4], np.ones(3, bool)):
        with pytest.raises(IndexError):
            codes[outside]
    for senseless in ((slice(None), 0), [[0, 1]], 1.5, "0"):
        with pytest.raises(IndexError):
            codes[senseless]


def test_codes_are_equal_where_bits_weights_and_model_are():
    codes = Codes.from_outputs([[1.0, -1.0], [1.0, 1.0]], [2, 1], "m")
    same = Codes.from_outputs([[2.0, -3.0], [1.0, 4.0]], [2, 1], "m")
    assert codes == same
    assert hash(codes) == hash(same)
    others = [codes[::-1], codes[:1], codes.prefix(1), codes.unweighted()]
    for other in [*others, Codes(codes.packed, 2, codes.weights, "n"), codes.packed, None, "codes"]:
        assert (codes == other) is False
        assert (codes != other) is True
    assert (codes.packed == codes) is False
    assert Codes.empty(2) != Codes.empty(3)


def test_codes_are_no_array():
    with pytest.raises(CodeError, match="their bits `unpack"):
        np.asarray(Codes.empty(8))


def test_codes_are_shown_in_one_line():
    codes = Codes.from_outputs(np.ones((1500, 16)), np.arange(1, 17), "f00d")
    assert repr(codes) == "Codes(1,500 codes of 16 bits, weighted, model f00d)"
    assert repr(codes[0].unweighted()) == "Codes(1 code of 16 bits, unweighted, model f00d)"
    assert repr(Codes.empty(8, model="a\nb")) == "Codes(0 codes of 8 bits, unweighted, model a\\nb)"
    assert repr(Codes.empty(7)) == "Codes(0 codes of 7 bits, unweighted)"


def test_empty_codes_have_weights_and_model():
    empty = Codes.empty(9, [1] * 8 + [3], "m")
    assert (len(empty), empty.packed.shape, empty.model) == (0, (0, 2), "m")
    np.testing.assert_array_equal(empty.weights, [1] * 8 + [3])
    for bits in (0, -1, -80):
        with pytest.raises(CodeError, match="at least 1 bit"):
            Codes.empty(bits)


def test_only_longer_codes_are_shortened():
    codes = Codes.from_outputs(np.ones((2, 12)), np.arange(12, 0, -1))
    assert codes.shortened(5) == codes.prefix(5)
    assert codes.shortened(12) is codes
    assert codes.shortened(99) is codes
    with pytest.raises(CodeError, match="0 bits asked"):
        codes.shortened(0)


def test_errors_of_wrong_values_are_value_errors():
    for kind in (CodeError, MetricError, ConfigError):
        assert issubclass(kind, ValueError)
        assert issubclass(kind, ReidHashError)
    for kind in (DataError, GalleryError, CheckpointError):
        assert not issubclass(kind, ValueError)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_outputs_that_are_not_finite_have_no_code(value):
    with pytest.raises(CodeError, match="1 of 2 rows"):
        Codes.from_outputs([[1.0, -1.0], [value, 1.0]])
