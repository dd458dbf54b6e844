"""The proof that an answer is exact, with a plain scan in the place of the engine."""

import numpy as np
import pytest

from reid_hash.codes import Codes
from reid_hash.distances import asymmetric, hamming, weighted
from reid_hash.errors import GalleryError
from reid_hash.gallery.milvus.address import is_milvus, parse_address
from reid_hash.gallery.milvus.collection import plan
from reid_hash.gallery.milvus.nearest import bounds, search, whole_bits
from reid_hash.gallery.milvus.numbers import Numbers


class Scan:
    """Gives the candidates of smallest Hamming distance over all bits, ties in any order."""

    def __init__(self, codes, seed):
        self.codes, self.random, self.asked = codes, np.random.default_rng(seed), []

    def candidates(self, sent, count):
        self.asked.append(count)
        found = []
        for one in sent:
            query = Codes(np.frombuffer(one, np.uint8)[None], self.codes.bits)
            distances = hamming(query, Codes(self.codes.packed, self.codes.bits))[0]
            mixed = self.random.permutation(len(distances))
            order = mixed[np.argsort(distances[mixed], kind="stable")][:count]
            found.append([(int(i), int(distances[i])) for i in order])
        return found

    def stored(self, ids):
        return np.array(ids, np.int64), self.codes.packed[list(ids)]


def answers(codes, query, bits, k, most, seed, whole_scan=True):
    """What is found, and the same by sorting all distances."""
    compared = query.prefix(bits) if isinstance(query, Codes) else query[:, :bits]
    like = codes[:0].prefix(bits)
    limits = bounds(compared, like, whole_bits(query, codes.packed.shape[1]))
    scan = Scan(codes, seed)
    found = search(compared, like, limits, k, scan.candidates, scan.stored, most, whole_scan)
    of = weighted if isinstance(query, Codes) else asymmetric
    distances = of(compared, codes.prefix(bits))
    wanted = [np.argsort(row, kind="stable")[:k] for row in distances]
    return found, wanted, distances, scan


def some(n, bits, seed, low, near=0.0):
    """Codes with weights from `low` to 1, a share of them near one another."""
    random = np.random.default_rng(seed)
    outputs = random.normal(size=(n, bits))
    crowd = random.random(n) < near
    outputs[crowd] = np.sign(outputs[0]) + 0.7 * random.normal(size=(crowd.sum(), bits))
    return outputs, random.uniform(low, 1.0, bits)


@pytest.mark.parametrize("real", [False, True])
def test_what_is_called_exact_is_and_both_kinds_of_answer_occur(real):
    kinds = set()
    for seed in range(12):
        bits = (20, 32, 44)[seed % 3]
        outputs, weights = some(3000, bits, seed, (0.9, 0.3, 0.0)[seed % 3], near=0.3)
        codes = Codes.from_outputs(outputs, weights)
        near = outputs[:3] + 0.3 * np.random.default_rng(seed).normal(size=(3, bits))
        query = np.tanh(near) if real else Codes.from_outputs(near, weights)
        for length in (bits, bits - 1, 12):
            found, wanted, distances, _ = answers(codes, query, length, 5, 512, seed)
            for i, one in enumerate(found):
                assert one.distances.tolist() == distances[i][one.ids].tolist()
                pairs = list(zip(one.distances, one.ids, strict=True))
                assert pairs == sorted(pairs)
                if one.exact:
                    assert one.ids.tolist() == wanted[i].tolist()
                kinds.add((length == 12, one.exact))
    assert {(False, True), (False, False), (True, False)} <= kinds


def test_more_are_fetched_until_the_answer_is_proven():
    outputs, weights = some(4000, 32, 3, 0.1)
    codes = Codes.from_outputs(outputs, weights)
    query = Codes.from_outputs(some(2, 32, 4, 0.1)[0], weights)
    found, wanted, _, scan = answers(codes, query, 32, 20, 16_384, 0)
    assert [one.ids.tolist() for one in found] == [row.tolist() for row in wanted]
    assert all(one.exact for one in found)
    assert scan.asked[0] == 256
    assert len(scan.asked) > 1
    assert all(
        later == 4 * before for before, later in zip(scan.asked, scan.asked[1:], strict=False)
    )


def test_an_index_that_leaves_codes_out_is_never_called_exact():
    outputs, weights = some(50, 16, 5, 1.0)
    codes = Codes.from_outputs(outputs, weights)
    found, wanted, _, _ = answers(codes, codes[:2], 16, 3, 64, 0, whole_scan=False)
    assert [one.exact for one in found] == [False, False]
    assert [one.ids.tolist() for one in found] == [row.tolist() for row in wanted]


@pytest.mark.parametrize("bits", [1, 13, 16])
def test_no_code_costs_less_than_the_bound(bits):
    outputs, weights = some(400, 16, 6, 0.0)
    codes = Codes.from_outputs(outputs, weights)
    values = np.random.default_rng(7).uniform(-1, 1, (4, 16))
    for query in (codes[:4], values):
        compared = query.prefix(bits) if isinstance(query, Codes) else query[:, :bits]
        whole = whole_bits(query, 2)
        apart = hamming(Codes(whole, 16), Codes(codes.packed, 16))
        of = weighted if isinstance(query, Codes) else asymmetric
        distances = of(compared, codes.prefix(bits))
        for i, limit in enumerate(bounds(compared, codes.prefix(bits), whole)):
            assert (distances[i] >= limit.least[apart[i]]).all()
            assert limit.least[-1] <= limit.least[0] + weights.sum() + 1e-6


def test_numbers_ascend_and_differ_between_writers():
    one, two = Numbers(1), Numbers(65_535)
    made = np.concatenate([one.take(1000), one.take(1), one.take(0), one.take(5000)])
    assert (np.diff(made) > 0).all()
    others = two.take(6000)
    assert not set(made.tolist()) & set(others.tolist())
    assert made.min() > 0
    assert others.dtype == np.int64


@pytest.mark.parametrize(
    ("text", "uri", "name"),
    [
        ("milvus://db:1/p", "http://db:1", "p"),
        ("milvus://db.example/p_2", "http://db.example:19530", "p_2"),
        ("milvus+tls://db/p", "https://db:19530", "p"),
        ("milvus:a.db/p", "a.db", "p"),
        ("milvus:a/b c/d.db/p", "a/b c/d.db", "p"),
        ("milvus:/a/b.db/p", "/a/b.db", "p"),
        ("milvus:///a/b.db/p", "/a/b.db", "p"),
    ],
)
def test_addresses(text, uri, name):
    address = parse_address(text)
    assert (address.uri, address.name, str(address)) == (uri, name, text)
    assert (address.file is None) == uri.startswith("http")


@pytest.mark.parametrize("text", ["milvus:", "milvus://", "milvus://a.db", "milvus:p", "milvus:/p"])
def test_what_is_no_address_is_refused(text):
    assert is_milvus(text)
    with pytest.raises(GalleryError, match="is no address of a gallery"):
        parse_address(text)


def test_a_plan_suits_the_size():
    assert plan(0, 128) == plan(100_000_000, 128) == (1, "BIN_FLAT", 0, 0)
    big, huge = plan(10**9, 128), plan(10**10, 64)
    assert (big.shards, huge.shards) == (10, 16)
    for one in (big, huge):
        assert one.kind == "BIN_IVF_FLAT"
        assert 1 <= one.probes < one.lists <= 65_536
