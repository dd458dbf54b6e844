import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reid_hash.codes import Codes
from reid_hash.errors import CodeError
from reid_hash.index import WeightedIndex
from reid_hash.index._engine import engine, segments
from reid_hash.index._engine.index_file import read_index_file
from tests.index.plain import check, make_codes


@pytest.fixture(autouse=True, scope="module")
def _small_buffer():
    """Let fast scan see small numbers of codes, too: tests compare with plain loops."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segments, "BUFFER", 16)
        yield


def draw_weights(random, bits):
    weights = random.random(bits) ** random.choice([0.0, 1.0, 6.0])
    weights[random.random(bits) < random.choice([0.0, 0.3])] = 0.0
    weights[random.integers(bits)] = 1.0
    return weights * 10.0 ** random.integers(-5, 6)


def filled(random, codes, ids, **settings_):
    """An index to which the codes came in pieces."""
    index = WeightedIndex(codes.weights, threads=1, **settings_)
    cuts = np.sort(random.integers(0, len(codes) + 1, random.integers(0, 5)))
    for start, stop in zip([0, *cuts], [*cuts, len(codes)], strict=True):
        index.add(codes[int(start) : int(stop)], ids[start:stop])
    return index


cases = {
    "seed": st.integers(0, 2**32 - 1),
    "bits": st.integers(1, 140),
    "n": st.integers(0, 500),
    "distinct": st.sampled_from([None, 1, 2, 9, 60]),
    "k": st.sampled_from([1, 2, 5, 20, 600]),
}


@given(**cases, scan_bits=st.sampled_from([None, 1, 8, 24]))
@settings(deadline=None, max_examples=120)
def test_answers_are_those_of_looking_at_every_code(seed, bits, n, distinct, k, scan_bits):
    random = np.random.default_rng(seed)
    codes = make_codes(random, n, bits, distinct, draw_weights(random, bits))
    ids = np.cumsum(random.integers(1, 4, n)).astype(np.int64)
    index = filled(random, codes, ids, scan_bits=scan_bits)
    assert len(index) == n
    query = make_codes(random, 3, bits)
    if n:
        query = Codes(np.concatenate([query.packed, codes.packed[[n // 2]]]), bits)
    check(index, query, codes, ids, k)
    check(index, random.normal(0, 0.7, (3, bits)), codes, ids, k)
    only = np.flatnonzero(random.random(2 * n + 3) < random.choice([0.02, 0.3, 0.9]))
    check(index, query, codes, ids, k, only)


@given(**cases)
@settings(deadline=None, max_examples=50)
def test_prefixes_other_weights_and_removal_need_no_new_codes(seed, bits, n, distinct, k):
    random = np.random.default_rng(seed)
    weights = draw_weights(random, bits)
    weights[0] = weights.max()
    codes = make_codes(random, n, bits, distinct, weights)
    ids = np.arange(n, dtype=np.int64) * 3
    index = filled(random, codes, ids)
    query = make_codes(random, 3, bits)
    shorter = index.prefix(int(random.integers(1, bits + 1)))
    check(shorter, query.prefix(shorter.bits), codes.prefix(shorter.bits), ids, k)
    check(shorter, random.normal(0, 1, (2, shorter.bits)), codes.prefix(shorter.bits), ids, k)

    index.set_weights(draw_weights(random, bits))
    codes = Codes(codes.packed, bits, index.weights)
    check(index, query, codes, ids, k)

    gone = ids[random.random(n) < 0.3]
    assert index.remove(np.array([*gone, 1, 10**9])) == len(gone)
    kept = ~np.isin(ids, gone)
    assert len(index) == kept.sum()
    check(index, query, codes[kept], ids[kept], k)


@given(st.integers(0, 2**32 - 1), st.sampled_from([8, 13, 32, 128]))
@settings(deadline=None, max_examples=20)
def test_a_fetch_that_is_too_small_is_made_larger(seed, bits):
    random = np.random.default_rng(seed)
    codes = make_codes(random, 3000, bits, random.choice([None, 40]), draw_weights(random, bits))
    index = WeightedIndex(codes.weights, threads=1)
    index.add(codes, np.arange(3000))
    index._engine._fetch = dict.fromkeys([(bits, 1), (bits, 7), (bits, 50)], 1.0)
    for k in (1, 7, 50):
        check(index, make_codes(random, 4, bits), codes, np.arange(3000), k)


@pytest.mark.parametrize("scan_bits", [None, 16])
def test_equal_codes_come_in_the_order_of_their_ids(scan_bits):
    codes = Codes(np.full((40_000, 4), 37, np.uint8), 32)
    index = WeightedIndex(codes.weights, threads=1, scan_bits=scan_bits)
    index.add(codes, np.arange(40_000) + 5)
    found = index.search(codes[:2], 100)
    np.testing.assert_array_equal(found.ids, [np.arange(100) + 5] * 2)
    assert (found.distances == 0).all()


def test_a_query_that_tells_no_codes_apart_finds_the_first():
    random = np.random.default_rng(0)
    codes = make_codes(random, 5000, 24, weights=random.random(24) + 0.5)
    index = WeightedIndex(codes.weights, threads=1)
    index.add(codes, np.arange(5000))
    for value in (0.0, 1e-300, 1e-9):
        check(index, np.full((1, 24), value), codes, np.arange(5000), 10)


def test_codes_longer_than_fast_scan_can_sum():
    random = np.random.default_rng(1)
    codes = make_codes(random, 700, 2100, weights=random.random(2100))
    index = WeightedIndex(codes.weights, threads=1)
    index.add(codes, np.arange(700))
    check(index, make_codes(random, 3, 2100), codes, np.arange(700), 5)


def test_values_of_one_are_bits():
    random = np.random.default_rng(2)
    codes = make_codes(random, 300, 20, weights=random.random(20))
    index = WeightedIndex(codes.weights)
    index.add(codes, np.arange(300))
    query = make_codes(random, 5, 20)
    by_bits, by_values = index.search(query, 9), index.search(query.unpack() * 2.0 - 1, 9)
    np.testing.assert_array_equal(by_bits.distances, by_values.distances)
    np.testing.assert_array_equal(by_bits.ids, by_values.ids)


def test_several_threads_give_the_same_answers(monkeypatch, tmp_path):
    random = np.random.default_rng(3)
    codes = make_codes(random, 9000, 48, 700, random.random(48))
    query = make_codes(random, 70, 48)
    alone, together = (
        WeightedIndex(codes.weights, threads=1),
        WeightedIndex(codes.weights, threads=3),
    )
    monkeypatch.setattr(engine, "_SMALL", 0)
    monkeypatch.setattr(segments, "_SPLIT", 1000)
    for index in (alone, together):
        index.add(codes, np.arange(9000))
        index.write(tmp_path / "index")
        assert read_index_file(tmp_path / "index")[0]["parts"] == 4
    for some in (query, query[:1]):
        first, second = alone.search(some, 30), together.search(some, 30)
        np.testing.assert_array_equal(first.ids, second.ids)
        np.testing.assert_array_equal(first.distances, second.distances)
    # searches share the workers, and one that waits for another's must not keep them all
    with ThreadPoolExecutor(8) as callers:
        for found in callers.map(lambda _: together.search(query, 30), range(24)):
            np.testing.assert_array_equal(found.ids, alone.search(query, 30).ids)


@pytest.mark.parametrize("bits", [40, 64, 72, 128])
def test_whole_passes_of_queries_find_what_looking_at_every_code_finds(bits, monkeypatch):
    # fewer queries than share a pass are grouped by FAISS itself
    random = np.random.default_rng(bits)
    codes = make_codes(random, 3000, bits, 900, random.random(bits))
    monkeypatch.setattr(engine, "_SMALL", 0)
    for threads in (1, 2):
        index = WeightedIndex(codes.weights, threads=threads)
        index.add(codes, np.arange(3000))
        check(index, make_codes(random, 37, bits), codes, np.arange(3000), 20)


def test_a_search_during_adding_sees_the_index_before_or_after():
    random = np.random.default_rng(4)
    codes = make_codes(random, 6000, 32, weights=random.random(32))
    index = WeightedIndex(codes.weights, threads=1)
    sizes = [0, *np.cumsum(random.integers(1, 300, 60)).tolist()]
    sizes = [size for size in sizes if size <= 6000]
    answers = {s: index_of(codes[:s]).search(codes[:1], 6000).ids[0] for s in sizes}
    wrong, done = [], threading.Event()

    def search():
        while not done.is_set():
            ids = index.search(codes[:1], 6000).ids[0]
            if not np.array_equal(ids, answers.get(int((ids >= 0).sum()))):
                wrong.append(ids)

    searchers = [threading.Thread(target=search) for _ in range(2)]
    for thread in searchers:
        thread.start()
    for start, stop in pairwise(sizes):
        index.add(codes[start:stop], np.arange(start, stop))
    done.set()
    for thread in searchers:
        thread.join()
    assert not wrong


def index_of(codes):
    index = WeightedIndex(codes.weights, threads=1)
    index.add(codes, np.arange(len(codes)))
    return index


def test_an_index_without_codes_finds_nothing():
    index = WeightedIndex(np.ones(12))
    query = make_codes(np.random.default_rng(0), 2, 12)
    found = index.search(query, 3)
    assert found.ids.shape == found.distances.shape == (2, 0)
    assert index.search(query[:0], 3).ids.shape == (0, 0)
    index.add(query, np.array([4, 9]))
    assert index.search(query, 3, np.array([], np.int64)).ids.tolist() == [[]] * 2
    assert index.search(query, 3, np.array([5, 9, 11])).ids[:, 0].tolist() == [9, 9]
    assert index.remove(np.array([4, 9])) == 2
    assert len(index) == 0
    assert index.search(query, 1).ids.shape == (2, 0)


@pytest.mark.parametrize("n", [1000, 100_000, 150_000])
def test_codes_take_their_own_size(n):
    random = np.random.default_rng(5)
    codes = Codes(random.integers(0, 256, (n, 16), np.uint8), 128)
    assert index_of(codes).nbytes <= 1.1 * 16 * n


@pytest.mark.parametrize("scan_bits", [None, 16])
def test_what_is_read_is_what_was_written(tmp_path, scan_bits):
    random = np.random.default_rng(6)
    codes = make_codes(random, 900, 45, weights=random.random(45))
    index = WeightedIndex(codes.weights, model="m", threads=1, scan_bits=scan_bits)
    ids = np.arange(900) * 2
    index.add(codes[:880], ids[:880])
    index.add(codes[880:890], ids[880:890])
    index.write(tmp_path / "a.index")
    read = WeightedIndex.read(tmp_path / "a.index", threads=1)
    assert (len(read), read.bits, read.model) == (890, 45, "m")
    read.add(codes[890:], ids[890:])
    check(read, codes[::90], codes, ids, 12)
    with pytest.raises(CodeError, match="above those already there"):
        read.add(codes[:1], np.array([1798]))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda i, c: i.search(c.prefix(8), 1), "8 bits cannot be compared with codes of 16"),
        (lambda i, c: i.search(Codes(c.packed, 16, model="b"), 1), "same model"),
        (lambda i, c: i.search(np.zeros((2, 15)), 1), r"\[n, 16\] finite numbers"),
        (lambda i, c: i.search(np.zeros(16), 1), r"\[n, 16\]"),
        (lambda i, c: i.search(np.full((1, 16), np.nan), 1), "finite"),
        (lambda i, c: i.search(c, 0), "1 code or more, not 0"),
        (lambda i, c: i.add(c.prefix(8), np.arange(20, 23)), "cannot be compared"),
        (lambda i, c: i.add(Codes(c.packed, 16, model="b"), np.arange(20, 23)), "same model"),
        (lambda i, c: i.add(c, np.arange(20, 22)), "3 codes take 3 integer ids"),
        (lambda i, c: i.add(c, np.array([20, 22, 21])), "ascend"),
        (lambda i, c: i.add(c, np.arange(2, 5)), r"already there \(up to 2\)"),
        (lambda i, c: i.add(c, np.array([7.5, 8.5, 9.5])), "integer ids"),
        (lambda i, c: i.set_weights(np.ones(15)), "15 weights for codes of 16 bits"),
        (lambda i, c: i.set_weights(-np.ones(16)), "not negative"),
        (lambda i, c: i.prefix(17), "17 bits asked of an index of 16"),
        (lambda i, c: i.prefix(8).add(c.prefix(8), np.arange(20, 23)), "change the index itself"),
        (lambda i, c: i.prefix(8).remove(np.array([1])), "change the index itself"),
    ],
)
def test_what_does_not_fit_is_refused_and_changes_nothing(call, message):
    codes = Codes(np.array([[1, 2], [3, 4], [5, 6]], np.uint8), 16, model="a")
    index = WeightedIndex(np.ones(16))
    index.add(codes, np.arange(3))
    with pytest.raises(CodeError, match=message):
        call(index, codes)
    check(index, codes, codes, np.arange(3), 3)
