"""`reid-hash gallery add`: which files are one sighting, and what is left out aloud."""

import os
import re
import shutil
import sys
from dataclasses import replace

import cv2
import pytest

from reid_hash.gallery.sqlite.gallery import Gallery
from tests.helpers import coloured_pixels
from tests.helpers import run_cli as run


@pytest.fixture
def crops(tmp_path, monkeypatch):
    """Four crops of different people, a.png … d.png, and a gallery g in the working folder."""
    monkeypatch.chdir(tmp_path)
    pixels = coloured_pixels(identities=4, images=2, height=64, width=32)
    (tmp_path / "crops").mkdir()
    for letter, image in zip("abcd", pixels.images[::2], strict=True):
        cv2.imwrite(str(tmp_path / "crops" / f"{letter}.png"), image)
    return tmp_path / "crops"


@pytest.fixture
def add(capsys):
    """Adds files to the gallery g; gives (how many were added, what was noted)."""
    run(capsys, "gallery", "create", "g", "--model", "small")

    def add(*arguments):
        code, out, err = run(capsys, "gallery", "add", "g", *arguments, "--device", "cpu")
        assert code == 0, err
        return int(re.search(r"added (\d+) sightings", out)[1]), err

    return add


def test_a_file_is_one_sighting_by_whatever_path(crops, add, monkeypatch, tmp_path):
    os.symlink(crops, tmp_path / "link")
    assert add("crops", crops, "link/a.png", "crops/../crops/b.png")[0] == 4
    number, noted = add(crops)
    assert number == 0
    assert "4 files are in the gallery already" in noted
    monkeypatch.chdir(crops)
    with Gallery.open("../g", read_only=True) as gallery:
        assert {one.source for one in gallery.sightings()} == {
            str(crops / f"{letter}.png") for letter in "abcd"
        }
        # and it is found, and forgotten, by whatever path too
        for name in ("a.png", "../link/a.png", str(crops / "a.png")):
            assert gallery.count(sources=[name]) == 1
            assert gallery.count(exclude_sources=[name]) == 3


def test_files_of_one_name_in_two_folders_are_two(crops, add, monkeypatch, tmp_path):
    for letter in "ab":
        (tmp_path / letter / "crops").mkdir(parents=True)
        shutil.copy(crops / f"{letter}.png", tmp_path / letter / "crops" / "x.png")
        monkeypatch.chdir(tmp_path / letter)
        os.symlink("../g", "g")
        assert add("crops")[0] == 1


@pytest.mark.parametrize("thumbnails", ["--thumbnails", "--no-thumbnails"])
def test_what_a_camera_overwrites_is_new_each_time(crops, add, thumbnails):
    for count, letter in enumerate("aba"):
        shutil.copy(crops / f"{letter}.png", "latest.png")
        number, noted = add("latest.png", thumbnails)
        assert number == 1
        assert ("added again, as their content has changed: 1 files" in noted) == (count > 0)
        assert add("latest.png", thumbnails)[0] == 0
    with Gallery.open("g", read_only=True) as gallery:
        assert len(gallery) == 3


def test_the_same_picture_in_another_file_format_is_new_with_thumbnails(crops, add):
    shutil.copy(crops / "a.png", "latest.png")
    assert add("latest.png")[0] == 1
    image = cv2.imread("latest.png")
    image[0, 0] ^= 1  # whatever the code, it is another picture
    cv2.imwrite("latest.png", image)
    number, noted = add("latest.png")
    assert number == 1
    assert "added again, as their content has changed: 1 files" in noted


@pytest.mark.skipif(sys.platform != "linux", reason="file names are Unicode here")
def test_names_that_are_no_text_stay_apart(crops, add):
    for letter, name in (("a", b"n\xe9.png"), ("b", b"n\xe8.png")):
        shutil.copy(crops / f"{letter}.png", os.fsdecode(name))
    names = [os.fsdecode(name) for name in (b"n\xe9.png", b"n\xe8.png")]
    assert add(*names)[0] == 2
    assert add(*names)[0] == 0
    with Gallery.open("g", read_only=True) as gallery:
        assert sorted(one.source[-9:] for one in gallery.sightings()) == ["/n%E8.png", "/n%E9.png"]
        assert gallery.count(sources=names[:1]) == 1


def test_galleries_with_sources_as_they_were_typed_go_on(crops, add):
    assert add("crops", "--no-thumbnails")[0] == 4
    with Gallery.open("g") as gallery:  # as it was written before
        codes, _ = gallery.codes()
        sightings = gallery.sightings()
        gallery.forget(cameras=[""])
        older = [
            replace(one, id=None, source=f"crops/{letter}.png")
            for letter, one in zip("abcd", sightings, strict=True)
        ]
        gallery.add(codes, older)
    shutil.copy("crops/b.png", "crops/a.png")
    number, noted = add("crops")
    assert number == 1
    assert "3 files are in the gallery already" in noted
    with Gallery.open("g", read_only=True) as gallery:
        assert gallery.count(sources=["crops/a.png"]) == 2  # both forms


def test_what_is_left_out_is_counted(crops, add, capsys, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    shutil.copy(crops / "a.png", tmp_path / "elsewhere" / "e.png")
    os.symlink(tmp_path / "elsewhere", crops / "linked")
    os.symlink(crops, crops / "again")
    os.symlink("nowhere", crops / "gone.jpg")
    (crops / "__MACOSX").mkdir()
    for name in ("._a.png", "__MACOSX/._b.png", "notes.txt"):
        (crops / name).write_bytes(b"no image")
    for name in ("f.gif", "g.jfif", "h.avif"):
        data = cv2.imencode(".jpg", cv2.imread(str(crops / "a.png")))[1]
        (crops / name).write_bytes(bytes(data))
    number, noted = add("crops")
    assert number == 4 + 1 + 1
    left_out = (
        "1 .avif file, 1 .gif file, 1 .txt file, 1 broken link, 1 hidden file, 1 hidden folder, "
        "1 repeated folder"
    )
    assert f"left out of crops: {left_out}" in noted
    for command in (["search", "crops", "--gallery", "g"], ["encode", "crops", "-o", "c.npz"]):
        code, _, err = run(capsys, *command, "--device", "cpu", "--model", "small")
        assert code == 0, err
        assert left_out in err


def test_each_command_advises_what_it_has(crops, add, capsys):
    assert add("crops")[0] == 4
    (crops / "bad.png").write_bytes(b"no image")
    code, _, err = run(capsys, "search", "crops", "--gallery", "g")
    assert (code, "--skip-unreadable" in err) == (1, False)
    assert "1 of 5 images cannot be read" in err
    for command in (["encode", "crops", "-o", "c.npz"], ["gallery", "add", "g", "crops/bad.png"]):
        code, _, err = run(capsys, *command, "--model", "small")
        assert code == 1
        assert "leave them out with --skip-unreadable" in err
