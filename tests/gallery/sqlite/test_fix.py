"""What `verify --fix` does; the log and the permissions have tests of their own."""

import pytest

from reid_hash.errors import GalleryError
from reid_hash.gallery.sqlite.gallery import Gallery
from reid_hash.gallery.sqlite.verify import fix, verify
from tests.gallery.galleries import contents, make


@pytest.fixture
def folder(tmp_path):
    make(tmp_path / "g").close()
    return tmp_path / "g"


def test_a_sound_gallery_is_left_as_it_is(folder):
    before = {path: path.read_bytes() for path in folder.iterdir()}
    assert fix(folder) == []
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_damaged_index_files_are_deleted(folder):
    (path,) = folder.glob("*.index")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert fix(folder) == [
        f"index: {path.name} is damaged: its checksum differs; deleted",
    ]
    assert not path.exists()
    assert verify(folder) == []


def test_it_needs_the_writers_lock(folder):
    with Gallery.open(folder), pytest.raises(GalleryError, match="another process writes"):
        fix(folder)


def test_rows_that_are_damaged_stay_and_are_named(folder):
    with Gallery.open(folder, read_only=True) as gallery:
        before = contents(gallery)
    database = folder / "gallery.sqlite"
    data = bytearray(database.read_bytes())
    data[data.index(b"video1.mp4")] ^= 1
    database.write_bytes(data)
    damage = verify(folder)
    assert damage
    assert fix(folder) == []
    assert verify(folder) == damage
    with Gallery.open(folder, read_only=True) as gallery:
        assert len(contents(gallery)[0]) == len(before[0])


def test_left_overs_of_a_killed_writer_are_deleted(folder):
    left = folder / ".gallery-xyz"
    left.mkdir(mode=0o700)
    (left / "index").write_bytes(b"codes")
    (left / "index").chmod(0o600)
    fix(folder)
    assert not left.exists()


def test_what_is_no_gallery_is_told(tmp_path):
    with pytest.raises(GalleryError, match="is no gallery"):
        fix(tmp_path)
