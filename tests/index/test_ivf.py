import gc
import tempfile

import numpy as np
import pytest

from reid_hash.codes import Codes
from reid_hash.distances import weighted
from reid_hash.errors import CodeError
from reid_hash.index import IvfWeightedIndex, WeightedIndex, ivf
from reid_hash.index._engine import segments
from tests.index.plain import check, make_codes, nearest

BITS = 60


@pytest.fixture(autouse=True, scope="module")
def _small_numbers():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ivf, "_TRAIN", 2000)
        patch.setattr(segments, "BUFFER", 16)
        yield


@pytest.fixture(scope="module")
def case():
    """Codes around centres, which lie in few dimensions as those of a network do."""
    random = np.random.default_rng(0)
    projection = random.normal(size=(10, BITS))
    centres = random.normal(size=(150, 10)) @ projection
    outputs = centres[random.integers(0, 150, 4040)] + random.normal(0, 1.5, (4040, BITS))
    codes = Codes.from_outputs(outputs, random.random(BITS) + 0.3)
    return codes[:4000], codes[4000:], np.cumsum(random.integers(1, 4, 4000))


def filled(codes, ids, **settings):
    index = IvfWeightedIndex(codes.weights, threads=1, **settings)
    for start, stop in ((0, 10), (10, 1990), (1990, 3500), (3500, len(codes))):
        index.add(codes[start:stop], ids[start:stop])
    return index


def recall(index, query, codes, ids):
    expected = nearest(weighted(query, codes), ids, 10)[1]
    found = index.search(query, 10).ids
    return np.mean([np.isin(a, b).mean() for a, b in zip(found, expected, strict=True)])


def test_most_of_the_nearest_are_found_with_their_exact_distances(case):
    codes, query, ids = case
    index = filled(codes, ids, lists=64, probes=8)
    assert len(index) == 4000
    assert "64 clusters" in repr(index)
    assert recall(index, query, codes, ids) >= 0.95
    found = index.search(query, 10)
    true = np.take_along_axis(weighted(query, codes), np.searchsorted(ids, found.ids), axis=1)
    np.testing.assert_array_equal(found.distances, true)
    assert (np.lexsort((found.ids, found.distances)) == np.arange(10)).all()


def test_with_all_clusters_probed_the_answers_are_exact(case):
    codes, query, ids = case
    index = filled(codes, ids, lists=32, probes=32)
    exact = WeightedIndex(codes.weights, threads=1)
    exact.add(codes, ids)
    values = np.random.default_rng(1).normal(size=(5, BITS))
    for some in (query, values):
        for k in (1, 30):
            first, second = index.search(some, k), exact.search(some, k)
            np.testing.assert_array_equal(first.ids, second.ids)
            np.testing.assert_array_equal(first.distances, second.distances)
    check(index, query[:3], codes, ids, 4100)  # more than there are: all of them


@pytest.mark.parametrize("share", [0.01, 0.5])
def test_a_search_among_some_ids_finds_no_others(case, share):
    codes, query, ids = case
    index = filled(codes, ids, lists=32, probes=32)
    only = np.flatnonzero(np.random.default_rng(2).random(ids[-1]) < share)
    check(index, query[:4], codes, ids, 12, only)


def test_removed_codes_are_gone(case):
    codes, query, ids = case
    index = filled(codes, ids, lists=32, probes=32)
    assert index.remove(np.array([*ids[::4], 10**9])) == 1000
    kept = np.arange(4000) % 4 > 0
    assert len(index) == 3000
    check(index, query[:4], codes[kept], ids[kept], 12)
    assert index.remove(ids) == 3000
    assert (index.search(query[:1], 3).ids == -1).all()


def test_what_is_read_is_what_was_written(case, tmp_path):
    codes, query, ids = case
    for count in (50, 3990):  # without clusters, with clusters and codes that came since
        index = IvfWeightedIndex(codes.weights, lists=40, probes=9, model="m", threads=1)
        index.add(codes[: count - 40], ids[: count - 40])
        index.add(codes[count - 40 : count], ids[count - 40 : count])
        index.write(tmp_path / "a.index")
        read = IvfWeightedIndex.read(tmp_path / "a.index", threads=1)
        assert len(read) == count
        np.testing.assert_array_equal(read.search(query, 9).ids, index.search(query, 9).ids)
        read.add(codes[count : count + 1], ids[count : count + 1])
        assert read.search(codes[count : count + 1], 1).ids == ids[count]
        with pytest.raises(CodeError, match="same model"):
            read.search(Codes(query.packed, BITS, model="other"), 1)


def test_temporary_files_do_not_stay(case, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    codes, query, ids = case
    index = filled(codes, ids, lists=16, probes=2)
    assert index.search(query, 3).ids.min() >= 0
    del index
    gc.collect()
    assert not list(tmp_path.iterdir())


def test_codes_take_little_more_than_their_size(case):
    codes, _, ids = case
    assert filled(codes, ids, lists=16).nbytes <= 1.1 * 8 * 4000


def test_too_long_codes_are_refused():
    with pytest.raises(CodeError, match="up to 1024 bits, not 1025"):
        IvfWeightedIndex(np.ones(1025))
    assert make_codes(np.random.default_rng(0), 1, 9).bits == 9
