import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reid_hash.codes import Codes
from reid_hash.distances import hamming
from reid_hash.errors import CodeError
from reid_hash.index import HammingIndex
from reid_hash.index import hamming as module
from tests.index.plain import check, make_codes, nearest


def clustered(random, n, queries, bits=64):
    centres = random.random((max(1, n // 40), bits)) < 0.5
    rows = random.integers(0, len(centres), n + queries)
    packed = np.packbits(
        centres[rows] ^ (random.random((n + queries, bits)) < 0.06), axis=1, bitorder="little"
    )
    return Codes(packed[:n], bits), Codes(packed[n:], bits)


@given(
    seed=st.integers(0, 2**32 - 1),
    bits=st.integers(1, 140),
    n=st.integers(0, 400),
    distinct=st.sampled_from([None, 1, 9, 60]),
    k=st.sampled_from([1, 5, 20, 600]),
)
@settings(deadline=None, max_examples=60)
def test_flat_answers_are_those_of_looking_at_every_code(seed, bits, n, distinct, k):
    random = np.random.default_rng(seed)
    codes = make_codes(random, n, bits, distinct, random.random(bits) + 0.1)
    ids = np.cumsum(random.integers(1, 4, n)).astype(np.int64)
    index = HammingIndex(bits, threads=1)
    for start in range(0, n, 150):
        index.add(codes[start : start + 150], ids[start : start + 150])
    query = make_codes(random, 3, bits)
    check(index, query, codes, ids, k, plain=True)
    only = np.flatnonzero(random.random(2 * n + 3) < 0.4)
    check(index, query, codes, ids, k, only, plain=True)
    gone = ids[random.random(n) < 0.3]
    assert index.remove(np.array([*gone, 0, 10**9])) == len(gone)
    kept = ~np.isin(ids, gone)
    check(index, query, codes[kept], ids[kept], k, plain=True)
    index.add(codes[:2], 10**6 + np.arange(min(n, 2)))
    assert len(index) == kept.sum() + min(n, 2)


def test_clusters_find_most_in_order_and_can_be_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_TRAIN", 1000)
    random = np.random.default_rng(0)
    codes, query = clustered(random, 3000, 30)
    ids = np.cumsum(random.integers(1, 4, 3000))
    index = HammingIndex(64, "ivf", threads=1)
    for start, stop in ((0, 10), (10, 2500), (2500, 3000)):
        index.add(codes[start:stop], ids[start:stop])
    recall(index, query, codes, ids, 0.9)
    check(index, query, codes, ids, 10, ids[::31], plain=True)

    assert index.remove(ids[::3]) == 1000
    kept = np.arange(3000) % 3 > 0
    recall(index, query, codes[kept], ids[kept], 0.9)

    index.write(tmp_path / "a.index")
    read = HammingIndex.read(tmp_path / "a.index", threads=1)
    assert len(read) == 2000
    np.testing.assert_array_equal(read.search(query, 10).ids, index.search(query, 10).ids)
    read.add(query, ids[-1] + 1 + np.arange(30))
    assert (read.search(query, 1).distances == 0).all()


def recall(index, query, codes, ids, least):
    distances = hamming(query, codes)
    found, expected = index.search(query, 10), nearest(distances, ids, 10)
    hits = [np.isin(a, b).mean() for a, b in zip(found.ids, expected[1], strict=True)]
    assert np.mean(hits) >= least
    rows = np.arange(len(query))[:, None]
    known = found.ids >= 0
    true = distances[rows, np.searchsorted(ids, found.ids.clip(0))]
    assert (found.distances[known] == true[known]).all()
    order = np.lexsort((found.ids, found.distances))
    assert (order == np.arange(10)).all()


@pytest.mark.parametrize("kind", ["flat", "ivf"])
def test_an_index_without_codes_finds_nothing(kind, tmp_path):
    codes = make_codes(np.random.default_rng(0), 2, 12)
    index = HammingIndex(12, kind)
    assert (index.search(codes, 3).ids == -1).all()
    index.write(tmp_path / "a.index")
    index = HammingIndex.read(tmp_path / "a.index")
    index.add(codes[:0], np.array([], np.int64))
    index.add(codes[:1], np.array([7]))
    assert index.search(codes[:1], 3).ids.tolist() == [[7]]
    assert index.search(codes[:1], 1, np.array([3, 4])).ids.tolist() == [[]]
    assert index.remove(np.array([7])) == 1
    assert np.isinf(index.search(codes, 1).distances).all()


def test_searches_and_changes_take_turns():
    random = np.random.default_rng(1)
    codes = make_codes(random, 4000, 32)
    index = HammingIndex(32, threads=1)
    wrong, done = [], threading.Event()

    def search():
        while not done.is_set():
            ids = index.search(codes[:1], 4000).ids[0]
            found = int((ids >= 0).sum())
            if found % 100 or set(ids[:found]) != set(range(found)):
                wrong.append(ids)

    searchers = [threading.Thread(target=search) for _ in range(2)]
    for thread in searchers:
        thread.start()
    for start in range(0, 4000, 100):
        index.add(codes[start : start + 100], np.arange(start, start + 100))
    done.set()
    for thread in searchers:
        thread.join()
    assert not wrong
    assert len(index) == 4000


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda i, c: i.search(np.ones((1, 16)), 1), "search for them with WeightedIndex"),
        (lambda i, c: i.search(c.prefix(8), 1), "8 bits cannot be compared with codes of 16"),
        (lambda i, c: i.search(Codes(c.packed, 16, model="b"), 1), "same model"),
        (lambda i, c: i.search(c, 0), "1 code or more, not 0"),
        (lambda i, c: i.add(c, np.arange(2, 5)), r"already there \(up to 2\)"),
        (lambda i, c: i.add(Codes(c.packed, 16, model="b"), np.arange(20, 23)), "same model"),
        (lambda i, c: HammingIndex(16, "cosine"), "no index of kind cosine; there are flat, ivf"),
    ],
)
def test_what_does_not_fit_is_refused_and_changes_nothing(call, message):
    codes = Codes(np.array([[1, 2], [3, 4], [5, 6]], np.uint8), 16, model="a")
    index = HammingIndex(16)
    index.add(codes, np.arange(3))
    with pytest.raises(CodeError, match=message):
        call(index, codes)
    check(index, codes, codes, np.arange(3), 3, plain=True)
