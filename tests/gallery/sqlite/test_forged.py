"""A gallery that somebody made to do harm: each is one line, in bounded time and memory."""

import contextlib
import os
import sqlite3
import zlib

import numpy as np
import pytest

from reid_hash.errors import GalleryError, ReidHashError
from reid_hash.gallery.sqlite import work_limit
from reid_hash.gallery.sqlite.cache import index_files
from reid_hash.gallery.sqlite.gallery import Gallery
from reid_hash.gallery.sqlite.query import SEALED
from reid_hash.gallery.sqlite.schema import checksum
from reid_hash.gallery.sqlite.verify import verify
from reid_hash.index._engine.index_file import read_index_file, write_index_file
from tests.gallery.galleries import make, some_codes, some_sightings


@pytest.fixture
def folder(tmp_path):
    with make(tmp_path / "g", thumbnail=b"a small picture" * 9) as gallery:
        gallery.people.assign([1, 2, 3], "Ann")
    return tmp_path / "g"


@contextlib.contextmanager
def forging(folder):
    """The database, to be changed behind the toolkit's back."""
    with contextlib.closing(sqlite3.connect(folder / "gallery.sqlite")) as db, db:
        db.create_function("checksum", -1, checksum)
        yield db


def one_line(failure):
    assert "\n" not in str(failure.value)
    return str(failure.value)


def everything(folder):
    """Do all that one does with a gallery from somebody else."""
    with Gallery.open(folder, read_only=True) as gallery:
        gallery.info()
        gallery.search_many(some_codes(1), 100)
        gallery.sightings(thumbnails=True)
        gallery.people.identities()
        gallery.labelled(100)
        gallery.export(folder.parent / "x.npz")


def refused(folder, message, verified=None):
    """Reading fails in one line, `verify` names it, writing fails or does no harm."""
    with pytest.raises(ReidHashError, match=message) as failure:
        everything(folder)
    one_line(failure)
    lines = verify(folder)
    assert any((verified or message) in line for line in lines), lines
    assert all("\n" not in line and len(line) < 400 for line in lines)
    with contextlib.suppress(ReidHashError), Gallery.open(folder) as gallery:
        gallery.add(some_codes(1), some_sightings(1))


ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        (
            "ALTER TABLE sightings RENAME TO kept; CREATE VIEW sightings AS "
            + ENDLESS
            + "SELECT i id, x'00' code, '' camera, 0.0 time, '' source, 0 track, 0 frame, 0.0 x, "
            "0.0 y, 0.0 w, 0.0 h, 0 identity, 0 checksum FROM n",
            "which no gallery has in this form",
        ),
        (
            "DROP TABLE thumbnails; CREATE VIEW thumbnails AS "
            + ENDLESS
            + "SELECT i sighting, x'00' jpeg, 0 checksum FROM n",
            "holds the view 'thumbnails'",
        ),
        (
            "DROP TABLE meta; CREATE VIEW meta AS " + ENDLESS + "SELECT '' key, i value FROM n",
            "holds the view 'meta'",
        ),
        (
            "CREATE TRIGGER t AFTER INSERT ON sightings BEGIN DELETE FROM sightings; END",
            "holds the trigger 't'",
        ),
        ("CREATE VIRTUAL TABLE v USING fts4(x)", "holds the"),
        ("CREATE INDEX more ON sightings (frame)", "holds the index 'more'"),
        ("CREATE INDEX more ON sightings (abs(frame))", "holds the index 'more'"),
        ("CREATE TABLE extra (x)", "holds the table 'extra'"),
        ("DROP INDEX by_time", "lacks the index by_time"),
        ("DROP TABLE thumbnails", "lacks the table thumbnails"),
        ("ALTER TABLE sightings ADD COLUMN y2 AS (x + 1)", "holds the table 'sightings'"),
        ("ALTER TABLE thumbnails ADD COLUMN c CHECK (c > 0)", "holds the table 'thumbnails'"),
    ],
)
def test_other_tables_than_a_gallerys_are_refused(folder, sql, message):
    with contextlib.closing(sqlite3.connect(folder / "gallery.sqlite")) as db:
        db.executescript(sql)
    refused(folder, message)
    with pytest.raises(GalleryError, match=message):
        Gallery.open(folder)


def test_comments_and_spaces_of_the_tables_do_not_matter(folder):
    with forging(folder) as db:
        db.execute("PRAGMA writable_schema=ON")
        db.execute(
            "UPDATE sqlite_master SET sql = replace(replace(sql, 'code BLOB', "
            "'/* bits */ code\n\tBLOB'), '--', '-- -- ') WHERE name = 'sightings'"
        )
    everything(folder)
    assert verify(folder) == []


def test_a_newer_gallery_is_told_from_a_forged_one(folder):
    with forging(folder) as db:
        db.execute("CREATE TABLE extra (x)")
        db.execute("UPDATE meta SET value = 2, checksum = checksum(key, 2) WHERE key = 'schema'")
    with pytest.raises(GalleryError, match="tables of version 2; this version"):
        Gallery.open(folder)


NAN, INF = np.float32("nan"), np.float32("inf")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("bits", "44", "'44' is no value for bits"),
        ("bits", 2**62, "no value for bits"),
        ("bits", 2**40, "bytes of weights"),
        ("bits", -1, "no value for bits"),
        ("bits", 0, "no value for bits"),
        ("bits", None, "no value for bits"),
        ("bits", 44.0, "no value for bits"),
        ("bits", b"44", "no value for bits"),
        ("weights", np.full(44, NAN).tobytes(), "finite"),
        ("weights", np.full(44, INF).tobytes(), "finite"),
        ("weights", np.full(44, -1, np.float32).tobytes(), "not negative"),
        ("weights", np.zeros(44, np.float32).tobytes(), "not all be zero"),
        ("weights", np.ones(43, np.float32).tobytes(), "172 bytes of weights"),
        ("weights", b"", "bytes of weights"),
        ("weights", b"abc", "bytes of weights"),
        ("weights", "1,1", "no value for weights"),
        ("model", b"net", "no value for model"),
        ("model", None, "no value for model"),
        ("model", 3, "no value for model"),
        ("model", "x" * 2**17, "no value for model"),
        ("model_file", b"\xff", "no value for model_file"),
        ("gallery", "../../../tmp/x", "no value for gallery"),
        ("gallery", 7, "no value for gallery"),
        ("erasures", "many", "no value for erasures"),
        ("erasures", 2**63 - 1, "no value for erasures"),
        ("erasing", "yes", "no value for erasing"),
        ("schema", "1", "no value for schema"),
        ("readable_by", "all", "no value for readable_by"),
        ("calibration", "garbage", "the calibration is damaged"),
        ("calibration", b"{}", "no value for calibration"),
        ("calibration", "{}", "the calibration is damaged"),
        ("calibration", "[" * 100_000, "the calibration is damaged"),
        ("calibration", '{"tables": [{"bits": 8}], "about": ""}', "the calibration is damaged"),
        (
            "calibration",
            '{"tables": [{"bits": 8, "weighted": true, "size": 1e999, "genuine": [], '
            '"impostor": [1]}], "about": ""}',
            "the calibration is damaged",
        ),
    ],
)
def test_values_of_the_gallery_that_it_cannot_have(folder, key, value, message):
    with forging(folder) as db:
        db.execute("REPLACE INTO meta VALUES (?, ?, ?)", (key, value, checksum(key, value)))
    refused(folder, message)


def seal(db):
    db.execute(f"UPDATE sightings SET checksum = checksum({SEALED})")


@pytest.mark.parametrize(
    ("sql", "message", "verified"),
    [
        (
            "UPDATE sightings SET code = x'00' WHERE id = 5",
            "sighting 5 is damaged",
            "not of 6 bytes",
        ),
        ("UPDATE sightings SET code = 'text' WHERE id = 5", "sighting 5", "of another type"),
        ("UPDATE sightings SET code = zeroblob(5000000) WHERE id = 5", "sighting 5", "not of 6"),
        ("UPDATE sightings SET camera = x'00' WHERE id = 5", "damaged", "of another type"),
        ("UPDATE sightings SET source = x'00' WHERE id = 5", "sighting 5", "of another type"),
        ("UPDATE sightings SET time = 'noon' WHERE id = 5", "damaged", "of another type"),
        ("UPDATE sightings SET time = 9e999 WHERE id = 5", "damaged", "of another type"),
        ("UPDATE sightings SET time = -1e300 WHERE id = 5", "damaged", "of another type"),
        ("UPDATE sightings SET track = 'x' WHERE id = 5", "sighting 5", "of another type"),
        ("UPDATE sightings SET w = 9e999 WHERE id = 5", "sighting 5", "of another type"),
        ("UPDATE sightings SET x = NULL WHERE id = 5", "sighting 5", "of another type"),
        ("UPDATE sightings SET identity = 'Ann' WHERE id = 5", "damaged", "of another type"),
        ("UPDATE sightings SET id = -5 WHERE id = 5", "numbered -5 to 60", "numbered below 1"),
        ("UPDATE sqlite_sequence SET seq = 9223372036854775807", "counter of sightings is", ""),
        ("UPDATE sqlite_sequence SET seq = 'many'", "counter of sightings is damaged", ""),
        ("UPDATE sqlite_sequence SET seq = -1", "counter of sightings is damaged", ""),
        ("UPDATE sqlite_sequence SET seq = 3", "and not 1 to 3 as counted", ""),
        ("DELETE FROM sqlite_sequence", "and not 1 to 0 as counted", ""),
    ],
)
def test_rows_with_right_checksums_and_wrong_values(folder, sql, message, verified):
    with forging(folder) as db:
        db.execute(sql)
        seal(db)
    refused(folder, message, verified or message)


def test_text_that_is_no_utf8(folder):
    for column, where in (("camera", "sightings"), ("name", "identities")):
        with forging(folder) as db:
            db.execute(f"UPDATE {where} SET {column} = CAST(x'ff41' AS TEXT) WHERE id = 1")
        with pytest.raises(ReidHashError, match="no text") as failure:
            everything(folder)
        one_line(failure)
        lines = verify(folder)
        assert any("sighting 1: " in line or "no text" in line for line in lines), lines


def test_a_thumbnail_of_another_type_or_an_absurd_size(folder):
    with forging(folder) as db:
        db.execute("UPDATE thumbnails SET jpeg = 'text', checksum = checksum(sighting, 'text')")
    refused(folder, "sighting 1 is damaged", "thumbnail of sighting 1")
    with forging(folder) as db:
        db.execute("UPDATE thumbnails SET jpeg = zeroblob(300000000) WHERE sighting = 1")
    with pytest.raises(ReidHashError) as failure:
        everything(folder)
    one_line(failure)
    assert any("larger than any" in line for line in verify(folder))


def roots(database):
    """Root page of each table and index."""
    with contextlib.closing(sqlite3.connect(database)) as db:
        return dict(db.execute("SELECT name, rootpage FROM sqlite_master").fetchall())


def forge_endless(folder, table, depth=12, children=300):
    """Make a table's root a tree of pages each of which names the next many times."""
    database = folder / "gallery.sqlite"
    root = roots(database)[table]
    data = bytearray(database.read_bytes())
    size = 4096
    old = data[(root - 1) * size : root * size]
    first = len(data) // size + 1
    data += b"".join(bytes(size) for _ in range(depth + 1))
    pages = [root, *range(first, first + depth)]
    for page, child in zip(pages, [*pages[1:], first + depth], strict=True):
        start = (page - 1) * size
        content = bytearray(size)
        cells = [size - 5 * (i + 1) for i in range(children)]
        content[0] = 5  # interior page of a table
        content[3:5] = children.to_bytes(2, "big")
        content[5:7] = cells[-1].to_bytes(2, "big")
        content[8:12] = child.to_bytes(4, "big")
        for i, at in enumerate(cells):
            content[12 + 2 * i : 14 + 2 * i] = at.to_bytes(2, "big")
            content[at : at + 4] = child.to_bytes(4, "big")
            content[at + 4] = 60
        data[start : start + size] = content
    data[(first + depth - 1) * size :] = old if old[0] == 13 else _leaf(data, old, size)
    data[28:32] = (len(data) // size).to_bytes(4, "big")
    database.write_bytes(data)


def _leaf(data, page, size):
    """A leaf below an interior page."""
    while page[0] == 5:
        child = int.from_bytes(page[8:12], "big")
        page = data[(child - 1) * size : child * size]
    return page


@pytest.mark.parametrize("table", ["sightings", "thumbnails", "identities"])
def test_rows_without_end(folder, table):
    forge_endless(folder, table)
    endless = "hold more than a file of this size|is damaged"
    ended = []
    for act in (
        lambda gallery: gallery.info(),
        lambda gallery: gallery.count(),
        lambda gallery: gallery.count(cameras=["cam1"]),
        lambda gallery: gallery.search_many(some_codes(1), 5, exclude_cameras=["cam1"]),
        lambda gallery: gallery.sightings(thumbnails=True),
        lambda gallery: gallery.labelled(10),
        lambda gallery: gallery.export(folder.parent / "x.npz"),
        lambda gallery: gallery.codes(),
    ):
        with contextlib.ExitStack() as stack:
            try:
                act(stack.enter_context(Gallery.open(folder, read_only=True)))
            except ReidHashError as error:
                assert "\n" not in str(error)
                ended.append(str(error))
    ended += verify(folder)
    assert sum("hold more than a file of this size" in line for line in ended) >= 1
    for change in (
        lambda gallery: gallery.people.assign([1], "Bob"),
        lambda gallery: gallery.forget(cameras=["cam1"]),
    ):
        with (
            pytest.raises(ReidHashError, match=endless + "|malformed|gone from"),
            Gallery.open(folder) as gallery,
        ):
            change(gallery)
            gallery.add(some_codes(1), some_sightings(1))
            raise GalleryError("is damaged")  # it went well: nothing was without end there


def test_work_is_in_proportion_to_the_file(tmp_path, monkeypatch):
    """What a gallery needs stays far below what it may do, without the part that all may."""
    make(tmp_path / "g", 5000).close()
    for name in ("_STEPS", "_BYTES"):
        monkeypatch.setattr(work_limit, name, 0.0)
    monkeypatch.setattr(work_limit, "_STEPS_A_BYTE", work_limit._STEPS_A_BYTE / 3)
    monkeypatch.setattr(work_limit, "_EVERY", 100)
    with Gallery.open(tmp_path / "g") as gallery:
        gallery.people.assign(range(1, 4000), "Ann")
        assert gallery.verify() == []
        everything(gallery.folder)
        gallery.search_many(some_codes(3), 10, exclude_cameras=["cam1"])
        assert gallery.forget(cameras=["cam2"]) > 0  # VACUUM included
        assert gallery.verify() == []


def reindex(folder, change):
    """Write the index file anew, with other contents and a right checksum."""
    (file,) = index_files(folder)
    header, arrays = read_index_file(file.path)
    arrays = {name: array.copy() for name, array in arrays.items()}
    header = {k: v for k, v in header.items() if k not in ("arrays", "size", "start")}
    change(header, arrays)
    file.path.unlink()
    write_index_file(file.path, header, arrays, 0o600)
    name = file.path.name.replace(f"{file.crc32:08x}", f"{zlib.crc32(file.path.read_bytes()):08x}")
    file.path.rename(folder / name)


@pytest.mark.parametrize(
    "change",
    [
        lambda header, arrays: header.update(bits="many"),
        lambda header, arrays: header.update(bits=43),
        lambda header, arrays: header.update(parts=-1, last=3),
        lambda header, arrays: header.update(parts=10**9),
        lambda header, arrays: header.update(parts="x"),
        lambda header, arrays: header.update(scan_bits=None),
        lambda header, arrays: header.update(last=None),
        lambda header, arrays: header.pop("model"),
        lambda header, arrays: arrays.pop("rows"),
        lambda header, arrays: arrays.update(rows=arrays["rows"][:-1]),
        lambda header, arrays: arrays.update(rows=arrays["rows"][:, :-1]),
        lambda header, arrays: arrays.update(rows=np.zeros((600, 6), np.uint8)),
        lambda header, arrays: arrays.update(row_ids=arrays["row_ids"][::-1].copy()),
        lambda header, arrays: arrays.update(row_ids=arrays["row_ids"].astype(np.float64)),
        lambda header, arrays: arrays.update(row_ids=arrays["row_ids"] - 5),
        lambda header, arrays: arrays.update(weights=np.full(44, NAN)),
        lambda header, arrays: arrays.update(weights=arrays["weights"][:3]),
    ],
)
def test_an_index_with_a_right_checksum_and_a_wrong_header(folder, change):
    with Gallery.open(folder, read_only=True) as gallery:
        want = gallery.search_many(some_codes(3, seed=2), 9)
    reindex(folder, change)
    (line,) = verify(folder)
    assert line.startswith("index: ")
    assert "\n" not in line
    with Gallery.open(folder, read_only=True) as gallery:
        assert gallery.search_many(some_codes(3, seed=2), 9) == want
        assert gallery.info()["index_cache"] == "damaged"
    Gallery.open(folder).close()
    assert verify(folder) == []


def test_an_index_header_that_lies_about_its_arrays(folder):
    (file,) = index_files(folder)
    data = file.path.read_bytes()
    for old, new in (
        (b'"type": "<f4"', b'"type": "|O8"'),
        (b'"shape": [44]', b'"shape": [-4]'),
        (b'"shape": [44]', b'"shape": "44"'),
        (b'"at": 0', b'"at":-9'),
        (b'"arrays": {', b'"arrays": ['),
        (b'"size": ', b'"sizf": '),
    ):
        assert old in data
        forged = data.replace(old, new, 1)
        path = folder / "forged"
        path.write_bytes(forged)
        with pytest.raises(ReidHashError, match="damaged|cut short"):
            read_index_file(path)


@pytest.mark.skipif(os.name != "posix", reason="links need privileges on Windows")
@pytest.mark.parametrize("link", ["symbolic", "hard"])
def test_a_linked_database_does_not_admit_a_second_writer(folder, tmp_path, link):
    other = tmp_path / "other"
    other.mkdir()
    if link == "hard":
        os.link(folder / "gallery.sqlite", other / "gallery.sqlite")
    else:
        (other / "gallery.sqlite").symlink_to(folder / "gallery.sqlite")
    with pytest.raises(GalleryError, match="is a link" if link == "symbolic" else "a hard link"):
        Gallery.open(other)
    with Gallery.open(other, read_only=True) as gallery:
        assert len(gallery) == 60
    if link == "symbolic":  # the log lies beside the real file, and is looked at there
        with Gallery.open(folder) as writer:
            writer.add(some_codes(1), some_sightings(1))
            with Gallery.open(other, read_only=True) as gallery:
                assert len(gallery) == 61


@pytest.mark.skipif(os.name != "posix", reason="links need privileges on Windows")
@pytest.mark.parametrize("name", ["gallery.sqlite-wal", "gallery.sqlite-shm", "writer.lock"])
@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_links_and_pipes_beside_the_database_are_refused(folder, tmp_path, name, kind):
    mine = tmp_path / "mine"
    mine.write_text("something of mine")
    (folder / name).unlink(missing_ok=True)
    if kind == "link":
        (folder / name).symlink_to(mine)
    else:
        os.mkfifo(folder / name)
    for read_only in (True, False):
        with pytest.raises(GalleryError, match="is a link or no file"):
            Gallery.open(folder, read_only)
    with pytest.raises(GalleryError, match="is a link or no file"):
        verify(folder)
    assert mine.read_text() == "something of mine"


def test_a_rollback_journal_is_refused(folder, tmp_path):
    """SQLite deletes the file that such a journal names as its master."""
    (folder / "gallery.sqlite-journal").write_bytes(b"x" * 600)
    for read_only in (True, False):
        with pytest.raises(GalleryError, match="gallery.sqlite-journal, which no gallery has"):
            Gallery.open(folder, read_only)


@pytest.mark.skipif(os.name != "posix", reason="links need privileges on Windows")
def test_what_links_in_the_folder_point_to_is_not_deleted(folder, tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "letter.txt").write_text("mine")
    (folder / ".gallery-x").symlink_to(mine)
    (folder / f"gallery-{'a' * 16}-0-1-00000000.index").symlink_to(mine / "letter.txt")
    with Gallery.open(folder) as gallery:
        gallery.forget(ids=[1])
    assert (mine / "letter.txt").read_text() == "mine"
    assert not list(folder.glob(".gallery-*"))


@pytest.mark.skipif(os.name != "posix", reason="no pipes on Windows")
def test_a_pipe_in_place_of_an_index_is_passed_over(folder):
    (file,) = index_files(folder)
    file.path.unlink()
    os.mkfifo(file.path, 0o600)
    everything(folder)
    assert verify(folder) == []
