"""Who may read a gallery's files, whatever the umask."""

import contextlib
import logging
import os
import stat

import pytest

from reid_hash.errors import GalleryError
from reid_hash.gallery.sqlite.gallery import Gallery
from reid_hash.gallery.sqlite.verify import fix, verify
from tests.gallery.galleries import make, some_codes, some_sightings

pytestmark = pytest.mark.skipif(os.name != "posix", reason="Windows has no such modes")


@pytest.fixture(params=[0o000, 0o022, 0o077])
def umask(request):
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def modes(folder):
    """The modes of a folder and of all below it, temporaries included."""
    return {path: stat.S_IMODE(path.lstat().st_mode) for path in (folder, *folder.rglob("*"))}


@pytest.mark.parametrize(
    ("readers", "of_folder", "of_file"),
    [("owner", 0o700, 0o600), ("group", 0o750, 0o640), ("everybody", 0o755, 0o644)],
)
def test_every_file_is_for_those_who_were_asked_for(tmp_path, umask, readers, of_folder, of_file):
    folder = tmp_path / "in" / "g"
    with make(folder, readable_by=readers) as gallery:
        gallery.write_cache()
        found = modes(folder)
        assert {path.name for path in found} >= {
            *("gallery.sqlite", "gallery.sqlite-wal", "gallery.sqlite-shm", "writer.lock"),
        }
        assert any(path.suffix == ".index" for path in found)
        assert found.pop(folder / "writer.lock") == 0o600  # of no use to readers
        assert found.pop(folder) == of_folder
        assert set(found.values()) == {of_file}
        gallery.forget(ids=[1])
        gallery.write_cache()
    with Gallery.open(folder) as gallery:  # what is made later follows
        assert gallery.readable_by == readers
        gallery.add(some_codes(60), some_sightings(60))
        gallery.search_many(some_codes(1))
    found = modes(folder)
    assert found.pop(folder / "writer.lock") == 0o600
    assert found.pop(folder) == of_folder
    assert set(found.values()) == {of_file}
    assert verify(folder) == []


def test_no_temporary_is_ever_open_to_others(tmp_path, umask, monkeypatch):
    """Looked at whenever something is renamed: that is when temporaries are there."""
    seen, rename = {}, os.replace

    def watched(source, target):
        seen.update(modes(tmp_path / "g"))
        rename(source, target)

    monkeypatch.setattr(os, "replace", watched)
    with make(tmp_path / "g") as gallery:
        gallery.write_cache()
        gallery.export(tmp_path / "g" / "x.npz")
    assert len(seen) > 5
    assert {path.name: mode for path, mode in seen.items() if mode & 0o077} == {}


@pytest.mark.parametrize("kind", ["npz", "parquet"])
def test_exported_galleries_are_private(tmp_path, umask, kind):
    if kind == "parquet":
        pytest.importorskip("pyarrow")
    with make(tmp_path / "g", readable_by="everybody") as gallery:
        gallery.export(tmp_path / f"x.{kind}")
    assert modes(tmp_path)[tmp_path / f"x.{kind}"] == 0o600


def test_the_folder_is_narrowed_only_where_it_is_the_gallerys(tmp_path):
    for name in ("empty", "used"):
        (tmp_path / name).mkdir()
        (tmp_path / name).chmod(0o755)
    (tmp_path / "used" / "letter.txt").write_text("of somebody else")
    for name, mode in (("empty", 0o700), ("used", 0o755)):
        make(tmp_path / name).close()
        found = modes(tmp_path / name)
        assert found[tmp_path / name] == mode
        assert found[tmp_path / name / "gallery.sqlite"] == 0o600
        assert verify(tmp_path / name) == []


def test_an_older_gallery_that_is_wider_is_told_of_and_narrowed(tmp_path, caplog):
    folder = tmp_path / "g"
    make(folder).close()
    with Gallery.open(folder) as gallery, gallery._database.writing() as db:
        db.execute("DELETE FROM meta WHERE key = 'readable_by'")  # as older versions made them
    folder.chmod(0o755)
    for path in folder.iterdir():
        path.chmod(0o644)
    with caplog.at_level(logging.WARNING):
        Gallery.open(folder, read_only=True).close()
        assert caplog.records == []
        Gallery.open(folder).close()
    (record,) = caplog.records
    assert "more is allowed than reading by its owner alone" in record.getMessage()
    (line,) = verify(folder)
    assert line.startswith("permissions: ")
    with Gallery.open(folder, read_only=True) as gallery:
        assert gallery.info()["permissions"].startswith(line[:40])
    done = fix(folder)
    assert f"permissions: {folder} was 0755, now 0700" in done
    assert "permissions: gallery.sqlite was 0644, now 0600" in done
    assert verify(folder) == []
    assert set(modes(folder).values()) == {0o700, 0o600}
    with Gallery.open(folder, read_only=True) as gallery:
        assert len(gallery) == 60
        assert gallery.info()["permissions"] is None


def test_more_than_was_asked_for_is_told_and_less_is_not(tmp_path):
    folder = tmp_path / "g"
    make(folder, readable_by="group").close()
    (folder / "gallery.sqlite").chmod(0o400)
    assert verify(folder) == []
    (folder / "gallery.sqlite").chmod(0o660)  # the group was to read, not to write
    assert len(verify(folder)) == 1
    fix(folder)
    assert modes(folder)[folder / "gallery.sqlite"] == 0o640


def test_links_are_not_followed(tmp_path):
    folder = tmp_path / "g"
    make(folder).close()
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "mine").chmod(0o644)
    (folder / "gallery-link.index").symlink_to(tmp_path / "mine")
    assert fix(folder) == []
    assert modes(tmp_path)[tmp_path / "mine"] == 0o644


def test_who_may_read_is_one_of_three(tmp_path):
    with pytest.raises(GalleryError, match="readable by owner, group, everybody, not 'all'"):
        make(tmp_path / "g", readable_by="all")
    assert not (tmp_path / "g").exists()
    with contextlib.suppress(FileNotFoundError):
        (tmp_path / "g").rmdir()
