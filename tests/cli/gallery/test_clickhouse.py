"""`reid-hash gallery …` and `reid-hash search` in ClickHouse, with the engine in this process."""

import json
import re
import subprocess
import sys

import cv2
import pytest

from reid_hash.codes import save_codes
from reid_hash.gallery.sighting import Sighting
from reid_hash.gallery.sqlite.gallery import Gallery
from tests.gallery.clickhouse.places import address_in, require_clickhouse
from tests.gallery.galleries import contents, some_codes
from tests.helpers import coloured_pixels
from tests.helpers import run_cli as run

require_clickhouse()

from reid_hash.gallery.clickhouse.gallery import ClickHouseGallery  # noqa: E402

PLACE = "chdb:people"


def done(capsys, *arguments):
    """Run a command that must succeed; gives its standard output."""
    code, out, err = run(capsys, *arguments)
    assert code == 0, err
    return out


@pytest.fixture
def codes(tmp_path, monkeypatch):
    """Twelve codes in c.npz, named like Market-1501's images, in the working folder."""
    monkeypatch.chdir(tmp_path)
    made = some_codes(12)
    names = [f"{i // 4 + 1:04d}_c{i % 2 + 1}s1_{i:06d}_00.jpg" for i in range(12)]
    save_codes("c.npz", made, names)
    return made


@pytest.fixture
def filled(codes, capfd):
    done(capfd, "gallery", "create", PLACE, "--codes", "c.npz")
    done(capfd, "gallery", "add", PLACE, "c.npz", "--names", "market1501", "-q")
    return codes


@pytest.fixture(scope="module")
def unchanged(tmp_path_factory):
    """A folder with a gallery that no test changes, and codes that do not fit."""
    folder = tmp_path_factory.mktemp("unchanged")
    made = some_codes(2)
    save_codes(folder / "c.npz", made)
    save_codes(folder / "other.npz", some_codes(1, model="other"))
    (folder / "odd").mkdir()
    (folder / "odd" / "file").write_text("x")
    with ClickHouseGallery.create(address_in(folder, "people"), made[:0]) as gallery:
        gallery.add(made, [Sighting(name="0001"), Sighting()])
    return folder


def test_codes_are_added_and_found_as_in_a_folder(codes, capfd, tmp_path):
    add = ["c.npz", "--names", "market1501", "--time", "2026-03-01T12:00Z"]
    answers = []
    for place in ("g", PLACE):
        said = done(capfd, "gallery", "create", place, "--codes", "c.npz")
        assert said == f"gallery {place} for codes of 44 bits of model net\n"
        out = done(capfd, "gallery", "add", place, *add)
        assert out == f"added 12 sightings; gallery {place} has 12\n"
        ask = ["search", "c.npz", "--gallery", place, "--top", "5", "--camera", "2", "--bits", "16"]
        assert "among 6 sightings\n" in done(capfd, *ask, "--json", "f.json")
        result = json.loads((tmp_path / "f.json").read_text())
        assert result["gallery"] == place
        answers.append(result["queries"])
    assert answers[0] == answers[1]
    assert len(answers[0][0]["matches"]) == 5
    assert answers[1][0]["exact"] is True


def test_what_a_gallery_holds_and_who_is_who(filled, capfd):
    out = done(capfd, "gallery", "info", PLACE, "--identities", "--json", "f.json")
    assert "sightings  12, 0 with a thumbnail" in out
    assert re.search(r"size +[\d,]+ bytes in ClickHouse \d+\.\d+", out)
    assert "cameras    1: 6, 2: 6" in out
    assert "#1 0001: 4 sightings" in out
    assert "no damage found" in done(capfd, "gallery", "verify", PLACE)
    out = done(capfd, "gallery", "split", PLACE, "0001", "--ids", "1", "--to", "Ann")
    assert out == "new identity #4 has 1 sightings\n"
    assert done(capfd, "gallery", "name", PLACE, "#4", "Bob").endswith("is Bob\n")
    assert "has 5" in done(capfd, "gallery", "merge", PLACE, "Bob", "0002")
    done(capfd, "gallery", "assign", PLACE, "0003", "--ids", "1,2")
    assert "calibrated on 12 sightings" in done(capfd, "gallery", "calibrate", PLACE)
    assert "within" in done(capfd, "search", "c.npz", "--gallery", PLACE, "--far", "0.5")
    out = done(capfd, "gallery", "forget", PLACE, "--identity", "0003", "--yes")
    assert out.splitlines()[0].startswith("receipt of 20")
    assert "asked      identities 0003" in out
    assert "erased     6 sightings, 0 thumbnails; identities: #3" in out
    assert out.endswith(f"erased 6 sightings; gallery {PLACE} has 6\n")
    out = done(capfd, "gallery", "prune", PLACE, "--keep", "1s", "--yes", "--always")
    assert "from now on the engine erases what is older than 0:00:01" in out


def test_a_gallery_is_copied_exported_and_imported(filled, capfd):
    assert "12 sightings copied" in done(capfd, "gallery", "copy", PLACE, "g")
    assert "12 sightings copied" in done(capfd, "gallery", "copy", "g", "chdb:second")
    done(capfd, "gallery", "export", "chdb:second", "all.npz")
    done(capfd, "gallery", "import", "chdb:third", "all.npz")
    done(capfd, "gallery", "import", "chdb:third", "all.npz")
    assert "sightings  24" in done(capfd, "gallery", "info", "chdb:third")
    with Gallery.open("g") as folder, ClickHouseGallery.open(address_in(".", "second")) as made:
        assert contents(folder) == contents(made)
    code, _, err = run(capfd, "gallery", "copy", "g", "./g")
    assert code == 1
    assert "are the same gallery" in err


def test_images_are_encoded_and_added_with_their_thumbnails(codes, capfd, tmp_path):
    (tmp_path / "crops").mkdir()
    for i, image in enumerate(coloured_pixels(identities=2, images=2).images):
        cv2.imwrite(str(tmp_path / "crops" / f"{i}.png"), image)
    done(capfd, "gallery", "create", PLACE, "--model", "small")
    assert "added 4" in done(capfd, "gallery", "add", PLACE, "crops", "-q")
    assert "added 0" in done(capfd, "gallery", "add", PLACE, "crops", "-q")  # they are there
    assert "4, 4 with a thumbnail" in done(capfd, "gallery", "info", PLACE)
    out = done(capfd, "search", "crops/2.png", "--gallery", PLACE, "--top", "1")
    assert re.search(r"1 +0\.000 .*crops/2\.png", out)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["gallery", "info", "chdb:nosuch"], 1, "there is no folder nosuch"),
        (["gallery", "info", "chdb:odd"], 1, "holds 'file', which no gallery does"),
        (["gallery", "create", PLACE, "--codes", "c.npz"], 1, "there is a gallery at"),
        (["gallery", "create", "chdb:odd", "--codes", "c.npz"], 1, "holds other things"),
        (["gallery", "create", "g", "--codes", "c.npz", "--cluster", "c"], 1, "not spread over"),
        (["gallery", "info", "clickhouse://127.0.0.1:1/people"], 1, "does not answer"),
        (["search", "c.npz", "--gallery", "clickhouse://127.0.0.1:1/x"], 1, "does not answer"),
        (["gallery", "info", "clickhouse://127.0.0.1"], 2, "is no address of a gallery"),
        (["gallery", "info", "clickhouse://h:99999/people"], 2, "at most 65535"),
        (["gallery", "info", "clickhouse://u:secret@h/people"], 2, "clickhouse://u:…@h/people"),
        (["gallery", "info", "clickhouse://h/a-b"], 2, "letters, digits and '_'"),
        (["gallery", "info", "chdb:"], 2, "is no address of a gallery"),
        (["gallery", "info", "chdb:x?y"], 2, "is no address of a gallery"),
        (["gallery", "add", PLACE, "other.npz"], 1, "codes of model other do not fit"),
        (["gallery", "assign", PLACE, "Ann", "--ids", "999"], 1, "no sighting 999"),
        (["gallery", "merge", PLACE, "0001", "#77"], 1, "no identity #77"),
        (["search", "c.npz", "--gallery", PLACE, "--far", "0.1"], 1, "is not calibrated"),
    ],
)
def test_what_goes_wrong_is_one_line_and_an_exit_code(
    unchanged, capfd, monkeypatch, arguments, code, message
):
    monkeypatch.chdir(unchanged)
    got, _, err = run(capfd, *arguments)
    assert message in err
    assert "secret" not in err
    assert got == code
    assert len([line for line in err.splitlines() if line.lower().startswith("error")]) == 1
    assert "Traceback" not in err
    if code == 1:
        assert len(err.splitlines()) == 1, err


def test_a_folder_that_another_process_has_open_is_named(filled, capfd):
    hold = (
        "import sys; from reid_hash.gallery.clickhouse.gallery import ClickHouseGallery as G;"
        "from reid_hash.gallery.clickhouse.address import parse_address as p;"
        f"g = G.open(p({PLACE!r})); print('open', flush=True); sys.stdin.read(); g.close()"
    )
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", hold], stdin=pipe, stdout=pipe) as other:
        assert other.stdout.readline() == b"open\n"
        code, _, err = run(capfd, "gallery", "info", PLACE)
        assert code == 1
        assert "another process has it open" in err
        assert len(err.splitlines()) == 1
    assert other.returncode == 0
    assert "sightings  12" in done(capfd, "gallery", "info", PLACE)
