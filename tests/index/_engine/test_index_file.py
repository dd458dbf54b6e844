import numpy as np
import pytest

from reid_hash.codes import Codes
from reid_hash.errors import CodeError
from reid_hash.gallery.sqlite import index as gallery_index
from reid_hash.gallery.sqlite.index import choose_scan_bits
from reid_hash.index import make_index, read_index
from reid_hash.index._engine.index_file import read_index_file, write_index_file

NAMES = ["weighted", "weighted-multihash", "weighted-ivf", "flat", "ivf"]


@pytest.fixture(params=NAMES)
def written(request, tmp_path):
    codes = Codes(np.arange(60, dtype=np.uint8).reshape(20, 3), 24, np.arange(24) + 1)
    index = make_index(request.param, codes, threads=1)
    index.add(codes, np.arange(20))
    path = tmp_path / "a.index"
    index.write(path)
    return index, codes, path


def test_every_kind_is_read_by_what_the_file_says(written):
    index, codes, path = written
    read = read_index(path, threads=1)
    assert type(read) is type(index)
    assert read.bits == 24
    np.testing.assert_array_equal(read.search(codes, 5).ids, index.search(codes, 5).ids)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
def test_a_file_that_is_cut_short_is_told(written, share):
    path = written[2]
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(CodeError, match="no index|cut short"):
        read_index(path)


def test_other_files_are_told(tmp_path):
    with pytest.raises(CodeError, match="no such file"):
        read_index(tmp_path / "none")
    (tmp_path / "other").write_text("something else")
    with pytest.raises(CodeError, match="no index of this version"):
        read_index(tmp_path / "other")
    write_index_file(tmp_path / "kind", {"kind": "new"}, {})
    with pytest.raises(CodeError, match="unknown kind: new"):
        read_index(tmp_path / "kind")
    codes = Codes(np.zeros((1, 1), np.uint8), 8)
    with pytest.raises(CodeError, match="no index of kind best"):
        make_index("best", codes)


def test_arrays_come_back_as_they_were(tmp_path):
    arrays = {
        "a": np.arange(7, dtype=np.int64),
        "b": np.zeros((0, 3), np.uint8),
        "c": np.random.default_rng(0).random((3, 5)).astype(np.float32),
    }
    write_index_file(tmp_path / "x", {"kind": "k", "n": 3}, arrays)
    header, read = read_index_file(tmp_path / "x", "k")
    assert header["n"] == 3
    for name, array in arrays.items():
        np.testing.assert_array_equal(read[name], array)
        assert read[name].dtype == array.dtype
        assert not read[name].flags.writeable
    with pytest.raises(CodeError, match="of kind k, not other"):
        read_index_file(tmp_path / "x", "other")


def test_few_bits_are_scanned_only_where_the_nearest_are_near(monkeypatch):
    monkeypatch.setattr(gallery_index, "_SURVIVOR", 1.0)  # as among a thousand times as many codes
    random = np.random.default_rng(0)
    centres = random.integers(0, 256, (500, 16), np.uint8)
    flips = np.packbits(random.random((20_000, 128)) < 0.03, axis=1)
    near = Codes(centres[random.integers(0, 500, 20_000)] ^ flips, 128)
    anywhere = Codes(random.integers(0, 256, (20_000, 16), np.uint8), 128)
    assert choose_scan_bits(near, 10, threads=1) <= 64
    assert choose_scan_bits(anywhere, 10, threads=1) >= 112
    assert choose_scan_bits(near[:100], 10) == 128
