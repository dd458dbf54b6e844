"""Files that claim more than they hold, and the codes of `load_codes` among them."""

import io
import tracemalloc
import zipfile

import numpy as np
import pytest

from reid_hash.codes import Codes, load_codes, save_codes
from reid_hash.errors import CodeError
from reid_hash.utils.npz import NpzFile


def header(shape, descr="|u1"):
    """The first bytes of an array in a file, without its data."""
    file = io.BytesIO()
    described = {"descr": descr, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, described)
    return file.getvalue()


def write(path, arrays, kind=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", kind) as archive:
        for name, data in arrays.items():
            if not isinstance(data, bytes):
                file = io.BytesIO()
                np.lib.format.write_array(file, np.asarray(data))
                data = file.getvalue()
            archive.writestr(f"{name}.npy", data)


def arrays(**changed):
    """What a file of 20 codes holds."""
    return {
        "packed": np.zeros((20, 2), np.uint8),
        "bits": np.int64(16),
        "weights": np.ones(16, np.float32),
        "model": np.str_("net"),
        "names": np.array([f"{i}.png" for i in range(20)]),
    } | changed


@pytest.mark.parametrize("kind", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_sound_files_are_read_compressed_or_not(tmp_path, kind):
    write(tmp_path / "x.npz", arrays(), kind)
    codes, names = load_codes(tmp_path / "x.npz")
    assert (len(codes), codes.bits, codes.model) == (20, 16, "net")
    assert names[3] == "3.png"
    order = np.asfortranarray(np.arange(12, dtype=np.uint8).reshape(6, 2))
    write(tmp_path / "x.npz", arrays(packed=order, names=np.array([], np.str_)), kind)
    np.testing.assert_array_equal(load_codes(tmp_path / "x.npz")[0].packed, order)
    save_codes(tmp_path / "y.npz", Codes(order, 16))
    assert load_codes(tmp_path / "y.npz")[1] == []


def test_a_bomb_takes_no_memory(tmp_path):
    """Three megabytes that would unpack to as many gigabytes."""
    path = tmp_path / "bomb.npz"
    rows = 2**31
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in arrays().items():
            if name != "packed":
                with archive.open(f"{name}.npy", "w") as file:
                    np.lib.format.write_array(file, np.asarray(data))
        with archive.open("packed.npy", "w", force_zip64=True) as file:
            file.write(header((rows // 2, 2)))
            for _ in range(rows // 2**24 // 8):  # an eighth is enough to be refused
                file.write(bytes(2**24))
    tracemalloc.start()
    with pytest.raises(CodeError, match="packed"):
        load_codes(path)
    assert tracemalloc.get_traced_memory()[1] < 2**24
    tracemalloc.stop()


@pytest.mark.parametrize("share", [8, 1])
def test_a_bomb_whose_header_is_true_takes_no_memory(tmp_path, share):
    path = tmp_path / "bomb.npz"
    size = 2**28 // share
    data = header((size // 2, 2)) + bytes(size)
    write(path, arrays(packed=data, names=np.array([], np.str_)), zipfile.ZIP_DEFLATED)
    if share == 8:  # 32 MB may be taken by any file
        assert len(load_codes(path)[0]) == size // 2
        return
    tracemalloc.start()
    with pytest.raises(CodeError, match=r"packed would take 268,435,456 bytes out of"):
        load_codes(path)
    assert tracemalloc.get_traced_memory()[1] < 2**24
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"packed": header((10**15, 2))}, "not of the size"),
        ({"packed": header((-5, 2)) + bytes(10)}, "damaged"),
        ({"packed": header((2**62, 2**62))}, "packed"),
        ({"packed": header((20, 3)) + bytes(60)}, r"shape \[20, 3\]"),
        ({"packed": header((20, 2), "<f4") + bytes(160)}, "packed is float32"),
        ({"packed": header((20, 2), "|O") + bytes(320)}, "packed is object"),
        ({"packed": header((20, 2))[:40]}, "damaged"),
        ({"packed": b"x" * 200}, "damaged"),
        ({"packed": b""}, "damaged"),
        ({"bits": np.int64(-16)}, "damaged"),
        ({"bits": np.array([16])}, "bits is"),
        ({"bits": np.float64(16)}, "bits is"),
        ({"bits": np.int64(2**62)}, "packed is"),
        ({"weights": np.ones(15, np.float32)}, "weights is"),
        ({"weights": np.full(16, np.nan)}, "finite"),
        ({"model": np.array(["a", "b"])}, "model is"),
        ({"model": np.str_("x" * 20_000)}, "model is"),
        ({"names": np.array(["x" * 20_000] * 20)}, "names is"),
        ({"names": np.array(["a"])}, "1 names for 20 codes"),
        ({"names": np.arange(20)}, "names is"),
    ],
)
def test_files_that_are_not_what_they_say_are_one_line(tmp_path, changed, message):
    write(tmp_path / "x.npz", arrays(**changed))
    with pytest.raises(CodeError, match=message) as failure:
        load_codes(tmp_path / "x.npz")
    assert "\n" not in str(failure.value)


def test_a_flipped_byte_is_found_by_the_checksum(tmp_path):
    random = np.random.default_rng(0).integers(0, 256, (50, 2), np.uint8)
    save_codes(tmp_path / "x.npz", Codes(random, 16))
    data = bytearray((tmp_path / "x.npz").read_bytes())
    data[data.index(random.tobytes()) + 7] ^= 1
    (tmp_path / "x.npz").write_bytes(data)
    with pytest.raises(CodeError, match="damaged"):
        load_codes(tmp_path / "x.npz")


def test_where_nothing_may_be_compressed_nothing_is_larger_than_the_file(tmp_path):
    path = tmp_path / "x.npz"
    write(path, {"a": np.zeros(1000, np.uint8)}, zipfile.ZIP_DEFLATED)
    with pytest.raises(ValueError, match="larger than the file"):
        NpzFile(path, stored=True)
    write(path, {"a": np.zeros(10, np.uint8)}, zipfile.ZIP_DEFLATED)
    with pytest.raises(ValueError, match="compressed"), NpzFile(path, stored=True) as file:
        file.read("a", "u", None)
    write(path, {"a": np.zeros(10, np.uint8)}, zipfile.ZIP_BZIP2)
    with pytest.raises(ValueError, match="compressed"), NpzFile(path) as file:
        file.read("a", "u", None)
    write(path, {"a": np.zeros(10, np.uint8)})
    with NpzFile(path, stored=True) as file:
        assert file.names == ["a"]
        assert file.read("a", "u", 10).sum() == 0
