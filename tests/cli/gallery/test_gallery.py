"""`reid-hash gallery …` and `reid-hash search`, as a person uses them."""

import io
import json
import os
import re
import shutil
import stat
import subprocess
import sys

import cv2
import numpy as np
import pytest

from reid_hash.app.runs import find_model
from reid_hash.cli import main
from reid_hash.codes import Codes, save_codes
from reid_hash.data.images import read_image
from reid_hash.distances import asymmetric, query_values
from reid_hash.gallery.sighting import Sighting
from reid_hash.gallery.sqlite.gallery import Gallery
from reid_hash.models.load import load_model
from tests.helpers import coloured_pixels, tiny_config
from tests.helpers import run_cli as run


def done(capsys, *arguments):
    """Run a command that must succeed; gives its standard output."""
    code, out, err = run(capsys, *arguments)
    assert code == 0, err
    return out


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Images in Market-1501's naming, a model that was trained on some, and a gallery of them."""
    folder = tmp_path_factory.mktemp("world")
    for part, seed in (("bounding_box_train", 0), ("crops", 1)):
        (folder / part).mkdir()
        pixels = coloured_pixels(identities=8, seed=seed)
        for i, image in enumerate(pixels.images):
            name = f"{pixels.labels[i] + 1 + 100 * seed:04d}_c{pixels.cameras[i]}s1_{i:06d}_00.png"
            cv2.imwrite(str(folder / part / name), image[:, :, ::-1])
    (folder / "config.yaml").write_text(tiny_config("loss.prefixes=[8]").to_yaml())
    for arguments in (
        ["train", "market1501", "--data", folder, "--device", "cpu", "-q"]
        + ["--config", folder / "config.yaml", "--output", folder / "run"],
        ["gallery", "create", folder / "g", "--model", folder / "run"],
        ["gallery", "add", folder / "g", folder / "crops", "--names", "market1501", "-q"]
        + ["--time", "2026-03-01T12:00:00Z"],
        ["gallery", "calibrate", folder / "g", "--bits", "8,16"],
    ):
        with pytest.raises(SystemExit) as stopped:
            main([str(argument) for argument in arguments])
        assert stopped.value.code == 0
    return folder


@pytest.fixture
def folder(world, tmp_path, monkeypatch):
    """A copy of the gallery that may be changed, as g in the working folder."""
    Gallery.open(world / "g", read_only=True).export(tmp_path / "x.npz")
    Gallery.load(tmp_path / "g", tmp_path / "x.npz").close()
    monkeypatch.chdir(tmp_path)
    return tmp_path / "g"


def a_crop(world):
    return sorted((world / "crops").iterdir())[0]


def test_what_was_added_is_there(world, capsys, tmp_path):
    out = done(capsys, "gallery", "info", world / "g", "--json", tmp_path / "f.json")
    assert "16 bits, model" in out
    assert "sightings  48, 48 with a thumbnail" in out
    assert "identities 8" in out
    assert "cameras    1: 24, 2: 24" in out
    assert "calibrated 8, 16 bits" in out
    assert "index cache up to date" in out
    out = done(capsys, "gallery", "info", world / "g", "--identities")
    assert "#1 0101: 6 sightings, 2026-03-01T12:00:00Z to 2026-03-01T12:00:00Z" in out
    facts = json.loads((tmp_path / "f.json").read_text())
    assert (facts["sightings"], facts["cameras"]) == (48, {"1": 24, "2": 24})
    assert "no damage found" in done(capsys, "gallery", "verify", world / "g")
    with Gallery.open(world / "g", read_only=True) as gallery:
        (first,) = gallery.sightings(limit=1, thumbnails=True)
    assert (first.name, first.camera, first.frame) == ("0101", "1", 0)
    assert first.thumbnail[:2] == b"\xff\xd8"
    assert cv2.imdecode(np.frombuffer(first.thumbnail, np.uint8), 1).shape == (32, 16, 3)


def test_adding_again_adds_nothing_and_a_new_file_is_added(world, folder, capsys):
    crop = a_crop(world)
    code, out, err = run(capsys, "gallery", "add", "g", world / "crops", "--model", world / "run")
    assert (code, out) == (0, "added 0 sightings; gallery g has 48\n")
    assert "48 files are in the gallery already" in err
    (folder.parent / "new.png").write_bytes(crop.read_bytes())
    out = done(
        capsys,
        *["gallery", "add", "g", "new.png", "--model", world / "run", "--camera", "door", "-q"],
        *["--time", "2026-04-01T10:00+02:00", "--source", "album", "--no-thumbnails"],
    )
    assert out == "added 1 sightings; gallery g has 49\n"
    with Gallery.open(folder, read_only=True) as gallery:
        (new,) = gallery.sightings(cameras=["door"], thumbnails=True)
    assert (new.source, new.time, new.thumbnail, new.name) == ("album", 1775030400.0, None, None)


def test_search_finds_the_picture_itself_and_is_plain_on_demand(world, capsys, tmp_path):
    crop = a_crop(world)
    where = ["search", crop, "--gallery", world / "g", "--top", "3"]
    out = done(capsys, *where)
    assert f"{crop}: 16 bits, weighted Hamming, 3 nearest among 48 sightings" in out
    assert re.search(r"1 +0\.000 +1 +1 +2026-03-01T12:00:00Z .*0101", out)
    lines = done(capsys, *where, "--plain", "--bits", "8", "--unweighted").splitlines()
    assert len(lines) == 3
    assert lines[0].split("\t")[:5] == [str(crop), "1", "0.0", "", "1"]
    assert lines[0].split("\t")[-1] == "0101"
    out = done(capsys, *where, "--camera", "2", "--since", "2026-02-01", "--until", "2026-03-02")
    assert "among 24 sightings" in out
    out = done(capsys, *where, "--until", "2026-02-01", "--json", tmp_path / "f.json")
    assert "0 nearest among 0 sightings" in out
    assert json.loads((tmp_path / "f.json").read_text())["queries"][0]["matches"] == []


def test_a_query_may_keep_its_real_values(world, capsys, tmp_path):
    crop = a_crop(world)
    where = ["search", crop, "--gallery", world / "g", "--asymmetric", "--bits", "8"]
    out = done(capsys, *where, "--top", "48", "--json", tmp_path / "f.json")
    assert f"{crop}: 8 bits, asymmetric, 48 nearest among 48 sightings" in out
    result = json.loads((tmp_path / "f.json").read_text())
    assert result["asymmetric"] is True
    encoder = load_model(find_model(world / "run", "folder"))
    values = query_values(encoder.outputs(read_image(crop)[None])[0])[:, :8]
    with Gallery.open(world / "g", read_only=True) as gallery:
        codes, ids = gallery.codes()
        true = dict(zip(ids.tolist(), asymmetric(values, codes.prefix(8))[0], strict=True))
    matches = result["queries"][0]["matches"]
    assert [match["distance"] for match in matches] == [
        true[match["sighting"]] for match in matches
    ]
    assert sorted(true.values()) == [match["distance"] for match in matches]


def test_search_says_who_is_a_stranger(world, capsys, tmp_path):
    where = ["search", a_crop(world), "--gallery", world / "g", "--json", tmp_path / "f.json"]
    out = done(capsys, *where, "--far", "0.5")
    assert "within" in out
    assert "known" in out
    result = json.loads((tmp_path / "f.json").read_text())
    assert result["far"] == 0.5
    (answer,) = result["queries"]
    assert answer["stranger"] is False
    assert [match["within"] for match in answer["matches"]] == [
        match["distance"] <= answer["threshold"] for match in answer["matches"]
    ]
    out = done(capsys, *where, "--far", "0", "--camera", "2")
    assert "stranger: nobody within" in out
    assert "too few strangers to tell" in out
    done(capsys, *where, "--far", "1")
    answer = json.loads((tmp_path / "f.json").read_text())["queries"][0]
    assert (answer["threshold"], answer["stranger"]) == (None, False)


def test_codes_in_files_are_added_and_searched(world, folder, capsys):
    done(
        capsys,
        *["encode", world / "crops", "-o", "c.npz", "--model", world / "run", "-q"],
    )
    out = done(capsys, "search", "c.npz", "--gallery", "g", "--top", "1", "--plain")
    assert [float(line.split("\t")[2]) for line in out.splitlines()] == [0.0] * 48
    assert "for codes of 16 bits of model" in done(
        capsys, "gallery", "create", "h", "--codes", "c.npz"
    )
    out = done(capsys, "gallery", "add", "h", "c.npz", "--names", "market1501")
    assert out == "added 48 sightings; gallery h has 48\n"
    done(capsys, "gallery", "create", "short", "--codes", "c.npz", "--bits", "8")
    done(capsys, "gallery", "add", "short", "c.npz")
    out = done(capsys, "search", "c.npz", "--gallery", "short", "--top", "1", "--plain")
    assert {line.split("\t")[2] for line in out.splitlines()} == {"0.0"}


def test_people_are_named_merged_and_split(folder, capsys):
    assert "#9" in done(capsys, "gallery", "assign", "g", "Ann", "--ids", "1-3,7")
    assert "new identity #10 has 1" in done(capsys, "gallery", "split", "g", "Ann", "--ids", "7")
    assert "identity #10 is Bob" in done(capsys, "gallery", "name", "g", "#10", "Bob")
    assert "identity #9 has 4" in done(capsys, "gallery", "merge", "g", "Ann", "Bob")
    assert "no damage" in done(capsys, "gallery", "verify", "g")


def test_forgetting_asks_first(folder, capsys, monkeypatch):
    question = ["gallery", "forget", "g", "--camera", "2"]
    for answer, said in (("n\n", "nothing was erased"), ("y\n", "erased 24 sightings")):
        monkeypatch.setattr("sys.stdin", io.StringIO(answer))
        out = done(capsys, *question)
        assert "Erase 24 of 48 sightings for good?" in out
        assert said in out
    assert "erased 0" in done(capsys, *question, "--yes")
    out = done(capsys, "gallery", "forget", "g", "--identity", "0101", "--before", "1h", "--yes")
    assert out == "erased 3 sightings; gallery g has 21\n"
    assert "erased 21" in done(capsys, "gallery", "prune", "g", "--keep", "1d", "--yes")


def test_pruning_more_than_half_asks(folder, capsys, monkeypatch):
    """A clock that is far ahead makes everything old."""
    prune = ["gallery", "prune", "g", "--keep", "1d"]
    code, out, err = run(capsys, *prune)  # without a terminal
    assert (code, out) == (1, "")
    (line,) = err.splitlines()
    assert "48 of 48 sightings are older than 1d by this machine's clock (20" in line
    assert "nothing was erased; look at the clock, and give --yes" in line

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr("sys.stdin", Terminal("n\n"))
    out = done(capsys, *prune)
    assert "Erase them for good?" in out
    assert "nothing was erased" in out
    monkeypatch.setattr("sys.stdin", Terminal("y\n"))
    assert "erased 48 sightings" in done(capsys, *prune)


def test_pruning_half_or_less_does_not_ask(folder, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    with Gallery.open(folder) as gallery:
        codes, _ = gallery.codes()
        gallery.add(codes, [Sighting()] * 48)
    assert "erased 48 sightings; gallery g has 48" in done(
        capsys, "gallery", "prune", "g", "--keep", "1d"
    )
    assert "erased 0" in done(capsys, "gallery", "prune", "g", "--keep", "1d")


def test_sightings_in_the_future_are_told_of(folder, capsys, monkeypatch):
    """The clock was ahead when they were added, or is behind now."""
    with Gallery.open(folder) as gallery:
        codes, _ = gallery.codes()
        gallery.add(codes[:5], [Sighting(time=5e9)] * 5)
    assert "in the future by this machine's clock" in done(capsys, "gallery", "info", "g")
    code, out, err = run(capsys, "gallery", "prune", "g", "--keep", "1d", "--yes")
    assert (code, out) == (0, "erased 48 sightings; gallery g has 5\n")
    assert err.startswith("note: 5 sightings lie in the future")
    assert "`gallery forget g --after TIME`" in err
    out = done(capsys, "gallery", "forget", "g", "--after", "2100-01-01", "--yes")
    assert "erased 5 sightings" in out
    assert run(capsys, "gallery", "prune", "g", "--keep", "1d")[2] == ""


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such modes")
def test_a_gallery_is_readable_by_whom_it_was_made_for(folder, world, capsys):
    done(capsys, "gallery", "create", "h", "--model", world / "run", "--readable-by", "group")
    assert stat.S_IMODE((folder.parent / "h" / "gallery.sqlite").stat().st_mode) == 0o640
    assert "readable   by group" in done(capsys, "gallery", "info", "h")
    assert "no damage" in done(capsys, "gallery", "verify", "h")
    (folder.parent / "h" / "gallery.sqlite").chmod(0o666)
    assert "narrows it" in done(capsys, "gallery", "info", "h")
    code, out, err = run(capsys, "gallery", "verify", "h")
    assert code == 1
    assert out == ("permissions: gallery.sqlite: more is allowed than reading by its group\n")
    assert "is not damaged, but open to others" in err
    out = done(capsys, "gallery", "verify", "--fix", "h")
    assert out == ("permissions: gallery.sqlite was 0666, now 0640\ngallery h: no damage found\n")
    code, _, err = run(
        capsys, "gallery", "create", "i", "--model", world / "run", "--readable-by", "all"
    )
    assert code == 2


def test_a_damaged_log_is_told_of_and_mended(folder, capsys):
    with Gallery.open(folder) as gallery:
        codes, _ = gallery.codes()
        gallery.add(codes[:9], [Sighting()] * 9)
        shutil.copytree(folder, folder.parent / "h")
    log = folder.parent / "h" / "gallery.sqlite-wal"
    data = bytearray(log.read_bytes())
    data[32 + 24 + 100] ^= 1
    log.write_bytes(data)
    # a process of its own: pytest takes what is logged
    told = subprocess.run(
        [sys.executable, "-m", "reid_hash", "gallery", "info", "h"],
        capture_output=True,
        text=True,
        cwd=folder.parent,
    )
    assert told.returncode == 0
    (line,) = told.stderr.splitlines()
    assert "gallery h: the log is damaged: the checksum of frame 1 of" in line
    assert "sightings  48" in told.stdout
    code, _, err = run(capsys, "gallery", "prune", "h", "--keep", "1d", "--yes")
    assert code == 1
    assert err.startswith("error: cannot write to gallery h: the log is damaged")
    assert "`reid-hash gallery verify --fix h` goes on without them" in err
    code, out, _ = run(capsys, "gallery", "verify", "h")
    assert code == 1
    assert "the log is damaged" in out
    out = done(capsys, "gallery", "verify", "--fix", "h")
    assert "going on without that" in out
    assert "emptied" in out
    assert out.endswith("gallery h: no damage found\n")
    assert "sightings  48" in done(capsys, "gallery", "info", "h")


@pytest.mark.parametrize("kind", ["npz", "parquet"])
def test_export_and_import(folder, capsys, kind):
    if kind == "parquet":
        pytest.importorskip("pyarrow")
    assert "48 sightings" in done(capsys, "gallery", "export", "g", f"y.{kind}")
    assert "48 sightings imported" in done(capsys, "gallery", "import", "h", f"y.{kind}")
    done(capsys, "gallery", "export", "h", f"z.{kind}")
    assert "48 sightings imported" in done(capsys, "gallery", "import", "h", f"z.{kind}")
    assert "sightings  96" in done(capsys, "gallery", "info", "h")


def test_verify_names_what_is_damaged(folder, capsys):
    data = bytearray((folder / "gallery.sqlite").read_bytes())
    with Gallery.open(folder, read_only=True) as gallery:
        picture = gallery.sightings(ids=[5], thumbnails=True)[0].thumbnail
    data[data.index(picture) + 50] ^= 1
    (folder / "gallery.sqlite").write_bytes(data)
    code, out, err = run(capsys, "gallery", "verify", "g")
    assert code == 1
    assert out == "thumbnail of sighting 5: its checksum differs\n"
    assert err == "error: gallery g is damaged; see above\n"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["gallery", "info", "nosuch"], 1, "nosuch is no gallery"),
        (["gallery", "verify", "nosuch"], 1, "nosuch is no gallery"),
        (["gallery", "create", "g", "--model", "RUN"], 1, "a gallery in g already"),
        (["gallery", "create", "h", "--model", "nosuch"], 1, "no such file"),
        (["gallery", "create", "h", "--codes", "x.npz"], 1, "holds no codes"),
        (["gallery", "create", "h", "--model", "RUN", "--bits", "17"], 1, "choose 1 to 16"),
        (["gallery", "add", "g"], 2, "give IMAGES or --embeddings"),
        (["gallery", "add", "g", "nosuch.png"], 1, "no such file or folder: nosuch.png"),
        (["gallery", "add", "g", "x.npz"], 1, "holds no codes"),
        (["gallery", "add", "g", "other.npz"], 1, "codes of model other do not fit"),
        (["gallery", "add", "g", "bad.png", "--model", "RUN"], 1, "bad.png: not an image"),
        (["gallery", "add", "g", "bad.png", "--names", "market1501", "--model", "RUN"], 1, "named"),
        (["gallery", "add", "g", "CROP", "--time", "yesterday"], 2, "no time in ISO 8601"),
        (["gallery", "forget", "g"], 2, "say what to forget"),
        (["gallery", "forget", "g", "--identity", "Zoë"], 1, "no identity Zoë"),
        (["gallery", "forget", "g", "--before", "soon"], 2, "no time in ISO 8601"),
        (["gallery", "prune", "g"], 2, "Missing option '--keep'"),
        (["gallery", "verify", "--fix", "nosuch"], 1, "nosuch is no gallery"),
        (["gallery", "verify", "--fix", "chdb:x/g"], 1, "works on a gallery in a folder"),
        (["gallery", "create", "chdb:x/g", "--codes", "x.npz", "--readable-by", "group"], 2)
        + ("--readable-by is of files",),
        (["gallery", "forget", "g", "--after", "soon"], 2, "no time in ISO 8601"),
        (["gallery", "prune", "g", "--keep", "long"], 2, "no length of time"),
        (["gallery", "merge", "g", "0101", "#77"], 1, "no identity #77"),
        (["gallery", "split", "g", "0101", "--ids", "a-b"], 2, "no list of numbers"),
        (["gallery", "split", "g", "0101", "--ids", "9-3"], 2, "no list of numbers"),
        (["gallery", "split", "g", "0101"], 1, "say which sightings or tracks"),
        (["gallery", "name", "g", "0101", "0102"], 1, "0102 is the name of identity #2 already"),
        (["gallery", "assign", "g", "Ann", "--ids", "999"], 1, "no sighting 999"),
        (["gallery", "export", "g", "x.csv"], 1, "written as .parquet or .npz"),
        (["gallery", "export", "g", "g/gallery.sqlite/x.npz"], 1, "cannot write"),
        (["gallery", "import", "h", "nosuch.npz"], 1, "no such file"),
        (["gallery", "import", "h", "other.npz"], 1, "no exported gallery"),
        (["gallery", "calibrate", "g", "--bits", "99"], 1, "choose 1 to 16"),
        (["gallery", "nosuch", "g"], 2, "No such command"),
        (["search", "CROP"], 2, "Missing option '--gallery'"),
        (["search", "nosuch.png", "--gallery", "g"], 1, "no such file or folder: nosuch.png"),
        (["search", "bad.png", "--gallery", "g", "--model", "RUN"], 1, "not an image"),
        (["search", "other.npz", "--gallery", "g"], 1, "codes of model other do not fit"),
        (["search", "CROP", "--gallery", "nosuch"], 1, "nosuch is no gallery"),
        (["search", "CROP", "--gallery", "g", "--bits", "17", "--model", "RUN"], 1, "1 to 16"),
        (["search", "CROP", "--gallery", "g", "--far", "2"], 2, "0<=x<=1"),
        (["search", "CROP", "--gallery", "g", "--bits", "4", "--far", "0.1", "--model", "RUN"], 1)
        + ("the calibration is for 8, 16 bits, not for 4",),
        (["search", "CROP", "--gallery", "g", "--model", "small"], 1, "holds codes of model"),
        (["search", "CROP", "--gallery", "g", "--asymmetric", "--unweighted"], 2, "are weighted"),
        (["search", "mine.npz", "--gallery", "g", "--asymmetric"], 2, "codes alone; name an image"),
        (["search", "CROP", "--gallery", "g", "--bits", "17", "--asymmetric", "--model", "RUN"], 1)
        + ("1 to 16",),
        (["search", "CROP", "--gallery", "g", "--asymmetric", "--far", ".1", "--model", "RUN"], 1)
        + ("not for asymmetric queries, but for Hamming",),
        (["search", "CROP", "--gallery", "g", "--track", "--unweighted"], 2, "are weighted"),
        (["search", "mine.npz", "--gallery", "g", "--track"], 2, "--track: mine.npz holds codes"),
        (["gallery", "calibrate", "g", "--by", "tracks"], 1, "at the same time"),
        (["gallery", "calibrate", "g", "--names", "tracks"], 2, "--names is of image files"),
    ],
)
def test_what_goes_wrong_is_one_line_and_an_exit_code(
    world, folder, capsys, arguments, code, message
):
    save_codes("other.npz", Codes(np.zeros((1, 2), np.uint8), 16, model="other"))
    with Gallery.open(folder, read_only=True) as gallery:
        save_codes("mine.npz", gallery.codes()[0][:1])
    (folder.parent / "bad.png").write_bytes(b"no image")
    places = {"RUN": str(world / "run"), "CROP": str(a_crop(world))}
    got, _, err = run(capsys, *(places.get(argument, argument) for argument in arguments))
    assert message in err
    assert got == code
    assert len([line for line in err.splitlines() if line.lower().startswith("error")]) == 1
    assert "Traceback" not in err


def test_a_gallery_that_is_not_calibrated_says_how(folder, world, capsys):
    with Gallery.open(folder) as gallery:
        gallery.calibration = None
    where = ["search", a_crop(world), "--gallery", "g", "--far", "0.1", "--model", world / "run"]
    code, _, err = run(capsys, *where)
    assert code == 1
    assert "`reid-hash gallery calibrate` learns" in err


def test_cmc_says_what_strangers_are_answered(world, capsys, tmp_path):
    out = done(
        capsys,
        *["cmc", "--model", world / "run", "--bits", "16", "--data", world, "--protocol"],
        *["held-out", "--open-set", "--draws", "10", "--json", tmp_path / "f.json"],
    )
    assert "TPIR@1%" in out
    assert "open set: in each of 10 draws a random half" in out
    result = json.loads((tmp_path / "f.json").read_text())
    assert "(ISO/IEC 19795-1)" in result["open_set"]
    for record in result["results"]:
        assert 0 <= record["tpir_at_fpir_1"] <= 1
        assert record["tpir_at_fpir_1_std"] >= 0
