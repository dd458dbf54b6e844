import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reid_hash.codes import Codes
from reid_hash.index import WeightedIndex
from reid_hash.index._engine import engine, probe, segments
from reid_hash.index._engine.index_file import read_index_file
from reid_hash.index._engine.query_tables import query_tables
from tests.index.plain import check, make_codes


@pytest.fixture(autouse=True, scope="module")
def _few_codes():
    """Tables of few codes, asked however much they would give: tests compare with plain loops."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segments, "BUFFER", 16)
        patch.setattr(segments, "TABLED", 32)
        patch.setattr(probe, "_SHARE", 1e-3)
        yield


@pytest.fixture
def asked(monkeypatch):
    """(queries, how many of them the tables answered) of every chunk of queries."""
    calls = []

    def counting(some, queries, k):
        found = probe.probe(some, queries, k)
        calls.append((len(queries), len(found.rows)))
        return found

    monkeypatch.setattr(engine, "probe", counting)
    return calls


def near_codes(random, n, bits, scenes, flipped=0.03, weights=None):
    """Codes of n pictures of some scenes."""
    centres = random.random((scenes, bits)) < 0.5
    ones = centres[random.integers(0, scenes, n)] ^ (random.random((n, bits)) < flipped)
    return Codes(np.packbits(ones, axis=1, bitorder="little"), bits, weights)


def some_weights(random, bits):
    weights = random.choice([np.ones(bits), 1 + random.random(bits), random.random(bits) ** 4])
    weights[random.random(bits) < random.choice([0.0, 0.2])] = 0.0
    weights[0] = 1.0  # a prefix may not weigh nothing
    return weights


@given(
    seed=st.integers(0, 2**32 - 1),
    bits=st.sampled_from([5, 8, 16, 17, 31, 48, 64, 100, 128, 200]),
    n=st.integers(0, 400),
    scenes=st.sampled_from([1, 3, 20]),
    k=st.sampled_from([1, 3, 12, 500]),
    scan_bits=st.sampled_from([None, 16]),
)
@settings(deadline=None, max_examples=150)
def test_answers_are_those_of_looking_at_every_code(seed, bits, n, scenes, k, scan_bits):
    random = np.random.default_rng(seed)
    codes = near_codes(random, n + 4, bits, scenes, weights=some_weights(random, bits))
    codes, query = codes[:n], codes[n:]
    ids = np.cumsum(random.integers(1, 4, n)).astype(np.int64)
    index = WeightedIndex(codes.weights, threads=1, scan_bits=scan_bits, hash_tables=True)
    for cut in np.array_split(np.arange(n), random.integers(1, 4)):
        index.add(codes[cut], ids[cut])
    check(index, query, codes, ids, k)
    check(index, 2.0 * query.unpack() - 1 + random.normal(0, 0.3, (4, bits)), codes, ids, k)
    shorter = index.prefix(int(random.integers(1, bits + 1)))
    check(shorter, query.prefix(shorter.bits), codes.prefix(shorter.bits), ids, k)
    check(index, query, codes, ids, k, np.flatnonzero(random.random(2 * n + 3) < 0.5))
    gone = ids[random.random(n) < 0.3]
    index.remove(gone)
    kept = ~np.isin(ids, gone)
    check(index, query, codes[kept], ids[kept], k)


def test_near_codes_are_found_in_the_tables_and_far_ones_by_a_scan(asked):
    random = np.random.default_rng(0)
    codes = near_codes(random, 3000, 128, 30, weights=1 + random.random(128))
    index = WeightedIndex(codes.weights, threads=1, hash_tables=True)
    index.add(codes[:2960], np.arange(2960))
    check(index, codes[2960:], codes[:2960], np.arange(2960), 20)
    assert asked == [(16, 16), (16, 16), (8, 8)]
    asked.clear()
    check(index, make_codes(random, 5, 128), codes[:2960], np.arange(2960), 20)
    assert asked == [(5, 0)]
    asked.clear()
    mixed = Codes(np.concatenate([codes.packed[2990:], make_codes(random, 6, 128).packed]), 128)
    check(index, mixed, codes[:2960], np.arange(2960), 20)
    assert asked == [(16, 10)]


def test_tables_that_would_give_too_much_are_left_alone(asked, monkeypatch):
    monkeypatch.setattr(probe, "_SHARE", 200)
    codes = Codes(np.full((4000, 4), 37, np.uint8), 32)
    index = WeightedIndex(codes.weights, threads=1, hash_tables=True)
    index.add(codes, np.arange(4000))
    check(index, codes[:2], codes, np.arange(4000), 10)
    assert asked == [(2, 0)]


def test_every_code_that_is_not_found_is_at_least_as_far_as_the_bound():
    random = np.random.default_rng(5)
    for bits in (9, 40, 64):
        codes = near_codes(random, 300, bits, 4, 0.1, some_weights(random, bits))
        part = segments.Segment.build(codes.packed, np.arange(300), -(-bits // 8), tables=True)
        query = near_codes(random, 3, bits, 1)
        width = codes.packed.shape[1]
        queries = query_tables(query, codes, width, width)
        by_chunk = probe.chunk_tables(queries, part.tables.starts.shape[0])
        counts = random.integers(0, by_chunk.usable + 1)
        nothing = np.zeros_like(counts)
        _, near = probe._look_up([part.tables], by_chunk, nothing, counts, np.inf)
        table = dict(zip(zip(near.owners, near.places, strict=True), near.distances, strict=True))
        exact = (query.unpack()[:, None] ^ codes.unpack()) @ codes.weights.astype(np.float64)
        bound = by_chunk.bound(counts) + by_chunk.least
        for row, place in np.ndindex(*exact.shape):
            if (row, place) in table:
                assert table[row, place] == exact[row, place]
            else:
                assert exact[row, place] >= bound[row]


def test_threads_and_files_give_the_same_answers(asked, monkeypatch, tmp_path):
    random = np.random.default_rng(1)
    codes = near_codes(random, 2100, 64, 20)
    index = WeightedIndex(codes.weights, threads=3, hash_tables=True)
    monkeypatch.setattr(segments, "_SPLIT", 1000)
    index.add(codes[:2000], np.arange(2000))
    index.write(tmp_path / "index")
    header, arrays = read_index_file(tmp_path / "index")
    assert header["parts"] == 4
    assert all(f"slots{number}" in arrays for number in range(4))
    read = WeightedIndex.read(tmp_path / "index", threads=1)
    assert read.nbytes == index.nbytes
    for each in (index, read):
        asked.clear()
        check(each, codes[2000:], codes[:2000], np.arange(2000), 20)
        assert sum(answered for _, answered in asked) > 80
    read.add(codes[2000:], np.arange(2000, 2100))  # goes on with tables
    check(read, codes[:40], codes, np.arange(2100), 30)
    read.write(tmp_path / "more")
    header, arrays = read_index_file(tmp_path / "more")
    assert all(f"slots{number}" in arrays for number in range(header["parts"]))
