"""The log is damaged byte by byte, and what SQLite makes of it is what counts."""

import contextlib
import logging
import shutil
import sqlite3
import struct
import subprocess
import sys

import numpy as np
import pytest

from reid_hash.errors import GalleryError
from reid_hash.gallery.sqlite import write_ahead_log
from reid_hash.gallery.sqlite.gallery import Gallery
from reid_hash.gallery.sqlite.verify import fix, verify
from reid_hash.gallery.sqlite.write_ahead_log import find_log_damage
from tests.gallery.galleries import make, some_codes, some_sightings

FRAME = 24 + 4096


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch):
    monkeypatch.setattr(write_ahead_log, "PAUSE", 0.0)


@pytest.fixture
def folder(tmp_path):
    """What a killed writer leaves: 400 sightings in the database, 60 in its log."""
    with make(tmp_path / "made", 400) as gallery:
        gallery._database._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        for start in range(3):
            gallery.add(some_codes(20, seed=start), some_sightings(20))
        shutil.copytree(gallery.folder, tmp_path / "g")
    (tmp_path / "g" / "gallery.sqlite-shm").unlink()
    return tmp_path / "g"


def log_of(folder):
    return folder / "gallery.sqlite-wal"


def flip(path, place, mask=1):
    data = bytearray(path.read_bytes())
    data[place] ^= mask
    path.write_bytes(data)


def rows(folder):
    """How many sightings SQLite finds; the files stay as they are."""
    uri = f"{(folder / 'gallery.sqlite').as_uri()}?mode=ro"
    with contextlib.closing(sqlite3.connect(uri, uri=True)) as db:
        return db.execute("SELECT count(*) FROM sightings").fetchone()[0]


def frames(data):
    """(place, commit mark) of each frame of a log."""
    places = range(32, len(data) - FRAME + 1, FRAME)
    return [(place, struct.unpack(">I", data[place + 4 : place + 8])[0]) for place in places]


def test_a_flipped_byte_in_the_log_is_no_silent_loss(folder, caplog):
    assert verify(folder) == []
    assert rows(folder) == 460
    log = log_of(folder)
    first = frames(log.read_bytes())[0][0]
    flip(log, first + 24 + 100)
    assert rows(folder) == 400  # so SQLite drops them, and says nothing
    before = log.read_bytes()
    (line,) = verify(folder)
    assert "the checksum of frame 1 of" in line
    assert "drops what was committed from there on (3 transactions)" in line
    with pytest.raises(GalleryError, match="`reid-hash gallery verify --fix .* goes on") as failure:
        Gallery.open(folder)
    assert "\n" not in str(failure.value)
    with caplog.at_level(logging.WARNING), Gallery.open(folder, read_only=True) as gallery:
        assert len(gallery.search_many(some_codes(1), 500)[0]) == 400
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert record.name.startswith("reid_hash.gallery")
    assert "checksum of frame 1" in record.getMessage()
    assert "\n" not in record.getMessage()
    assert log.read_bytes() == before  # neither look destroyed the evidence
    told = []
    done = fix(folder, told.append)
    assert told == done
    assert "3 transactions" in done[0]
    assert verify(folder) == []
    with Gallery.open(folder) as gallery:
        assert len(gallery) == 400
        gallery.add(some_codes(1), some_sightings(1))
    assert verify(folder) == []
    assert fix(folder) == []


def test_whatever_byte_flips_in_the_log_nothing_is_lost_silently(folder, tmp_path):
    log = log_of(folder)
    whole = log.read_bytes()
    random = np.random.default_rng(0)
    found = frames(whole)
    places = [*range(32), *random.integers(0, len(whole), 100).tolist()]
    for place, _ in (found[0], found[-2], found[-1]):
        places += range(place, place + 24)
    named = 0
    for place in places:
        flip(log, place, 1 << int(random.integers(8)))
        damage = find_log_damage(log)
        named += damage is not None
        if damage is None:
            assert rows(folder) == 460, place
        log.write_bytes(whole)
    assert named > 150
    assert find_log_damage(log) is None


def test_a_commit_mark_that_is_gone_is_found(folder):
    """With it the last transaction looks as if it had been under way when its process ended."""
    log = log_of(folder)
    data = bytearray(log.read_bytes())
    place, mark = frames(data)[-1]
    assert mark
    data[place + 4 : place + 8] = bytes(4)
    log.write_bytes(data)
    assert rows(folder) == 440
    assert "(1 transaction)" in find_log_damage(log).text


def test_what_a_killed_writer_leaves_is_no_damage(folder):
    """An unfinished transaction: frames that are cut off, torn, or lack the one that commits."""
    log = log_of(folder)
    whole = log.read_bytes()
    places = [place for place, _ in frames(whole)]
    commits = [i for i, (_, mark) in enumerate(frames(whole)) if mark]
    end = places[commits[1] + 1]  # behind the second of three transactions
    assert commits[2] - commits[1] > 2
    for cut in (end, end + 10, end + 24, end + 500, end + FRAME, end + FRAME + 1, end + 2 * FRAME):
        log.write_bytes(whole[:cut])
        assert find_log_damage(log) is None, cut
        assert verify(folder) == []
        assert rows(folder) == 440
    torn = bytearray(whole[: end + FRAME])
    torn[end + 24 + 2000 :] = bytes(FRAME - 24 - 2000)
    log.write_bytes(torn)
    assert find_log_damage(log) is None
    for left in (b"", whole[:20], whole[:32], bytes(32)):
        log.write_bytes(left)
        assert find_log_damage(log) is None
        assert rows(folder) == 400
    log.unlink()
    assert find_log_damage(log) is None


def test_frames_of_an_earlier_cycle_are_left_overs(folder):
    with Gallery.open(folder) as gallery:
        gallery.add(some_codes(60, seed=7), some_sightings(60))
        gallery._database._writer.execute("PRAGMA wal_checkpoint(RESTART)")
        gallery.add(some_codes(2, seed=8), some_sightings(2))
        shutil.copytree(folder, folder.parent / "copy")
    log = log_of(folder.parent / "copy")
    data = log.read_bytes()
    salts = [data[place + 8 : place + 16] for place, _ in frames(data)]
    assert salts[0] == data[16:24] != salts[-1]
    assert find_log_damage(log) is None
    flip(log, frames(data)[-1][0] + 300)
    assert find_log_damage(log) is None
    flip(log, frames(data)[0][0] + 300)
    assert "frame 1 of" in find_log_damage(log).text


def test_a_damaged_header_loses_the_whole_log(folder):
    log = log_of(folder)
    flip(log, 5)
    assert rows(folder) == 400
    assert "the header of the log is damaged" in find_log_damage(log).text
    with pytest.raises(GalleryError, match="header of the log"):
        Gallery.open(folder)
    fix(folder)
    assert verify(folder) == []
    with Gallery.open(folder, read_only=True) as gallery:
        assert len(gallery) == 400


def plain_seal(data, order):
    """A log with new checksums in words of the given order, by the definition."""
    magic = 0x377F0682 if order == "<" else 0x377F0683
    sealed = bytearray(data)
    sealed[:4] = struct.pack(">I", magic)
    s0 = s1 = 0

    def add(block):
        nonlocal s0, s1
        words = struct.unpack(f"{order}{len(block) // 4}I", block)
        for x0, x1 in zip(words[::2], words[1::2], strict=True):
            s0 = (s0 + x0 + s1) % 2**32
            s1 = (s1 + x1 + s0) % 2**32

    add(bytes(sealed[:24]))
    sealed[24:32] = struct.pack(">2I", s0, s1)
    for place, _ in frames(data):
        add(bytes(sealed[place : place + 8] + sealed[place + 24 : place + FRAME]))
        sealed[place + 16 : place + 24] = struct.pack(">2I", s0, s1)
    return bytes(sealed)


def test_checksums_are_those_of_the_definition_in_both_orders(folder):
    log = log_of(folder)
    whole = log.read_bytes()
    assert plain_seal(whole, "<" if whole[3] == 0x82 else ">") == whole
    for order in "<>":
        log.write_bytes(plain_seal(whole, order))
        assert find_log_damage(log) is None
        assert rows(folder) == 460
        flip(log, frames(whole)[3][0] + 30)
        assert "frame 4 of" in find_log_damage(log).text


def test_a_log_is_read_in_blocks(folder, monkeypatch):
    monkeypatch.setattr(write_ahead_log, "_BLOCK", 2 * FRAME)
    log = log_of(folder)
    assert find_log_damage(log) is None
    flip(log, frames(log.read_bytes())[5][0] + 30)
    assert "frame 6 of" in find_log_damage(log).text


WRITE = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("PRAGMA journal_mode=WAL")
db.execute("PRAGMA wal_autocheckpoint=20")
db.execute("PRAGMA synchronous=OFF")
db.execute("CREATE TABLE t (x)")
print("on", flush=True)
while True:
    db.execute("INSERT INTO t VALUES (zeroblob(9000))")
"""


@pytest.mark.slow
def test_a_writer_at_work_is_no_damage(tmp_path, monkeypatch):
    monkeypatch.setattr(write_ahead_log, "PAUSE", 0.02)
    process = subprocess.Popen(
        [sys.executable, "-c", WRITE, tmp_path / "a"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "on\n"
    try:
        for _ in range(300):
            assert find_log_damage(tmp_path / "a-wal") is None
        assert process.poll() is None
    finally:
        process.kill()
        process.communicate()
    assert find_log_damage(tmp_path / "a-wal") is None


def test_what_was_seen_only_once_is_not_reported(folder, monkeypatch):
    log = log_of(folder)
    whole = log.read_bytes()
    flip(log, frames(whole)[0][0] + 30)
    monkeypatch.setattr(write_ahead_log.time, "sleep", lambda _: log.write_bytes(whole))
    assert find_log_damage(log) is None
