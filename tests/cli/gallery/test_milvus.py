"""`reid-hash gallery …` and `reid-hash search` on Milvus, against the engine of milvus-lite."""

import json
import re
import shutil
import subprocess
import sys

import cv2
import pytest

from reid_hash.codes import save_codes
from reid_hash.gallery.milvus.address import parse_address
from reid_hash.gallery.sighting import Sighting
from reid_hash.gallery.sqlite.gallery import Gallery
from tests.gallery.galleries import some_codes, some_sightings
from tests.gallery.milvus.milvus_galleries import require_milvus
from tests.helpers import coloured_pixels
from tests.helpers import run_cli as run

require_milvus()

from reid_hash.gallery.milvus.milvus_gallery import MilvusGallery  # noqa: E402

PLACE = "milvus:m.db/people"


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
    """A folder with a gallery that no test changes, codes that do not fit, and a damaged file."""
    folder = tmp_path_factory.mktemp("unchanged")
    made = some_codes(2)
    save_codes(folder / "c.npz", made)
    save_codes(folder / "other.npz", some_codes(1, model="other"))
    (folder / "damaged.db").write_bytes(b"no database" * 1000)
    like = (made.bits, made.weights, made.model)
    with MilvusGallery.create(parse_address(f"milvus:{folder}/m.db/people"), *like) as gallery:
        gallery.add(made, [Sighting(name="0001"), Sighting()])
    return folder


def test_codes_are_added_and_found_as_in_a_folder(codes, capsys, tmp_path):
    said = done(capsys, "gallery", "create", PLACE, "--codes", "c.npz", "--expect", "1000")
    assert said == "gallery milvus:m.db/people for codes of 44 bits of model net\n"
    add = ["c.npz", "--names", "market1501", "--time", "2026-03-01T12:00Z"]
    out = done(capsys, "gallery", "add", PLACE, *add)
    assert out == "added 12 sightings; gallery milvus:m.db/people has 12\n"
    done(capsys, "gallery", "create", "g", "--codes", "c.npz")
    done(capsys, "gallery", "add", "g", *add)
    answers = []
    for place in ("g", PLACE):
        ask = ["search", "c.npz", "--gallery", place, "--top", "5", "--camera", "2", "--bits", "16"]
        out = done(capsys, *ask, "--json", "f.json")
        assert "among 6 sightings\n" in out
        result = json.loads((tmp_path / "f.json").read_text())
        assert result["gallery"] == place
        for query in result["queries"]:
            assert query["exact"] is True
            for match in query["matches"]:
                number = match.pop("sighting")
                assert match.pop("identity") > 0
                assert number > 0
        answers.append(result["queries"])
    assert answers[0] == answers[1]
    assert len(answers[0][0]["matches"]) == 5


def test_what_a_gallery_holds_and_who_is_who(filled, capfd):
    out = done(capfd, "gallery", "info", PLACE, "--identities", "--json", "f.json")
    assert "sightings  12, 0 with a thumbnail" in out
    assert "on Milvus  BIN_FLAT, shards: 1" in out
    assert "cameras    1: 6, 2: 6" in out
    assert re.search(r"#\d+ 0001: 4 sightings", out)
    assert "no damage found" in done(capfd, "gallery", "verify", PLACE)
    found = done(capfd, "search", "c.npz", "--gallery", PLACE, "--top", "1", "--plain")
    numbers = [line.split("\t")[4] for line in found.splitlines()]
    assert len(set(numbers)) == 12
    out = done(capfd, "gallery", "split", PLACE, "0001", "--ids", numbers[0], "--to", "Ann")
    (ann,) = re.findall(r"new identity #(\d+) has 1 sighting", out)
    assert done(capfd, "gallery", "name", PLACE, f"#{ann}", "Bob").endswith("is Bob\n")
    assert "has 5" in done(capfd, "gallery", "merge", PLACE, "Bob", "0002")
    done(capfd, "gallery", "assign", PLACE, "0003", "--ids", f"{numbers[0]},{numbers[1]}")
    assert "calibrated on 12 sightings" in done(capfd, "gallery", "calibrate", PLACE)
    assert "within" in done(capfd, "search", "c.npz", "--gallery", PLACE, "--far", "0.5")
    out = done(capfd, "gallery", "forget", PLACE, "--identity", "0003", "--yes")
    assert out == f"erased 6 sightings; gallery {PLACE} has 6\n"
    assert "erased 6" in done(capfd, "gallery", "prune", PLACE, "--keep", "0s", "--yes")


def test_images_are_encoded_and_added(codes, capsys, tmp_path):
    place = "milvus:images.db/people"
    (tmp_path / "crops").mkdir()
    for i, image in enumerate(coloured_pixels(identities=2, images=2).images):
        cv2.imwrite(str(tmp_path / "crops" / f"{i}.png"), image)
    done(capsys, "gallery", "create", place, "--model", "small")
    code, out, err = run(capsys, "gallery", "add", place, "crops")
    assert (code, out) == (0, f"added 4 sightings; gallery {place} has 4\n")
    assert "thumbnails are not kept on Milvus" in err
    assert "added 0" in done(capsys, "gallery", "add", place, "crops", "-q")  # they are there
    out = done(capsys, "search", "crops/2.png", "--gallery", place, "--top", "1")
    assert re.search(r"1 +0\.000 .*crops/2\.png", out)

    # the same files by other paths, then a file of another content under a known path
    (tmp_path / "link").symlink_to("crops")
    assert "added 0" in done(capsys, "gallery", "add", place, "link/0.png", tmp_path / "crops")
    shutil.copy("crops/0.png", "crops/2.png")
    code, out, err = run(capsys, "gallery", "add", place, "crops")
    assert (code, out) == (0, f"added 1 sightings; gallery {place} has 5\n")
    assert "added again, the content has changed: 1 file" in err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["gallery", "info", "milvus:nosuch.db/people"], 1, "there is no file nosuch.db"),
        (["gallery", "info", "milvus:m.db/others"], 1, "is no gallery"),
        (["gallery", "info", "milvus:nosuch/m.db/people"], 1, "there is no folder nosuch"),
        (["gallery", "info", "milvus:damaged.db/people"], 1, "damaged.db is damaged"),
        (["gallery", "create", PLACE, "--codes", "c.npz"], 1, "a collection people at"),
        (["gallery", "info", "milvus://127.0.0.1:1/people"], 1, "Fail connecting to server"),
        (["search", "c.npz", "--gallery", "milvus://127.0.0.1:1/x"], 1, "Fail connecting"),
        (["gallery", "info", "milvus://127.0.0.1"], 2, "is no address of a gallery"),
        (["gallery", "info", "milvus://h:99999/people"], 2, "at most 65535"),
        (["gallery", "info", "milvus://u:p@h/people"], 2, "is no address of a gallery"),
        (["gallery", "info", "milvus:m.db/a-b"], 2, "letters, digits and '_'"),
        (["gallery", "info", "milvus:ä.db/people"], 2, "file of milvus-lite"),
        (["gallery", "export", PLACE, "x.npz"], 1, "export works on a gallery in a folder"),
        (["gallery", "import", PLACE, "x.npz"], 1, "import works on a gallery in a folder"),
        (["gallery", "add", PLACE, "other.npz"], 1, "codes of model other do not fit"),
        (["gallery", "assign", PLACE, "Ann", "--ids", "999"], 1, "no sighting 999"),
        (["gallery", "merge", PLACE, "0001", "#77"], 1, "no identity #77"),
        (["search", "c.npz", "--gallery", PLACE, "--top", "20000"], 1, "at most 16,384 matches"),
        (["search", "c.npz", "--gallery", PLACE, "--far", "0.1"], 1, "is not calibrated"),
    ],
)
def test_what_goes_wrong_is_one_line_and_an_exit_code(
    unchanged, capfd, monkeypatch, arguments, code, message
):
    monkeypatch.chdir(unchanged)
    got, _, err = run(capfd, *arguments)
    assert message in err
    assert got == code
    assert len([line for line in err.splitlines() if line.lower().startswith("error")]) == 1
    assert "Traceback" not in err
    if code == 1:
        assert len(err.splitlines()) == 1, err


def test_a_file_that_another_process_has_open_is_named(filled, capfd):
    hold = (
        "import sys; from reid_hash.gallery.milvus.milvus_gallery import MilvusGallery as G;"
        "from reid_hash.gallery.milvus.address import parse_address as p;"
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


def test_a_folder_that_ends_like_a_file_of_milvus_is_a_folder(codes, capsys):
    with Gallery.create("milvus.db", 44, codes.weights, "net") as gallery:
        gallery.add(codes, some_sightings(12))
    assert "index cache" in done(capsys, "gallery", "info", "milvus.db")
