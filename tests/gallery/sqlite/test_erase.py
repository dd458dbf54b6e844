"""Forgetting is tested by looking for the bytes in every file of the gallery's folder."""

import contextlib
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from datetime import timedelta

import pytest

from reid_hash.errors import GalleryError
from reid_hash.gallery.sighting import Sighting
from reid_hash.gallery.sqlite.gallery import Gallery
from tests.gallery.galleries import everything_in, make, some_codes, some_sightings

SECRET = b"\xff\xd8 a thumbnail that nobody may see again " + bytes(range(256)) * 30
NAME = "Persephone Unforgettable"


def traces(folder, *secrets):
    """(file, secret) wherever a secret stands."""
    return [
        (path.name, secret)
        for path, data in everything_in(folder).items()
        for secret in secrets
        if secret in data
    ]


@pytest.fixture
def secret(tmp_path):
    """A gallery with one sighting that is to be forgotten, and the bytes to look for."""
    # 128 bits: a code of 16 bytes stands nowhere by chance
    codes = some_codes(300, bits=128)
    gallery = Gallery.create(tmp_path / "g", codes.bits, codes.weights, codes.model)
    sightings = some_sightings(300)
    sightings[150] = Sighting(
        "secret camera", 5000.0, "secret source.mp4", thumbnail=SECRET, name=NAME
    )
    gallery.add(codes, sightings)
    gallery.write_cache()
    words = (codes.packed[150].tobytes(), SECRET[:60], SECRET[-60:], NAME.encode())
    words += (b"secret camera", b"secret source")
    assert {word for _, word in traces(gallery.folder, *words)} == set(words)
    yield gallery, words
    gallery.close()


@pytest.mark.parametrize(
    "where",
    [
        {"identities": [NAME]},
        {"cameras": ["secret camera"]},
        {"sources": ["secret source.mp4"]},
        {"since": 4000.0, "until": 6000.0},
        {"ids": [151]},
    ],
)
def test_nothing_is_left_of_what_was_forgotten(secret, where):
    gallery, words = secret
    assert gallery.forget(**where) == 1
    assert traces(gallery.folder, *words) == []  # while it is open
    assert len(gallery.search_many(some_codes(1, bits=128), 400)[0]) == 299
    gallery.close()
    assert traces(gallery.folder, *words) == []
    with Gallery.open(gallery.folder) as again:
        assert len(again) == 299
        assert again.people.identities() == []
        assert again.verify() == []


def test_pruning_erases_what_is_older(secret):
    gallery, words = secret
    assert gallery.prune(timedelta(seconds=1000), now=6001.0) == 300
    assert traces(gallery.folder, *words) == []
    assert len(gallery) == 0
    assert gallery.search_many(some_codes(1, bits=128)) == [[]]
    assert gallery.prune(timedelta(days=1)) == 0


def test_readers_do_not_keep_it(secret):
    gallery, words = secret
    with Gallery.open(gallery.folder, read_only=True) as reader:
        assert len(reader.search_many(some_codes(1, bits=128), 400)[0]) == 300
        gallery.forget(identities=[NAME])
        assert traces(gallery.folder, *words) == []
        assert len(reader.search_many(some_codes(1, bits=128), 400)[0]) == 299
    assert traces(gallery.folder, *words) == []


def test_a_name_stays_while_others_bear_it(secret):
    gallery, words = secret
    gallery.people.assign([1], NAME)
    gallery.forget(cameras=["secret camera"])
    assert traces(gallery.folder, words[0], SECRET[:60]) == []
    assert [identity.name for identity in gallery.people.identities()] == [NAME]


def test_what_to_forget_must_be_said(secret):
    with pytest.raises(GalleryError, match="say what to forget"):
        secret[0].forget()
    with pytest.raises(GalleryError, match="say what to forget"):
        secret[0].forget(cameras=None)


def test_forgetting_waits_for_a_reader_and_says_what_is_left_to_do(secret, monkeypatch):
    gallery, words = secret
    monkeypatch.setattr("reid_hash.gallery.sqlite.database.WAIT", 0.2)
    gallery.close()
    with Gallery.open(gallery.folder) as writer:
        database = gallery.folder / "gallery.sqlite"
        with contextlib.closing(sqlite3.connect(database, isolation_level=None)) as reader:
            reader.execute("BEGIN")  # it goes on seeing what is there now
            reader.execute("SELECT count(*) FROM sightings").fetchone()
            with pytest.raises(GalleryError, match="gone .*, but their bytes not yet"):
                writer.forget(identities=[NAME])
        assert len(writer) == 299
    with Gallery.open(gallery.folder):
        assert traces(gallery.folder, *words) == []


FORGET = """
import sys
from reid_hash.gallery.sqlite.gallery import Gallery
gallery = Gallery.open(sys.argv[1])
print("now", flush=True)
gallery.forget(cameras=["cam1"])
"""


@pytest.mark.slow
def test_killed_while_forgetting(tmp_path):
    """All rows are there, or none, and then the next writer leaves no byte of theirs."""
    with make(tmp_path / "whole", 900, thumbnail=SECRET) as gallery:
        gallery.people.assign([2, 5], NAME)
    outcomes = set()
    for attempt, delay in enumerate([0.0, 0.01, 0.02, 0.05]):
        folder = tmp_path / str(attempt)
        shutil.copytree(tmp_path / "whole", folder)
        process = subprocess.Popen([sys.executable, "-c", FORGET, folder], stdout=subprocess.PIPE)
        assert process.stdout.readline() == b"now\n"
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        with Gallery.open(folder) as gallery:
            outcomes.add(len(gallery))
            assert gallery.verify() == []
            assert len(gallery.search_many(some_codes(1), 1000)[0]) == len(gallery)
            if len(gallery) < 900:
                assert traces(folder, NAME.encode(), b"cam1") == []
    assert outcomes <= {600, 900}
