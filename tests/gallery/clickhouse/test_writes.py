"""Writing: whole batches or nothing, once, by several at a time, through kills; and erasing."""

import os
import signal
import subprocess
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest

from reid_hash.errors import GalleryError
from reid_hash.gallery.sighting import Sighting
from tests.gallery.clickhouse.places import address_in, make, require_clickhouse
from tests.gallery.galleries import contents, some_codes

require_clickhouse()

from reid_hash.gallery.clickhouse import rows, schema  # noqa: E402
from reid_hash.gallery.clickhouse.gallery import ClickHouseGallery  # noqa: E402

WEEK = 604_800.0


@pytest.fixture
def gallery(tmp_path):
    with make(tmp_path) as opened:
        yield opened


def test_a_repeated_insert_after_a_lost_answer_adds_nothing(gallery, monkeypatch):
    insert, lost = gallery._link.insert, []

    def losing(table, columns, token=""):
        insert(table, columns, token)
        if token and table not in lost:
            lost.append(table)
            raise GalleryError("the answer was lost")

    monkeypatch.setattr(gallery._link, "insert", losing)
    given = [Sighting(time=i * WEEK, thumbnail=b"\xff\xd8x") for i in range(5)]
    assert len(gallery.add(some_codes(5), given)) == 5
    assert lost == ["thumbnails", "sighting_rows"]
    assert len(gallery) == 65
    assert gallery.info()["thumbnails"] == 5
    assert gallery.verify() == []


@pytest.mark.parametrize("table", ["thumbnails", "sighting_rows"])
def test_what_fails_midway_leaves_nothing(gallery, monkeypatch, table):
    insert, before = gallery._link.insert, contents(gallery)

    def failing(name, columns, token=""):
        insert(name, columns, token)
        if name == table:
            raise GalleryError("the disk is full")

    monkeypatch.setattr(gallery._link, "insert", failing)
    given = [Sighting(time=i * WEEK, thumbnail=b"\xff\xd8x", name="Eve") for i in range(5)]
    with pytest.raises(GalleryError, match="disk is full"):
        gallery.add(some_codes(5), given)
    monkeypatch.undo()
    assert contents(gallery) == before
    assert gallery.info()["thumbnails"] == 0
    assert gallery.people.find("Eve") is None
    assert gallery.add(some_codes(1), [Sighting()]).tolist() > [60]


def test_a_batch_under_way_is_not_seen_and_a_dead_writers_is_taken_out(tmp_path, monkeypatch):
    with make(tmp_path) as gallery:
        before = contents(gallery)
        # a writer of another process that died before it called its batch done
        monkeypatch.setattr(rows, "_PROCESS", "another")
        monkeypatch.setattr(gallery._batches, "done", lambda claim: 1 / 0)
        monkeypatch.setattr(gallery._batches, "void", lambda claim: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            gallery.add(some_codes(5), [Sighting(time=i * WEEK) for i in range(5)])
        monkeypatch.undo()
        assert int(gallery._link.value("SELECT count() FROM reid_hash.sighting_rows")) == 65
        assert contents(gallery) == before
        assert len(gallery.search(some_codes(1), 100)) == 60
        assert int(gallery._link.value("SELECT count() FROM reid_hash.sightings")) == 60
        (more,) = gallery.add(some_codes(1), [Sighting(time=5.0)])
        assert more == 66
    with ClickHouseGallery.open(address_in(tmp_path)) as gallery:
        assert int(gallery._link.value("SELECT count() FROM reid_hash.sighting_rows")) == 61
        assert len(gallery) == 61


def test_claims_are_summed_up_and_numbers_stay(tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "_MANY", 4)
    with make(tmp_path) as gallery:
        for i in range(9):
            assert gallery.add(some_codes(1), [Sighting(time=float(i))]).tolist() == [61 + i]
        gallery.forget(ids=[69])
        kept = int(gallery._link.value("SELECT uniqExact(token) FROM reid_hash.batches"))
        assert kept <= 6
    with ClickHouseGallery.open(address_in(tmp_path)) as gallery:
        assert len(gallery) == 68
        assert gallery.add(some_codes(1), [Sighting()]).tolist() == [70]


def test_threads_write_at_the_same_time(gallery):
    ids, seen, wrong = [], [], []

    def write(number):
        try:
            with ClickHouseGallery.open(gallery.address) as mine:
                for i in range(4):
                    made = [Sighting(time=i * WEEK, name=f"p{i}", track=number)] * 20
                    ids.append(mine.add(some_codes(20), made).tolist())
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        seen.append(len(gallery))
        time.sleep(0.01)
    for thread in threads:
        thread.join()
    assert not wrong
    assert all(count % 20 == 0 for count in seen)  # batches are seen whole
    assert sorted(one for part in ids for one in part) == list(range(61, 61 + 4 * 4 * 20))
    assert all(part == sorted(part) for part in ids)
    assert [one.sightings for one in gallery.people.identities()] == [80] * 4
    assert gallery.verify() == []


WRITER = """
import sys
from reid_hash.gallery.clickhouse.address import parse_address
from reid_hash.gallery.clickhouse.gallery import ClickHouseGallery
from reid_hash.gallery.sighting import Sighting
from tests.gallery.galleries import some_codes

codes = some_codes(50)
with ClickHouseGallery.open(parse_address(sys.argv[1])) as gallery:
    while True:
        made = [
            Sighting(time=(i % 3) * 604800.0, thumbnail=b"\\xff\\xd8x", name=f"p{i % 5}")
            for i in range(50)
        ]
        print(gallery.add(codes, made)[-1], flush=True)
"""


@pytest.mark.slow
def test_a_killed_writer_loses_nothing_that_it_reported(tmp_path):
    with make(tmp_path):
        pass
    place = address_in(tmp_path)
    for round_ in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(place)], stdout=subprocess.PIPE, cwd=os.getcwd()
        ) as writer:
            reported = 0
            for _ in range(2 + round_):
                reported = int(writer.stdout.readline())
            time.sleep(0.013 * round_)  # in the midst of the next
            writer.send_signal(signal.SIGKILL)
            rest = writer.stdout.read().split()
        reported = int(rest[-1]) if rest else reported
        with ClickHouseGallery.open(place) as gallery:
            assert gallery.verify() == []
            ids = [one.id for one in gallery.sightings()]
            assert reported in ids
            assert (len(ids) - 60) % 50 == 0
            assert gallery.info()["thumbnails"] == len(ids) - 60
            stored = gallery._link.value("SELECT count() FROM reid_hash.sighting_rows")
            assert int(stored) == len(ids)


def _bytes_in(folder, text):
    return [path for path in Path(folder).rglob("*") if path.is_file() and text in _read(path)]


def _read(path):
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def test_what_is_forgotten_is_in_no_file(tmp_path):
    secret = {"camera": "CAMERASECRET", "source": "SOURCESECRET", "name": "NAMESECRET"}
    picture = b"\xff\xd8" + os.urandom(400)
    with make(tmp_path) as gallery:
        folder = gallery.address.folder
        gallery.add(
            some_codes(3),
            [
                Sighting(secret["camera"], 1005.0, thumbnail=picture),
                Sighting("hall", 1e6, secret["source"], thumbnail=picture[:300]),
                Sighting("hall", 2e6, name=secret["name"], thumbnail=picture[:200]),
            ],
        )
        assert _bytes_in(folder, picture[:200])
        for text in secret.values():
            assert _bytes_in(folder, text.encode()), text
        gallery.forget(cameras=[secret["camera"]])
        assert "cameras CAMERASECRET" in gallery.receipt
        gallery.forget(sources=[secret["source"]])
        gallery.forget(identities=[secret["name"]])
        assert "1 sightings, 1 thumbnails; identities: #1" in gallery.receipt
        for text in (*secret.values(), *(one.encode().hex() for one in secret.values())):
            assert _bytes_in(folder, text.encode()) == [], text
        assert _bytes_in(folder, picture[:200]) == []
        assert len(gallery) == 60
        gallery.add(some_codes(1), [Sighting("old", 5.0, thumbnail=picture)])
        assert gallery.prune(timedelta(seconds=100), now=1100.0) == 1
        assert _bytes_in(folder, picture[:200]) == []
        assert "until 1970-01-01T00:16:40" in gallery.receipt
        assert "the folder holds" in gallery.receipt
    for text in secret.values():
        assert _bytes_in(folder, text.encode()) == [], text


def test_the_engine_erases_what_gets_too_old(tmp_path):
    now = time.time()
    with make(tmp_path, 2) as gallery:
        codes = some_codes(3)
        gallery.add(codes, [Sighting(time=now - 1e5, thumbnail=b"\xff\xd8old", name="Old")] * 3)
        gallery.add(codes, [Sighting(time=now, thumbnail=b"\xff\xd8new", name="New")] * 3)
        gallery.add(codes, [Sighting(time=8.4e9), Sighting(time=-7e9), Sighting(time=now + 1e6)])
        gallery.retain(timedelta(days=1))
        assert gallery.count() == 5  # those of 1970 and of the year 1748 are gone, too
        assert {one.name for one in gallery.people.identities()} == {"New"}
        assert gallery.info()["thumbnails"] == 3
    with ClickHouseGallery.open(address_in(tmp_path)) as gallery:
        assert gallery.verify() == []
        gallery.retain(None)
        gallery.add(codes, [Sighting(time=5.0)] * 3)
        gallery._link.run("OPTIMIZE TABLE reid_hash.sighting_rows FINAL")
        assert gallery.count() == 8
        with pytest.raises(GalleryError, match="between a second and"):
            gallery.retain(timedelta(0))


def _first(folder, name):
    found = [path for path in sorted(Path(folder).rglob(name)) if "proj" not in str(path)]
    return max(found, key=lambda path: path.stat().st_size)


def test_a_flipped_byte_is_found_and_named(tmp_path):
    with make(tmp_path, 500) as gallery:
        folder = gallery.address.folder
    data = _first(folder, "data.bin")
    flipped = bytearray(data.read_bytes())
    flipped[len(flipped) // 2] ^= 16
    data.write_bytes(flipped)
    with ClickHouseGallery.open(address_in(tmp_path), read_only=True) as gallery:
        assert any(data.parent.name in line for line in gallery.verify())


def test_a_row_that_no_gallery_writes_is_found(gallery):
    gallery._link.run(
        "INSERT INTO reid_hash.sighting_rows (id, c0, camera, time, x, identity) VALUES "
        "(60, 0, 'a', 1, NULL, 9), (59, 18446744073709551615, 'a', 1e12, 5, NULL)"
    )
    found = gallery.verify()
    assert any("sighting 59 is there twice" in line for line in found)
    assert any("sighting 59: its time is none" in line for line in found)
    assert any("sighting 59: the padding of its code is not zero" in line for line in found)
    assert any("sighting 60 is of identity #9, which is not there" in line for line in found)
    with pytest.raises(GalleryError, match="sighting 59 is damaged"):
        gallery.sightings()


@pytest.mark.parametrize(
    ("forge", "message"),
    [
        ("table", "holds 'URL'"),
        ("dictionary", "holds 'DICTIONARY'"),
        ("text", r"holds \"'http://127.0.0.1/'\""),
        ("config", "holds 'config.xml', which no gallery does"),
        ("link", "is a link out of the folder"),
        ("pipe", "is neither file nor folder"),
        ("other", "holds no database of one"),
    ],
)
def test_a_folder_from_somebody_else_runs_nothing(tmp_path, forge, message):
    with make(tmp_path, 2) as gallery:
        folder = gallery.address.folder
    tables = Path(os.path.realpath(folder / "metadata" / "reid_hash"))
    made = (tables / "people.sql").read_text()
    if forge == "table":
        (tables / "more.sql").write_text("ATTACH TABLE _ (id Int64) ENGINE = URL(x)")
    elif forge == "dictionary":
        (tables / "d.sql").write_text("ATTACH DICTIONARY _ (id Int64)")
    elif forge == "text":
        (tables / "people.sql").write_text(made + " 'http://127.0.0.1/'")
    elif forge == "config":
        (folder / "config.xml").write_text("<clickhouse/>")
    elif forge == "link":
        (folder / "store" / "abc").symlink_to("/etc")
    elif forge == "pipe":
        os.mkfifo(folder / "store" / "pipe")
    else:
        (folder / "metadata" / "reid_hash.sql").rename(folder / "metadata" / "x.sql")
    with pytest.raises(GalleryError, match=message):
        ClickHouseGallery.open(address_in(tmp_path))


def test_a_table_that_is_no_table_is_refused(gallery):
    gallery._link.run("DROP TABLE reid_hash.thumbnails SYNC")
    gallery._link.run(
        "CREATE VIEW reid_hash.thumbnails AS SELECT 1 AS sighting, 0. AS time, '' AS jpeg"
    )
    with pytest.raises(GalleryError, match="table thumbnails is a View"):
        schema.read_facts(gallery._link)


def test_names_and_filters_are_no_sql(gallery):
    for text in ("'; DROP TABLE x; --", "\\' OR 1=1", "a') OR (1=1", "%{x:String}", "\x7f\x01"):
        given = [Sighting(text, 7.0, text, name=text)]
        (number,) = gallery.add(some_codes(1), given).tolist()
        for where in ({"cameras": [text]}, {"sources": [text]}, {"identities": [text]}):
            assert [one.id for one in gallery.sightings(**where)] == [number]
        assert gallery.forget(cameras=[text]) == 1
        assert gallery.people.find(text) is None
    assert len(gallery) == 60
