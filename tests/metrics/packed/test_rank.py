import numpy as np
import pytest

from reid_hash import metrics
from reid_hash.codes import Codes
from reid_hash.distances import hamming
from reid_hash.distances import weighted as weighted_hamming
from reid_hash.errors import CodeError, ConfigError, ReidHashError
from reid_hash.metrics.packed import counts
from tests.metrics.textbook import assert_same


def case(queries=23, gallery=61, bits=24, labels=5, cameras=3, seed=0):
    rng = np.random.default_rng(seed)
    weights = rng.random(bits) + 0.01
    weights[rng.random(bits) < 0.3] = 0.5  # equal weights make equal weighted distances
    make = lambda n: Codes.from_outputs(rng.normal(size=(n, bits)), weights)  # noqa: E731
    return (
        *(make(queries), make(gallery)),
        *(rng.integers(0, labels, queries) * 7 - 3, rng.integers(0, labels, gallery) * 7 - 3),
        *(rng.integers(0, cameras, queries), rng.integers(0, cameras, gallery)),
    )


def dense(query, gallery, labels, in_gallery, cameras, seen_by, rule, weighted):
    distances = (weighted_hamming if weighted else hamming)(query, gallery)
    valid = metrics.valid_mask(rule, labels, in_gallery, cameras, seen_by)
    return metrics.tie_groups(distances, labels[:, None] == in_gallery, valid)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("rule", metrics.CAMERA_RULES)
@pytest.mark.parametrize("bits", [1, 5, 24, 64, 100, 255, 256, 300])
def test_equals_the_dense_path(bits, rule, weighted):
    arguments = case(bits=bits, seed=bits)
    wanted = dense(*arguments, rule, weighted)
    for threads, block_bytes in ((1, 2**26), (2, 1), (3, 20_000)):
        groups = metrics.rank_codes(
            *arguments, rule, weighted=weighted, threads=threads, block_bytes=block_bytes
        )
        assert_same(groups, wanted)


@pytest.mark.parametrize("rule", metrics.CAMERA_RULES)
@pytest.mark.parametrize(
    ("bits", "many", "columns", "words"), [(16, 1, 7, 1), (70, 9, 100, 150), (300, 9, 7, 40)]
)
def test_long_slices_and_several_tiles(rule, bits, many, columns, words, monkeypatch):
    """Both ways to count a slice, and galleries longer than one tile of columns."""
    monkeypatch.setattr(counts, "_MANY", many)
    monkeypatch.setattr(counts, "COLUMNS", columns)
    monkeypatch.setattr(counts, "_WORDS", words)
    arguments = case(bits=bits, labels=3)
    assert_same(metrics.rank_codes(*arguments, rule), dense(*arguments, rule, False))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("rule", metrics.CAMERA_RULES)
@pytest.mark.parametrize(("queries", "gallery"), [(0, 5), (5, 0), (1, 1), (0, 0)])
def test_empty_and_single(queries, gallery, rule, weighted):
    arguments = case(queries, gallery, labels=1, cameras=1)
    wanted = dense(*arguments, rule, weighted)
    assert_same(metrics.rank_codes(*arguments, rule, weighted=weighted), wanted)


@pytest.mark.parametrize("weighted", [False, True])
def test_identical_codes_all_tie(weighted):
    codes_ = Codes(np.zeros((40, 3), np.uint8), 20)
    labels, cameras = np.arange(40) % 4, np.arange(40) % 5
    arguments = (codes_, codes_, labels, labels, cameras, cameras)
    for rule in metrics.CAMERA_RULES:
        wanted = dense(*arguments, rule, weighted)
        assert_same(metrics.rank_codes(*arguments, rule, weighted=weighted), wanted)


@pytest.mark.parametrize("largest", [1.0, 3e-9, 0.7e9])
def test_weights_of_any_scale_are_exact(largest):
    query, gallery, *rest = case(bits=40)
    weights = np.random.default_rng(3).random(40) * largest
    query, gallery = (Codes(c.packed, c.bits, weights) for c in (query, gallery))
    prefix = (query.prefix(17), gallery.prefix(17))
    for pair in ((query, gallery), prefix):
        groups = metrics.rank_codes(*pair, *rest, "market", weighted=True)
        assert_same(groups, dense(*pair, *rest, "market", True))


@pytest.mark.parametrize("rule", metrics.CAMERA_RULES)
def test_blocks_hold_every_query_once(rule):
    arguments = case()
    blocks = list(metrics.rank_code_blocks(*arguments, rule, weighted=True, block_bytes=1))
    rows = np.concatenate([rows for rows, _ in blocks])
    assert sorted(rows.tolist()) == list(range(23))
    whole = metrics.rank_codes(*arguments, rule, weighted=True)
    for block_rows, groups in blocks:
        np.testing.assert_array_equal(groups.n_relevant, whole.n_relevant[block_rows])
    summary = metrics.summarise(groups for _, groups in blocks)
    assert summary == pytest.approx(metrics.summarise(whole), rel=1e-12)


def test_bad_input_is_told():
    query, gallery, *rest = case()
    with pytest.raises(ConfigError, match="camera rule"):
        metrics.rank_codes(query, gallery, *rest, "duke")
    with pytest.raises(CodeError, match="24 bits"):
        metrics.rank_codes(query, gallery.prefix(8), *rest, "none")
    with pytest.raises(ReidHashError, match="labels"):
        metrics.rank_codes(query, gallery, rest[0][:3], *rest[1:], "none")


def test_large_labels_of_different_types_stay_apart():
    codes = Codes.from_outputs(np.random.default_rng(0).normal(size=(2, 16)))
    query, gallery = np.array([2**63 - 1, 5]), np.array([2**63, 2**63 - 1], np.uint64)
    assert metrics.rank_codes(codes, codes, query, gallery).n_relevant.tolist() == [1, 0]
