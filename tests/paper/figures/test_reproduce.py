"""`reproduce` and `retrieval --methods` from the command line, on invented images."""

import csv
import json
import os
import re
import signal
from pathlib import Path

import cv2
import pytest
import yaml

from reid_hash.cli import main
from reid_hash.config.schema import Config
from reid_hash.data.shapes import write_shapes
from reid_hash.models.torch_encoder import TorchEncoder
from reid_hash.paper.methods import networks
from reid_hash.paper.methods.catalogue import FIGURE_METHODS
from reid_hash.paper.methods.plan import plan
from reid_hash.training.log import TrainingLog
from tests.helpers import coloured_pixels

CLASSES = ("cat", "dog", "ship")
BITS = "8,16"


def tiny(dataset: str, *, epochs: int = 1, bits: int = 16, order: str = "weight") -> str:
    config = Config().model_dump(mode="json")
    config["data"] |= {"dataset": dataset, "height": 16, "width": 16}
    config["model"] |= {"backbone": "paper", "bits": bits, "order": order, "flip_average": False}
    config["train"] |= {"epochs": epochs, "identities_per_batch": 3, "images_per_identity": 4}
    precision = os.environ.get("REID_HASH_PRECISION", "fp32")
    config["train"] |= {"precision": precision, "learning_rate": 0.003}
    return yaml.safe_dump(config)


def write_world(root: Path) -> None:
    """Configurations and a class-folder tree for cifar10, whose classes differ in colour."""
    (root / "configs" / "paper").mkdir(parents=True)
    (root / "configs" / "paper" / "cifar10.yaml").write_text(tiny("cifar10"))
    (root / "configs" / "cifar10.yaml").write_text(tiny("cifar10", bits=64, order="given"))
    for part, images, seed in (("train", 12, 0), ("test", 4, 1)):
        pixels = coloured_pixels(len(CLASSES), images, 16, 16, seed=0, noise=200 + seed)
        for i, image in enumerate(pixels.images):
            folder = root / "data" / "cifar10" / part / CLASSES[pixels.labels[i]]
            folder.mkdir(parents=True, exist_ok=True)
            assert cv2.imwrite(str(folder / f"{i:03d}.png"), image[:, :, ::-1])


@pytest.fixture
def world(tmp_path):
    """A working folder of this test alone, with the data."""
    write_world(tmp_path)
    return tmp_path


@pytest.fixture
def here(world, monkeypatch):
    """Work in that folder; gives the names of the networks that are trained."""
    return at(world, monkeypatch)


def at(root, monkeypatch):
    monkeypatch.chdir(root)
    for module in ("reid_hash.config.reading", "reid_hash.paper.methods.plan"):
        monkeypatch.setattr(f"{module}.configs_folder", lambda: root / "configs")
    monkeypatch.setattr("reid_hash.training.estimate.STEPS", 1)
    trainings = []
    real = networks.train

    def train(config, pixels, folder, **options):
        trainings.append((folder.name[:-9], options["resume"]))
        return real(config, pixels, folder, **options)

    monkeypatch.setattr(networks, "train", train)
    return trainings


def run(capsys, *arguments):
    """Run a command in this process; gives (exit code, standard output, standard error)."""
    with pytest.raises(SystemExit) as stopped:
        main([*map(str, arguments), "--device", "cpu"])
    out, err = capsys.readouterr()
    return stopped.value.code, out, err


def test_figure_2_trains_what_is_missing_and_writes_every_figure(here, world, capsys):
    code, out, err = run(capsys, "reproduce", "fig2", "--bits", BITS, "--data", "data")
    assert (code, err.count("error")) == (0, 0)
    # bs-drsch and recipe have one network each for both lengths
    expected = ["dsch-8", "dsch-16", "drsch-8", "drsch-16", "drsch-64", "recipe-64"]
    assert [name for name, _ in here] == expected
    assert "networks needed: 6, of which 0 are there" in err
    assert re.search(r"drsch-64-[0-9a-f]{8}: to train, 3 steps, about \d+ s", err)
    assert err.index("on this machine") < err.index("training dsch-8")  # told before it begins
    folder = world / "runs" / "reproduce" / "fig2"
    assert {path.name for path in folder.iterdir()} == {
        f"fig2.{suffix}" for suffix in ("png", "svg", "csv", "json", "html")
    }
    result = json.loads((folder / "fig2.json").read_text())
    measured = [r for r in result["results"] if not r.get("reported")]
    assert [(r["method"], r["bits"], r["weighted"]) for r in measured] == [
        (method, bits, weighted)
        for method in FIGURE_METHODS
        for bits in (8, 16)
        for weighted in (True, False)
    ]
    published = [r for r in result["results"] if r.get("reported")]
    assert [(r["method"], r["bits"], r["map"]) for r in published] == [
        ("DRSCH", 16, 0.615),
        ("DSCH", 16, 0.609),
        ("DSRH", 16, 0.608),
    ]
    assert (result["dataset"], result["protocol"], result["scaled_down"]) == (
        "cifar10",
        "full",
        None,
    )
    assert len({network["fingerprint"] for network in result["networks"]}) == 6
    page = (folder / "fig2.html").read_text(encoding="utf-8")
    assert page.count("<figure>") == 4
    assert page.index("<figure>") < page.index("<table>")
    assert "bytes<br>an image" in page
    assert not re.search(r"""(src|href)\s*=\s*["']?(https?:|//)""", page)
    assert "DRSCH (as reported)" in page
    with (folder / "fig2.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(result["results"])
    for row, record in zip(rows, result["results"], strict=True):
        for key, text in row.items():
            value = record.get(key)
            assert text == ("" if value is None else str(value))
        assert f"{100 * record['map']:.1f}" in out
    assert len({r["map"] for r in measured}) > 8  # not all right, not all wrong, not all alike


def test_figure_3_of_drawn_pictures_with_several_labels(here, world, capsys):
    (world / "configs" / "paper" / "nuswide.yaml").write_text(tiny("nuswide"))
    (world / "configs" / "nuswide.yaml").write_text(tiny("nuswide", order="given"))
    write_shapes(world / "data", parts={"train": 24, "test": 6, "database": 40})
    chosen = ["--bits", "8", "--methods", "dsch,recipe,lsh"]
    code, out, err = run(capsys, "reproduce", "fig3", *chosen, "--data", "data")
    assert (code, err.count("error")) == (0, 0)
    assert "not the usual lists" in err  # it is no NUS-WIDE, and says so
    result = json.loads((world / "runs" / "reproduce" / "fig3" / "fig3.json").read_text())
    measured = [r for r in result["results"] if not r.get("reported")]
    assert {r["method"] for r in measured} == {"dsch", "recipe", "lsh"}
    assert all(0 < r["map"] < 1 and 0 < r["precision_at_500"] <= 1 for r in measured)
    assert result["dataset"] == "nuswide"
    assert "nuswide, standard: 6 queries, 40 database images" in out


def test_a_second_figure_trains_and_evaluates_nothing_again(here, world, capsys, monkeypatch):
    run(capsys, "reproduce", "fig2", "--bits", BITS, "--data", "data", "-q")
    here.clear()
    monkeypatch.setattr(
        "reid_hash.paper.methods.evaluate.encode_dataset",
        lambda *_: pytest.fail("encoded again"),
    )
    code, out, err = run(
        capsys, "reproduce", "fig5", "--bits", BITS, "--data", "data", "--output", "out"
    )
    assert (code, here) == (0, [])
    assert "networks needed: 3, of which 3 are there" in err
    assert "this machine" not in err
    fig2 = json.loads((world / "runs" / "reproduce" / "fig2" / "fig2.json").read_text())
    fig5 = json.loads((world / "out" / "fig5.json").read_text())
    shared = [r for r in fig2["results"] if r["method"] in ("drsch", "bs-drsch")]
    assert fig5["results"] == shared
    assert fig5["curves"] == [c for c in fig2["curves"] if c["method"] in ("drsch", "bs-drsch")]
    assert "Figure 5" in out


def test_another_length_of_a_network_is_evaluated_without_training(here, world, capsys):
    run(capsys, "reproduce", "fig5", "--bits", "16", "--methods", "bs-drsch", "--data", "data")
    here.clear()
    code, _, err = run(
        capsys, *["reproduce", "fig5", "--methods", "bs-drsch", "--data", "data"], "--bits", "16,24"
    )
    assert (code, here) == (0, [])
    assert "evaluating drsch-64 at 24 bits" in err


def test_figure_6_lists_images_by_each_method(here, world, capsys):
    code, out, _ = run(capsys, "reproduce", "fig6", "--bits", "8", "--data", "data")
    assert code == 0
    folder = world / "runs" / "reproduce" / "fig6"
    result = json.loads((folder / "fig6.json").read_text())
    with (folder / "fig6.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(result["lists"]) == 2 * len(CLASSES) * 10
    assert {(r["method"], r["bits"], r["weighted"]) for r in rows} == {
        ("drsch", "8", "False"),
        ("bs-drsch", "8", "True"),
    }
    assert {r["right"] for r in rows} == {"True", "False"}
    for record in result["results"]:
        of = [r for r in rows if r["method"] == record["method"]]
        share = sum(r["right"] == "True" for r in of) / len(of)
        assert record["precision_at_10"] == pytest.approx(share)
        assert f"{100 * share:.1f}" in out
        for row in of:
            same = row["query"].split("/")[1] == row["image"].split("/")[1]
            assert row["right"] == str(same)
    assert {r["query"] for r in rows} == {
        f"test/{c}/{4 * i:03d}.png" for i, c in enumerate(CLASSES)
    }
    assert (folder / "fig6.png").stat().st_size > 10_000


def test_methods_in_one_table(here, world, capsys, tmp_path):
    run(capsys, "reproduce", "fig5", "--methods", "drsch", "--bits", "16", "--data", "data", "-q")
    code, out, _ = run(
        capsys,
        *["retrieval", "cifar10", "--methods", "recipe,DRSCH", "--bits", BITS, "--data", "data"],
        *["--json", tmp_path / "f.json", "--output", tmp_path],
    )
    assert code == 0
    result = json.loads((tmp_path / "f.json").read_text())
    methods_of = [record["method"] for record in result["results"]]
    assert methods_of == ["drsch"] * 4 + ["recipe"] * 4
    lines = [line.split() for line in out.splitlines()]
    assert any(line[:3] == ["method", "bits", "distance"] for line in lines)
    for record in result["results"]:
        distance = ["weighted", "Hamming"] if record["weighted"] else ["Hamming"]
        start = [record["method"], str(record["bits"]), *distance, f"{100 * record['map']:.1f}"]
        assert any(line[: len(start)] == start for line in lines)
    assert (tmp_path / "map.png").exists()
    # the networks are those of `reproduce`
    assert len(list((world / "runs" / "reproduce" / "cifar10").glob("drsch-16-*"))) == 1


def test_a_scaled_down_figure_says_so_everywhere(tmp_path, monkeypatch, capsys):
    write_world(tmp_path)
    (tmp_path / "configs" / "paper" / "cifar10.yaml").write_text(tiny("cifar10", epochs=40))
    trainings = at(tmp_path, monkeypatch)
    seen = []
    monkeypatch.setattr(
        "reid_hash.report.style.Heading.draw", lambda self, figure: seen.append(self.notice)
    )
    code, out, _ = run(
        capsys,
        *["reproduce", "fig5", "--methods", "bs-drsch", "--bits", "16", "--data", "data"],
        "--fast",
    )
    assert (code, trainings) == (0, [("drsch-64", False)])
    words = "scaled down: 2 epochs instead of 40"
    folder = tmp_path / "runs" / "reproduce" / "fig5-fast"  # not in place of the whole figure
    result = json.loads((folder / "fig5.json").read_text())
    assert result["scaled_down"] == words
    assert {(r["epochs"], r["full_epochs"]) for r in result["results"]} == {(2, 40)}
    assert "Scaled down: 2 epochs instead of 40" in (folder / "fig5.html").read_text()
    assert words in out
    assert set(seen) == {words}
    (network,) = (tmp_path / "runs" / "reproduce" / "cifar10").iterdir()
    assert yaml.safe_load((network / "config.yaml").read_text())["train"]["epochs"] == 2


def test_ctrl_c_leaves_what_the_same_command_goes_on_from(tmp_path, monkeypatch, capsys):
    write_world(tmp_path)
    (tmp_path / "configs" / "paper" / "cifar10.yaml").write_text(tiny("cifar10", epochs=2))
    trainings = at(tmp_path, monkeypatch)
    real, steps = TrainingLog.step, []

    def interrupting(self, *args):
        steps.append(1)
        if len(steps) == 4:
            os.kill(os.getpid(), signal.SIGINT)
        return real(self, *args)

    monkeypatch.setattr(TrainingLog, "step", interrupting)
    command = ["reproduce", "fig5", "--methods", "bs-drsch", "--bits", "16", "--data", "data"]
    code, out, err = run(capsys, *command, "-q")
    assert (code, out) == (1, "")
    assert err == (
        "error: drsch-64 on cifar10: stopped after step 4 of 6; the same command goes on from "
        "there\n"
    )
    code, _, err = run(capsys, *command)
    assert code == 0
    assert "goes on after step 4 of 6" in err
    assert trainings == [("drsch-64", False), ("drsch-64", True)]
    assert len(steps) == 6


def test_a_network_of_other_images_is_not_used(tmp_path, monkeypatch, capsys):
    write_world(tmp_path)
    at(tmp_path, monkeypatch)
    command = ["reproduce", "fig5", "--methods", "bs-drsch", "--bits", "16", "--data", "data"]
    assert run(capsys, *command, "-q")[0] == 0
    next((tmp_path / "data" / "cifar10" / "train" / "cat").iterdir()).unlink()
    code, _, err = run(capsys, *command, "-q")
    assert code == 1
    assert "was trained on 36 images of cifar10, but there are 35 here" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["reproduce", "fig2", "--methods", "dshc"], "unknown method 'dshc'; known are dsch"),
        (["reproduce", "fig1"], r"no configuration for mnist \(configs/paper/mnist.yaml\)"),
        (["reproduce", "fig2", "--bits", "65"], "codes of recipe have 64 bits on cifar10"),
        (["reproduce", "fig7"], "'fig7' is not one of"),
        (["reproduce"], "Missing argument"),
        (["retrieval", "cifar10", "--fast"], "it goes with --methods"),
        (["retrieval", "cifar10", "--methods", "all", "--model", "x"], "leave out --model"),
    ],
)
def test_wrong_usage(here, world, capsys, arguments, message):
    code, out, err = run(capsys, *arguments, "--data", "data")
    assert (code, out, here) == (2, "", [])
    assert re.search(message, err)


def test_codes_of_a_plan_are_those_of_the_network(here, world, capsys):
    """The figures of a cut network are those that `retrieval --model` gives for it."""
    run(capsys, *["reproduce", "fig5", "--methods", "bs-drsch", "--bits", "16", "--data", "data"])
    network = plan("cifar10", ["bs-drsch"], [16])["bs-drsch"][16]
    assert TorchEncoder.load(network.folder / "model.safetensors").bits == 64
    code, _, _ = run(
        capsys,
        *["retrieval", "cifar10", "--model", network.folder, "--bits", "16", "--data", "data"],
        *["--json", "plain.json"],
    )
    assert code == 0
    plain = json.loads((world / "plain.json").read_text())["results"]
    fig5 = json.loads((world / "runs/reproduce/fig5/fig5.json").read_text())["results"]
    keys = set(plain[0]) - {"method"}
    assert [{k: r[k] for k in keys} for r in plain] == [{k: r[k] for k in keys} for r in fig5]
