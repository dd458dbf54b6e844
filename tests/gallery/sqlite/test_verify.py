"""Damage is done to real files, a byte at a time."""

import contextlib
import shutil
import sqlite3

import numpy as np
import pytest

from reid_hash.errors import GalleryError
from reid_hash.gallery.sqlite.gallery import Gallery
from reid_hash.gallery.sqlite.verify import verify
from tests.gallery.galleries import contents, make, some_codes


@pytest.fixture
def folder(tmp_path):
    with make(tmp_path / "g", thumbnail=b"a small picture" * 9) as gallery:
        gallery.people.assign([1, 2, 3], "Ann")
        gallery.calibration = None
    return tmp_path / "g"


def flip(path, place, mask=1):
    data = bytearray(path.read_bytes())
    data[place] ^= mask
    path.write_bytes(data)


def test_a_sound_gallery_has_no_damage(folder):
    assert verify(folder) == []
    with pytest.raises(GalleryError, match="is no gallery"):
        verify(folder.parent)


@pytest.mark.parametrize(
    ("needle", "message"),
    [
        (some_codes().packed[6].tobytes(), "sighting 7: its checksum differs"),
        (b"cam1", "sighting 2: its checksum differs"),
        (b"a small picture" * 9, "thumbnail of sighting 3: its checksum differs"),
        (b"Ann", "identity #1: its checksum differs"),
        (some_codes().weights.tobytes()[:20], "meta: the value of weights is damaged"),
    ],
)
def test_a_flipped_byte_is_found_and_named(folder, needle, message):
    """Wherever the bytes stand, in a table or in an index of it."""
    database = folder / "gallery.sqlite"
    whole, lines, place = database.read_bytes(), [], -1
    while (place := whole.find(needle, place + 1)) >= 0:
        flip(database, place + 1)
        damage = verify(folder)
        assert damage
        lines += damage
        database.write_bytes(whole)
    assert any(message in line for line in lines)


def test_any_flipped_byte_is_found_or_changes_nothing(folder):
    """Whatever bit of the database flips, either it is found or every value is as it was."""
    with Gallery.open(folder, read_only=True) as gallery:
        before = contents(gallery)
    database = folder / "gallery.sqlite"
    whole = database.read_bytes()
    random = np.random.default_rng(0)
    found = 0
    for _ in range(150):
        place, bit = int(random.integers(len(whole))), int(random.integers(8))
        flip(database, place, 1 << bit)
        damage = verify(folder)
        if damage:
            found += 1
            assert all("\n" not in line for line in damage)
        else:
            with Gallery.open(folder, read_only=True) as gallery:
                assert contents(gallery) == before, (place, bit)
        database.write_bytes(whole)
    assert found > 30  # the rest hit bytes that nothing stands in
    assert verify(folder) == []


def test_rows_that_do_not_fit_together_are_named(folder):
    with contextlib.closing(sqlite3.connect(folder / "gallery.sqlite")) as db, db:
        db.execute("UPDATE sightings SET identity = 99 WHERE id = 4")
        db.execute("UPDATE sightings SET code = x'00' WHERE id = 5")
        db.execute("DELETE FROM meta WHERE key = 'weights'")
    damage = "\n".join(verify(folder))
    assert "sightings row 4 refers to a row of identities that is not there" in damage
    assert "sighting 4: its checksum differs" in damage
    assert "sighting 5: its code is not of 6 bytes" in damage
    assert "meta: weights is missing" in damage


def test_much_damage_is_counted(folder):
    with contextlib.closing(sqlite3.connect(folder / "gallery.sqlite")) as db, db:
        db.execute("UPDATE sightings SET camera = 'x'")
    damage = verify(folder)
    assert damage[:2] == [f"sighting {i}: its checksum differs" for i in (1, 2)]
    assert damage[-1].startswith("and 40 more")


@pytest.mark.parametrize("size", [0, 50, 1000, 9000])
def test_a_cut_database_is_one_line(folder, size):
    database = folder / "gallery.sqlite"
    database.write_bytes(database.read_bytes()[:size])
    damage = verify(folder)
    assert damage
    with pytest.raises(GalleryError) as failure, Gallery.open(folder) as gallery:
        gallery.sightings()
        raise GalleryError("the pages that are left were read")
    assert "\n" not in str(failure.value)


def test_a_damaged_row_is_not_sealed_anew(folder):
    number = 7
    database = folder / "gallery.sqlite"
    flip(database, database.read_bytes().index(some_codes().packed[number - 1].tobytes()))
    assert verify(folder) == [f"sighting {number}: its checksum differs"]
    with Gallery.open(folder) as gallery:
        with pytest.raises(GalleryError, match=f"sighting {number} is damaged"):
            gallery.people.assign(range(1, 61), "Bob")
        with pytest.raises(GalleryError, match=f"sighting {number} is damaged"):
            gallery.export(folder.parent / "x.npz")
        assert gallery.forget(ids=[number]) == 1  # what cannot be mended can be removed
    assert verify(folder) == []


def index_of(folder):
    (path,) = folder.glob("*.index")
    return path


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "delete"])
def test_a_damaged_index_is_named_not_used_and_made_anew(folder, damage):
    path = index_of(folder)
    with Gallery.open(folder, read_only=True) as gallery:
        want = gallery.search_many(some_codes(3, seed=2), 9)
    if damage == "flip":
        flip(path, path.stat().st_size // 2)
    elif damage == "delete":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[: 700 if damage == "cut" else 0])
    lines = verify(folder)
    assert len(lines) == (0 if damage == "delete" else 1)
    assert all("index" in line and "damaged" in line for line in lines)
    with Gallery.open(folder, read_only=True) as gallery:
        assert gallery.search_many(some_codes(3, seed=2), 9) == want
        assert gallery.info()["index_cache"] == ("missing" if damage == "delete" else "damaged")
    Gallery.open(folder).close()
    assert verify(folder) == []
    with Gallery.open(folder, read_only=True) as gallery:
        assert gallery.info()["index_cache"] == "up to date"


def test_an_index_of_another_state_is_not_used(folder, tmp_path):
    """Of another gallery, of a time before an erasure, and of a time that was undone."""
    with Gallery.open(folder, read_only=True) as gallery:
        want = gallery.search_many(some_codes(3, seed=2), 9)
    shutil.copytree(folder, tmp_path / "copy")
    with Gallery.open(folder) as gallery:
        gallery.add(some_codes(20, seed=7), [gallery.sightings(ids=[1])[0]] * 20)
    newer = index_of(folder)
    shutil.copy(newer, tmp_path / "copy")  # the copy has fewer rows
    with make(tmp_path / "other", 70) as other:
        other.write_cache()
    shutil.copy(index_of(tmp_path / "other"), tmp_path / "copy")
    with Gallery.open(tmp_path / "copy") as gallery:
        assert gallery.search_many(some_codes(3, seed=2), 9) == want
        # rows that are not those of the newer index, though it would fit by its number
        gallery.add(some_codes(20, seed=8), [gallery.sightings(ids=[1])[0]] * 20)
        assert gallery.search_many(some_codes(20, seed=8)[19:], 1)[0][0].distance == 0
    shutil.copy(newer, tmp_path / "copy")
    with Gallery.open(tmp_path / "copy", read_only=True) as gallery:
        assert gallery.search_many(some_codes(20, seed=8)[19:], 1)[0][0].distance == 0
        assert gallery.search_many(some_codes(20, seed=7)[19:], 1)[0][0].distance > 0


def test_an_index_that_is_a_little_behind_is_used_as_it_is(tmp_path):
    with make(tmp_path / "g", 300) as gallery:
        assert gallery.write_cache()
        assert not gallery.write_cache()
        before = index_of(gallery.folder)
        gallery.add(some_codes(1, seed=7), gallery.sightings(ids=[1]))
    assert index_of(gallery.folder) == before
    with Gallery.open(gallery.folder, read_only=True) as gallery:
        assert gallery.info()["index_cache"] == "1 sightings behind"
        assert gallery.search_many(some_codes(1, seed=7), 1)[0][0].sighting.id == 301
    with pytest.raises(GalleryError, match="no longer open"):
        gallery.count()
