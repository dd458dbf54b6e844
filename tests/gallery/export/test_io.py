import subprocess
import sys

import numpy as np
import pytest

from reid_hash.calibration import calibrate_codes
from reid_hash.errors import CodeError, GalleryError
from reid_hash.gallery.export import io
from reid_hash.gallery.sighting import Sighting
from reid_hash.gallery.sqlite.gallery import Gallery
from tests.gallery.galleries import contents, make, some_codes

KINDS = ["npz", "parquet"]


def require(kind):
    if kind == "parquet":
        pytest.importorskip("pyarrow")


@pytest.fixture
def gallery(tmp_path):
    """With all kinds of values, and gaps in its ids."""
    with make(tmp_path / "g") as opened:
        odd = [
            Sighting("Tür ö\n", 1.7e9 + 1e-6, "", None, -(2**62), (0.1, -2.5, 1e300, 0), b""),
            Sighting("", -0.5, "ü" * 300, 2**62, None, None, bytes(range(256)) * 20, None, "Zoë"),
            Sighting(thumbnail=None, name="a, b; c"),
        ]
        opened.add(some_codes(3, seed=1), odd)
        opened.people.assign([3, 4, 5], "Ann")
        opened.people.split("Ann", ids=[4])  # an identity without a name
        opened.forget(ids=[7, 8, 20])
        codes = some_codes(20)
        opened.calibration = calibrate_codes(codes, np.arange(20) // 4, np.arange(20) % 2, [16])
        yield opened


@pytest.mark.parametrize("kind", KINDS)
def test_a_round_trip_loses_nothing(gallery, tmp_path, monkeypatch, kind):
    require(kind)
    monkeypatch.setattr(io, "_PART", 7)  # several parts
    assert gallery.export(tmp_path / f"x.{kind}") == 60
    with Gallery.load(tmp_path / "h", tmp_path / f"x.{kind}") as loaded:
        assert contents(loaded) == contents(gallery)
        assert loaded.calibration.to_json() == gallery.calibration.to_json()
        assert loaded.verify() == []
        (new,) = loaded.add(some_codes(1), [Sighting(name="new")])
        assert new == 64


@pytest.mark.parametrize("kind", KINDS)
def test_importing_into_a_gallery_that_has_rows(gallery, tmp_path, kind):
    require(kind)
    gallery.export(tmp_path / f"x.{kind}")
    with make(tmp_path / "h", 5) as other:
        other.people.assign([1], "Ann")
        assert other.import_file(tmp_path / f"x.{kind}") == 60
        assert len(other) == 65
        names = {identity.name: identity.sightings for identity in other.people.identities()}
        assert names == {"Ann": 3, None: 1, "Zoë": 1, "a, b; c": 1}
        assert other.verify() == []


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_gallery(tmp_path, kind):
    require(kind)
    with Gallery.create(tmp_path / "g", 16, np.arange(16), "m") as empty:
        empty.export(tmp_path / f"x.{kind}")
        with Gallery.load(tmp_path / "h", tmp_path / f"x.{kind}") as loaded:
            assert contents(loaded) == contents(empty)


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_file_is_refused_and_leaves_nothing(gallery, tmp_path, kind):
    require(kind)
    file = tmp_path / f"x.{kind}"
    gallery.export(file)
    whole = file.read_bytes()
    before = contents(gallery)
    random = np.random.default_rng(0)
    damaged = [b"", whole[:40], whole[: len(whole) // 2], b"no such file at all"]
    places = random.integers(len(whole), size=20).tolist()
    for place in [*places, whole.index(b"Zo"), whole.index(b'"weights"') + 15]:
        damaged.append(whole[:place] + bytes([whole[place] ^ 16]) + whole[place + 1 :])
    refused = 0
    for data in damaged:
        file.write_bytes(data)
        try:
            loaded = Gallery.load(tmp_path / "h", file)
        except (GalleryError, CodeError) as error:
            refused += 1
            assert "\n" not in str(error)
            assert not list((tmp_path / "h").glob("gallery*"))
            with pytest.raises((GalleryError, CodeError)):
                gallery.import_file(file)
        else:  # the bit stood for nothing
            assert contents(loaded) == before
            loaded.close()
            for path in (tmp_path / "h").iterdir():
                path.unlink()
    assert refused >= 10
    assert contents(gallery) == before


def test_what_cannot_be_exported_or_imported_is_said(gallery, tmp_path):
    with pytest.raises(GalleryError, match=r"written as .parquet or .npz"):
        gallery.export(tmp_path / "x.csv")
    with pytest.raises(GalleryError, match="no such file"):
        gallery.import_file(tmp_path / "x.npz")
    np.savez(tmp_path / "x.npz", packed=np.zeros(3))
    with pytest.raises(GalleryError, match="no exported gallery"):
        gallery.import_file(tmp_path / "x.npz")
    gallery.export(tmp_path / "x.npz")
    with (
        Gallery.create(tmp_path / "h", 16, model="net") as other,
        pytest.raises(CodeError, match="44 bits do not fit"),
    ):
        other.import_file(tmp_path / "x.npz")
    with (
        Gallery.create(tmp_path / "i", 44, model="other") as other,
        pytest.raises(CodeError, match="of model net do not fit"),
    ):
        other.import_file(tmp_path / "x.npz")


WITHOUT = """
import sys
sys.modules["pyarrow"] = None  # as where it is not installed
from reid_hash.cli import main
main(["gallery", "export", sys.argv[1], sys.argv[2]])
"""


def test_without_pyarrow_it_is_said_what_to_install(gallery, tmp_path):
    out = subprocess.run(
        [sys.executable, "-c", WITHOUT, gallery.folder, tmp_path / "x.parquet"],
        capture_output=True,
        text=True,
    )
    assert out.returncode == 1
    assert out.stderr == (
        "error: Parquet needs pyarrow: pip install 'reid-hash[parquet]', or use a file named .npz\n"
    )
    assert not (tmp_path / "x.parquet").exists()
