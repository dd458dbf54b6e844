from typing import get_args

import faiss
import numpy as np
import pytest

from reid_hash import index as room
from reid_hash.codes import Codes
from reid_hash.errors import CodeError
from reid_hash.index import (
    HammingIndex,
    IndexName,
    IvfWeightedIndex,
    WeightedIndex,
    make_index,
    read_index,
)
from reid_hash.index._engine.index_file import read_index_file, write_index_file
from tests.index.plain import check, make_codes


@pytest.mark.parametrize("name", get_args(IndexName))
def test_an_index_of_each_name_searches_and_is_read_from_its_file(name, tmp_path):
    random = np.random.default_rng(0)
    codes = make_codes(random, 40, 24, weights=1 + random.random(24))
    index = make_index(name, codes, threads=1)
    index.add(codes, np.arange(40))
    plain = isinstance(index, HammingIndex)
    check(index, codes[0], codes, np.arange(40), 5, plain=plain)
    index.write(tmp_path / "a.index")
    read = read_index(tmp_path / "a.index", threads=1)
    assert type(read) is type(index)
    check(read, codes[3:5], codes, np.arange(40), 5, plain=plain)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("weighted", "WeightedIndex(2 codes of 16 bits, model f00d)"),
        ("weighted-multihash", "WeightedIndex(2 codes of 16 bits, hash tables, model f00d)"),
        ("weighted-ivf", "IvfWeightedIndex(2 codes of 16 bits, no clusters yet, model f00d)"),
        ("flat", "HammingIndex(2 codes of 16 bits, flat, model f00d)"),
        ("ivf", "HammingIndex(2 codes of 16 bits, ivf, model f00d)"),
    ],
)
def test_indexes_are_shown_in_one_line(name, shown):
    codes = Codes.from_outputs(np.ones((2, 16)), model="f00d")
    index = make_index(name, codes)
    index.add(codes, np.array([1, 2]))
    assert repr(index) == shown
    assert repr(make_index("flat", Codes.empty(9))) == "HammingIndex(0 codes of 9 bits, flat)"


@pytest.mark.parametrize("name", ["hnsw", "multihash", "", None])
def test_an_unknown_name_is_refused_with_the_known_ones(name):
    with pytest.raises(CodeError, match="there are weighted, weighted-multihash, weighted-ivf, fl"):
        make_index(name, Codes.empty(8))


def test_what_the_room_says_is_public_is_there():
    assert all(hasattr(room, name) for name in room.__all__)


def test_a_file_with_another_index_of_faiss_is_refused(tmp_path):
    index = HammingIndex(16)
    index.add(Codes(np.zeros((2, 2), np.uint8), 16), np.array([0, 1]))
    index.write(tmp_path / "a.index")
    header, arrays = read_index_file(tmp_path / "a.index")
    header = {key: header[key] for key in header.keys() - {"arrays", "size", "start"}}
    graph = faiss.IndexBinaryHNSW(16, 4)
    graph.add(np.zeros((2, 2), np.uint8))
    other = {**arrays, "index": faiss.serialize_index_binary(graph)}
    write_index_file(tmp_path / "b.index", header, other)
    with pytest.raises(CodeError, match="it holds a IndexBinaryHNSW; make it anew"):
        read_index(tmp_path / "b.index")
    write_index_file(tmp_path / "c.index", {**header, "method": "hnsw"}, other)
    with pytest.raises(CodeError, match="no index of kind hnsw"):
        read_index(tmp_path / "c.index")
    write_index_file(tmp_path / "d.index", {**header, "kind": "tree"}, arrays)
    with pytest.raises(CodeError, match="of an unknown kind: tree"):
        read_index(tmp_path / "d.index")


@pytest.mark.parametrize("ids", [np.array([1, 2**63], np.uint64), [1, 2**64], [1.0, 2.0]])
def test_ids_that_int64_lacks_are_refused_and_never_wrapped(ids):
    codes = Codes.from_outputs(np.random.default_rng(0).normal(size=(2, 16)))
    for index in (WeightedIndex(codes.weights), HammingIndex(16), IvfWeightedIndex(codes.weights)):
        with pytest.raises(CodeError):
            index.add(codes, ids)
        index.add(codes, np.array([1, 2**63 - 1], np.uint64))
        assert index.search(codes, 1).ids.tolist() == [[1], [2**63 - 1]]
        with pytest.raises(CodeError):
            index.remove(ids)
        with pytest.raises(CodeError):
            index.search(codes, 1, only=ids)
        assert len(index) == 2
