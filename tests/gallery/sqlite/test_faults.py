"""What goes wrong with processes and disks, done for real."""

import contextlib
import os
import random
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from reid_hash.errors import GalleryError, ReidHashError
from reid_hash.gallery.sighting import Sighting
from reid_hash.gallery.sqlite.gallery import Gallery
from reid_hash.gallery.sqlite.verify import verify
from tests.gallery.galleries import contents, everything_in, make, some_codes, some_sightings

INGEST = """
import sys
from reid_hash.gallery.sqlite.gallery import Gallery
from reid_hash.gallery.sighting import Sighting
from tests.gallery.galleries import some_codes, some_sightings

codes, sightings = some_codes(30), some_sightings(30, thumbnail=b"t" * 500)
with Gallery.open(sys.argv[1]) as gallery:
    print("open", flush=True)
    while True:
        ids = gallery.add(codes, sightings)
        print(*ids, flush=True)  # only now: what is printed must be there for ever
        if ids[-1] % 300 < 30:
            gallery.write_cache()
"""


def start(script, *arguments):
    root = Path(__file__).parents[3]
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(root)},
    )


@pytest.mark.slow
def test_a_killed_writer_loses_nothing_that_it_committed(tmp_path):
    make(tmp_path / "g", 0).close()
    delays = random.Random(0)
    promised = set()
    for _ in range(6):
        process = start(INGEST, tmp_path / "g")
        assert process.stdout.readline() == "open\n"
        time.sleep(delays.uniform(0.0, 0.4))
        process.send_signal(signal.SIGKILL)
        out, _ = process.communicate()
        lines = out.split("\n")[:-1]  # the last may be cut off
        promised |= {int(number) for line in lines for number in line.split()}
        with Gallery.open(tmp_path / "g") as gallery:  # nobody has to help, no lock is left
            there = {sighting.id for sighting in gallery.sightings()}
            assert promised <= there
            assert len(there) % 30 == 0  # all of a call or nothing
            assert gallery.verify() == []
            assert len(gallery.search_many(some_codes(1), len(there) + 1)[0]) == len(there)
        assert not list((tmp_path / "g").glob(".gallery*"))
    assert len(promised) > 100


HOLD = """
import sys
from reid_hash.gallery.sqlite.gallery import Gallery
gallery = Gallery.open(sys.argv[1])
print("open", flush=True)
sys.stdin.readline()
"""


def test_a_second_writer_is_told_and_readers_go_on(tmp_path):
    make(tmp_path / "g").close()
    with Gallery.open(tmp_path / "g") as first:  # of the same process
        with pytest.raises(GalleryError, match="another process writes to gallery"):
            Gallery.open(tmp_path / "g")
        assert len(first) == 60
    process = start(HOLD, tmp_path / "g")
    assert process.stdout.readline() == "open\n"
    with pytest.raises(GalleryError, match="wait until it is done, or open the gallery read-only"):
        Gallery.open(tmp_path / "g")
    with Gallery.open(tmp_path / "g", read_only=True) as reader:
        assert len(reader.search_many(some_codes(1), 100)[0]) == 60
    process.kill()
    process.communicate()
    Gallery.open(tmp_path / "g").close()


def fill(gallery):
    """Add until the disk takes no more; gives how many were promised."""
    promised = len(gallery)
    sightings = some_sightings(30, thumbnail=bytes(4000))
    with pytest.raises(GalleryError) as failure:
        for _ in range(1000):
            promised += len(gallery.add(some_codes(30), sightings))
    assert "\n" not in str(failure.value)
    assert len(gallery) == promised
    return promised, str(failure.value)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 2 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(folder)], capture_output=True
    )
    if not mounted or mounted.returncode:
        pytest.skip("no permission to mount a small file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_one_line_and_nothing_is_lost(small_disk):
    with Gallery.create(small_disk / "g", 44, model="net") as gallery:
        promised, message = fill(gallery)
        assert "the disk is full" in message
        before = contents(gallery)
        with pytest.raises(ReidHashError, match="the disk is full"):
            gallery.export(small_disk / "x.npz")
    with Gallery.open(small_disk / "g") as gallery:  # still full
        assert contents(gallery) == before
        assert len(gallery.search_many(some_codes(1), 1000)[0]) == promised
        assert gallery.verify() == []
    with pytest.raises(ReidHashError, match="the disk is full"):
        Gallery.create(small_disk / "h", 44)
    subprocess.run(["mount", "-o", "remount,size=9m", str(small_disk)], check=True)
    with Gallery.open(small_disk / "g") as gallery:
        gallery.add(some_codes(1), [Sighting()])
        assert gallery.forget(until=1e9) == promised
        assert gallery.verify() == []


def fill_to_the_last_byte(folder):
    with (folder / "ballast").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))


def full_gallery(small_disk, log=False, shm=True):
    """A gallery on a full disk, maybe with a log that a killed writer left."""
    with make(small_disk / "made", thumbnail=bytes(range(256))) as gallery:
        gallery.write_cache()
        if log:
            gallery.add(some_codes(5, seed=1), some_sightings(5))
            shutil.copytree(small_disk / "made", small_disk / "g")
    if not log:
        (small_disk / "made").rename(small_disk / "g")
    elif not shm:
        (small_disk / "g" / "gallery.sqlite-shm").unlink()
    fill_to_the_last_byte(small_disk)
    return small_disk / "g"


@pytest.mark.parametrize("log", ["none", "empty", "full", "full, no shm"])
def test_a_gallery_on_a_full_disk_is_read(small_disk, log):
    folder = full_gallery(small_disk, log.startswith("full"), log == "full")
    if log == "empty":
        (folder / "gallery.sqlite-wal").touch()
    count = 65 if log.startswith("full") else 60
    assert verify(folder) == []
    with Gallery.open(folder, read_only=True) as gallery:
        assert len(gallery) == count
        assert len(gallery.search_many(some_codes(2), 100)[0]) == count
        assert gallery.sightings(ids=[1], thumbnails=True)[0].thumbnail == bytes(range(256))
        assert gallery.info()["sightings"] == count
        assert gallery.verify() == []
    (small_disk / "ballast").unlink()
    with Gallery.open(folder) as gallery:
        assert len(gallery) == count
        assert gallery.verify() == []


def test_a_damaged_log_on_a_full_disk_is_kept(small_disk):
    folder = full_gallery(small_disk, log=True, shm=False)
    log = folder / "gallery.sqlite-wal"
    data = bytearray(log.read_bytes())
    data[32 + 24 + 100] ^= 1
    log.write_bytes(data)
    assert "the checksum of frame 1" in verify(folder)[0]
    with pytest.raises(GalleryError, match="the disk is full"):
        Gallery.open(folder, read_only=True)
    assert log.read_bytes() == bytes(data)


def test_forgetting_on_a_full_disk_frees_the_caches_first(small_disk):
    folder = small_disk / "g"
    with make(folder, 6000) as gallery:
        gallery.add(some_codes(1), [Sighting("door", name="Persephone")])
        gallery.write_cache()
    fill_to_the_last_byte(small_disk)
    with Gallery.open(folder) as gallery:
        assert not list(folder.glob("*.index"))  # SQLite's own files took their place
        with pytest.raises(GalleryError, match="gone .* but their bytes not yet"):
            gallery.forget(cameras=["door"])
        assert len(gallery) == 6000
        assert gallery.people.identities() == []
    (small_disk / "ballast").unlink()
    with Gallery.open(folder) as gallery:
        assert len(gallery) == 6000
        assert gallery.verify() == []
        assert not any(b"Persephone" in data for data in everything_in(folder).values())


FILL = """
import resource, sys
from reid_hash.gallery.sqlite.gallery import Gallery
from tests.gallery.sqlite.test_faults import fill
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, resource.RLIM_INFINITY))
with Gallery.open(sys.argv[1]) as gallery:
    promised, message = fill(gallery)
    print(promised, message)
"""


def test_a_file_that_may_not_grow_is_like_a_full_disk(tmp_path):
    make(tmp_path / "g", 0).close()
    out, err = start(FILL, tmp_path / "g").communicate()
    assert err == ""
    promised, message = out.split(" ", 1)
    assert "what was committed is safe" in message
    with Gallery.open(tmp_path / "g") as gallery:
        assert len(gallery) == int(promised) > 0
        assert gallery.verify() == []
        gallery.add(some_codes(1), [Sighting()])


AS_NOBODY = """
import os, sys, tempfile
from pathlib import Path
from reid_hash.errors import ReidHashError
from reid_hash.gallery.sqlite.gallery import Gallery
from reid_hash.gallery.sighting import Sighting
from tests.gallery.galleries import make, some_codes
# what is imported late is imported now: nobody may be unable to enter the folder of the code
with tempfile.TemporaryDirectory() as own, make(Path(own) / "g") as gallery:
    gallery.search_many(some_codes(1), 1)
    gallery.verify()
if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
folder = sys.argv[1]
with Gallery.open(folder, read_only=True) as gallery:
    print(len(gallery.search_many(some_codes(1), 100)[0]), gallery.verify())
    for attempt in (
        lambda: Gallery.open(folder),
        lambda: gallery.add(some_codes(1), [Sighting()]),
        lambda: gallery.export(folder + "/x.npz"),
        lambda: Gallery.create(folder + "/h", 16),
    ):
        try:
            attempt()
        except ReidHashError as error:
            print(error)
    sys.stdout.flush()
    print(sys.stdin.readline().strip(), len(gallery))
"""


@pytest.fixture
def open_folder():
    """A folder that every user may enter, which pytest's own are not."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    for path in (folder, *folder.rglob("*")):
        path.chmod(path.stat().st_mode | stat.S_IRWXU)
    shutil.rmtree(folder)


def lock_up(folder, mode_of_files=0o444):
    for path in folder.iterdir():
        path.chmod(mode_of_files)
    folder.chmod(0o555)


def test_a_read_only_folder_is_read_and_not_written(open_folder):
    make(open_folder / "g", readable_by="everybody").close()
    lock_up(open_folder / "g")
    process = start(AS_NOBODY, open_folder / "g")
    lines = [process.stdout.readline() for _ in range(5)]
    assert lines[0] == "60 []\n"
    assert "no permission to write there; open it read-only" in lines[1]
    assert "is read-only open: nothing can be changed" in lines[2]
    assert "no permission to write there" in lines[3]
    assert "cannot" in lines[4]
    if os.getuid() == 0:  # who may write does so, and the reader without permission sees it
        with Gallery.open(open_folder / "g") as gallery:
            gallery.add(some_codes(5), some_sightings(5))
    out, err = process.communicate("then\n")
    assert out == f"then {65 if os.getuid() == 0 else 60}\n"
    assert err == ""


@pytest.mark.slow
def test_a_log_that_a_killed_writer_left_in_a_read_only_folder(open_folder):
    make(open_folder / "g", 0, readable_by="everybody").close()
    process = start(INGEST, open_folder / "g")
    for _ in range(3):
        process.stdout.readline()
    process.kill()
    process.communicate()
    lock_up(open_folder / "g")
    out, _ = start(AS_NOBODY, open_folder / "g").communicate("\n")
    lines = out.splitlines()
    assert int(lines[0].split()[0]) >= 60  # what is only in the log is found
    assert "no permission to write there; open it read-only" in lines[1]
    (open_folder / "g").chmod(0o755)
    (open_folder / "g" / "gallery.sqlite-shm").unlink()  # without which nobody can read it there
    (open_folder / "g").chmod(0o555)
    _, err = start(AS_NOBODY, open_folder / "g").communicate("\n")
    assert "its log waits for somebody who may write there" in err.splitlines()[-1]
