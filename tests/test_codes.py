import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from reid_hash.codes import (
    Codes,
    exact_weights,
    hamming,
    hamming_blocks,
    load_codes,
    pack,
    save_codes,
    unpack,
    weighted,
    weighted_blocks,
)
from reid_hash.errors import CodeError, ReidHashError

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


def test_ones_are_outputs_above_zero():
    codes = Codes.from_outputs([[0.1, 0.0, -0.1, np.inf]])
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


def test_codes_of_other_length_or_model_are_not_compared():
    codes = Codes(np.zeros((1, 2), np.uint8), 16, model="aaaa")
    with pytest.raises(CodeError, match="16 bits cannot be compared with codes of 8 bits"):
        hamming(codes, codes.prefix(8))
    with pytest.raises(CodeError, match="encode both with the same model"):
        weighted(codes, Codes(codes.packed, 16, model="bbbb"))


def test_selecting_rows_keeps_weights_and_model():
    codes = Codes.from_outputs(np.eye(4) - 0.5, [4, 3, 2, 1], "m")
    for rows in (slice(1, 3), [1, 2], np.array([False, True, True, False])):
        part = codes[rows]
        np.testing.assert_array_equal(part.unpack(), codes.unpack()[1:3])
        assert part.model == "m"
        np.testing.assert_array_equal(part.weights, codes.weights)
    np.testing.assert_array_equal(codes.unweighted().weights, np.ones(4))


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
