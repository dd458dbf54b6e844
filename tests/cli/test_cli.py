"""The command line as a person uses it: in a process of its own where the exit code matters."""

import json
import re
import shutil
import subprocess
import sys

import cv2
import numpy as np
import pytest

from reid_hash.cli import main
from reid_hash.codes import load_codes
from reid_hash.nn.checkpoint import load_checkpoint
from tests.helpers import coloured_pixels, tiny_config
from tests.helpers import run_cli as run


def write_market(folder):
    """Write a data set in Market-1501's naming."""
    for part, seed, identities in (
        ("bounding_box_train", 0, 12),
        ("query", 1, 6),
        ("bounding_box_test", 1, 6),
    ):
        (folder / part).mkdir(parents=True)
        pixels = coloured_pixels(identities=identities, seed=seed)
        for i, image in enumerate(pixels.images):
            if part == "query" and i % 6 > 1:
                continue
            name = f"{pixels.labels[i] + 1 + 100 * seed:04d}_c{pixels.cameras[i]}s1_{i:06d}_00.png"
            cv2.imwrite(str(folder / part / name), image[:, :, ::-1])


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A data set in Market-1501's naming and a run trained on it."""
    folder = tmp_path_factory.mktemp("world")
    write_market(folder / "data")
    (folder / "config.yaml").write_text(tiny_config("loss.prefixes=[8]").to_yaml())
    with pytest.raises(SystemExit) as stopped:
        main(
            ["train", "market1501", "--data", str(folder / "data"), "--device", "cpu", "-q"]
            + ["--config", str(folder / "config.yaml"), "--output", str(folder / "run")]
        )
    assert stopped.value.code == 0
    return folder


def test_a_run_leaves_what_it_should(world):
    files = {path.name for path in (world / "run").iterdir()}
    assert {"model.safetensors", "config.yaml", "metrics.jsonl", "report.html"} <= files


def test_a_training_starts_from_a_run_with_its_configuration(world, capsys, tmp_path):
    arguments = ["train", "market1501", "--from", world / "run", "--data", world / "data"]
    code, out, _ = run(capsys, *arguments, "--bits", "8", "--output", tmp_path / "run", "-q")
    assert code == 0
    assert "8" in out
    made, first = (
        load_checkpoint(f / "model.safetensors") for f in (tmp_path / "run", world / "run")
    )
    assert made.net.config.train.start == str(world / "run" / "model.safetensors")
    assert made.net.config.model == first.net.config.model.model_copy(update={"bits": 8})


def test_cmc_prints_a_table_and_writes_every_figure(world, capsys, tmp_path):
    code, out, _ = run(
        capsys,
        "cmc",
        "--model",
        world / "run",
        "--bits",
        "8,16",
        "--data",
        world / "data",
        "--json",
        tmp_path / "f.json",
        "--plot",
        tmp_path / "cmc.svg",
        "--float",
    )
    assert code == 0
    assert "camera rule market" in out
    assert "expected value over random orders" in out
    result = json.loads((tmp_path / "f.json").read_text())
    assert {"protocol", "dataset", "model", "seed", "ap", "camera_rule", "ties", "results"} <= set(
        result
    )
    rows = [(r["bits"], r["weighted"], r["method"]) for r in result["results"]]
    assert rows[:4] == [
        (8, True, "codes"),
        (8, False, "codes"),
        (16, True, "codes"),
        (16, False, "codes"),
    ]
    assert rows[4][2] == "float embedding"
    for record in result["results"]:
        assert record["rank1"] <= record["rank5"] <= record["rank30"] <= 1
        assert 0 < record["minp"] <= record["map"] <= 1
        assert f"{100 * record['rank1']:.1f}" in out
    assert (tmp_path / "cmc.svg").read_text().lstrip().startswith("<?xml")


def test_reranking_is_named_in_the_output(world, capsys, tmp_path):
    code, out, _ = run(
        capsys,
        *["cmc", "--model", world / "run", "--bits", "16", "--data", world / "data"],
        *["--rerank", "--json", tmp_path / "f.json"],
    )
    assert code == 0
    assert "k-reciprocal re-ranking" in out
    assert json.loads((tmp_path / "f.json").read_text())["rerank"] is True


def test_verbose_says_what_is_used_and_plots_are_asked_for(world, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    where = ["cmc", "--model", world / "run", "--data", world / "data", "--bits", "8,16"]
    code, _, err = run(capsys, *where)
    assert code == 0
    assert "took" not in err
    code, _, err = run(capsys, *where, "-v", "--plot", "curves.png")
    assert code == 0
    for text in (f"model: {world / 'run' / 'model.safetensors'}", "data: market1501 in", "took"):
        assert text in err
    assert not list(world.rglob("cmc.png"))
    assert [path.name for path in tmp_path.iterdir()] == ["curves.png"]
    # what fails says it too, and the next command is as quiet as before
    code, _, err = run(capsys, "cmc", "--model", world / "run", "--data", "nowhere", "-v")
    assert code == 1
    assert "took" in err
    code, _, err = run(capsys, *where, "-q")
    assert (code, err) == (0, "")


def test_encode_writes_codes_with_names(world, capsys, tmp_path):
    code, out, _ = run(
        capsys,
        "encode",
        world / "data" / "query",
        "-o",
        tmp_path / "c.npz",
        "--bits",
        "12",
        "--model",
        world / "run" / "model.safetensors",
    )
    assert code == 0
    assert "12 codes of 12 bits, 24 bytes" in out
    codes, names = load_codes(tmp_path / "c.npz")
    assert codes.bits == 12
    assert len(names) == 12
    assert names == sorted(names)


def test_data_info_counts(world, capsys):
    code, out, _ = run(capsys, "data", "info", "market1501", "--data", world / "data")
    assert code == 0
    assert "72 images,    12 identities, 2 cameras" in out
    code, out, _ = run(capsys, "data", "info")
    assert code == 0
    assert "cuhk03" in out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (
            ["cmc", "--model", "RUN", "--bits", "17", "--data", "DATA"],
            2,
            "--bits 17: the model's codes have 16 bits; choose 1 to 16",
        ),
        (["cmc", "--model", "RUN", "--bits", "0"], 2, "at least 1 bit"),
        (["cmc", "--model", "RUN", "--bits", "many"], 2, "no length or list of lengths"),
        (["cmc", "--model", "nosuch.safetensors"], 1, "no such file: nosuch.safetensors"),
        (["cmc", "--model", "DATA/../config.yaml"], 1, "no checkpoint"),
        (["cmc", "--model", "RUN", "--data", "nowhere"], 1, "there is no folder nowhere"),
        (["cmc", "--model", "RUN", "--dataset", "nosuch"], 2, "unknown data set 'nosuch'"),
        (["cmc", "--dataset", "market1501"], 1, "there is no folder data; name the data's"),
        (["retrieval", "mnist"], 1, "train one with `reid-hash train mnist`"),
        (["train", "nosuch"], 2, "unknown data set 'nosuch'"),
        (["train", "cuhk03", "--data", "nowhere"], 1, "nowhere"),
        (
            ["train", "market1501", "--set", "model.bit=3"],
            2,
            "unknown key model.bit; known here: backbone",
        ),
        (["train", "market1501", "--config", "nosuch"], 2, "no configuration"),
        (["train", "market1501", "--from", "nosuch"], 1, "no such file: nosuch; shipped models"),
        (["train", "market1501", "--from", "RUN", "--bits", "32", "--data", "DATA"], 2, "16 bits"),
        (["train", "market1501", "--resume"], 1, "no stopped run of market1501"),
        (
            ["train", "market1501", "--resume", "--output", "RUN", "--data", "DATA"],
            1,
            "the run is finished",
        ),
        (
            ["encode", "nosuch.jpg", "-o", "x.npz", "--model", "RUN"],
            1,
            "no such file or folder: nosuch.jpg",
        ),
        (["encode", "DATA/query", "--model", "RUN"], 2, "Missing option '-o'"),
        (
            [
                "encode",
                "DATA/query",
                "-o",
                "DATA/query/0101_c1s1_000000_00.png/x",
                "--model",
                "RUN",
            ],
            1,
            "cannot write",
        ),
        (["nosuch"], 2, "No such command"),
        (["cmc", "--device", "cuda", "--model", "RUN"], 2, "--device cuda is not there"),
    ],
)
def test_what_goes_wrong_is_one_line_and_an_exit_code(
    world, capsys, tmp_path, monkeypatch, arguments, code, message
):
    monkeypatch.chdir(tmp_path)
    places = {"RUN": str(world / "run"), "DATA": str(world / "data")}
    given = []
    for argument in arguments:
        for word, place in places.items():
            argument = argument.replace(word, place)
        given.append(argument)
    if "cuda" in given and __import__("torch").cuda.is_available():
        pytest.skip("there is a CUDA device here")
    got, _, err = run(capsys, *given)
    assert message in err
    assert got == code
    lines = [line for line in err.splitlines() if line.lower().startswith("error")]
    assert len(lines) == 1
    assert "Traceback" not in err


def test_corrupt_images_are_named_and_counted(world, capsys, tmp_path):
    import shutil

    data = tmp_path / "data"
    shutil.copytree(world / "data", data)
    query = sorted((data / "query").iterdir())
    query[0].write_bytes(b"")
    query[1].write_bytes(query[2].read_bytes()[:200])
    where = ["cmc", "--model", world / "run", "--bits", "16", "--data", data]
    code, _, err = run(capsys, *where)
    assert code == 1
    assert "2 of 12 images cannot be read" in err
    assert query[0].name in err
    assert query[1].name in err
    assert "--skip-unreadable" in err
    code, _, err = run(capsys, *where, "--skip-unreadable", "--json", tmp_path / "f.json")
    assert code == 0
    assert "2 unreadable images left out" in err
    assert len(json.loads((tmp_path / "f.json").read_text())["unreadable"]) == 2


def test_the_program_starts_quickly_and_says_its_version():
    source = "import sys, reid_hash.cli as c; c.main(['--help'])\n"
    out = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", source], capture_output=True, text=True
    )
    assert out.returncode == 0
    assert "quickstart" in out.stdout
    assert " torch" not in out.stderr  # help must not wait for it
    out = subprocess.run(
        [sys.executable, "-m", "reid_hash", "--version"], capture_output=True, text=True
    )
    assert out.stdout.startswith("reid-hash")


def test_debug_shows_the_traceback_and_nothing_waits_for_torchvision():
    command = [sys.executable, "-X", "importtime", "-m", "reid_hash", "cmc"]
    out = subprocess.run([*command, "--model", "nosuch", "--debug"], capture_output=True, text=True)
    assert out.returncode == 1
    assert "Traceback" in out.stderr
    assert " numpy\n" in out.stderr  # what is imported is listed
    assert " torchvision\n" not in out.stderr  # as long to import as torch; only timm needs it


def test_a_picture_has_the_same_code_in_query_and_gallery(world, capsys, tmp_path):
    codes = []
    for part in ("query", "bounding_box_test"):
        code, _, _ = run(
            capsys,
            "encode",
            world / "data" / part,
            "-o",
            tmp_path / f"{part}.npz",
            "--model",
            world / "run",
        )
        assert code == 0
        codes.append(load_codes(tmp_path / f"{part}.npz"))
    (query, query_names), (gallery, gallery_names) = codes
    place = {name.split("/")[-1]: i for i, name in enumerate(gallery_names)}
    own = [place[name.split("/")[-1]] for name in query_names]  # the same picture lies there too
    np.testing.assert_array_equal(query.packed, gallery.packed[own])
    assert len(np.unique(gallery.packed, axis=0)) > 3  # and not all pictures have one code


def test_people_before_one_camera_are_evaluated_by_the_rule_none(world, capsys, tmp_path):
    folder = tmp_path / "one"
    shutil.copytree(world / "data", folder)
    for path in sorted(folder.rglob("*_c*.png")):
        path.rename(path.with_name(re.sub("_c[0-9]", "_c1", path.name)))
    asked = ("--model", world / "run", "--dataset", "market1501", "--data", folder, "--bits", 8)
    code, _, err = run(capsys, "cmc", *asked)
    assert code == 1
    assert err.count("\n") == 1
    assert "--camera-rule none" in err
    code, out, err = run(
        capsys, "cmc", *asked, "--camera-rule", "none", "--json", tmp_path / "o.json"
    )
    assert code == 0, err
    found = json.loads((tmp_path / "o.json").read_text(), parse_constant=pytest.fail)
    assert found["camera_rule"] == "none"
    assert found["results"][0]["queries_without_match"] == 0
    assert "camera rule none: every gallery image counts" in out
