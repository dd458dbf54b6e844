"""`reproduce table1` from the command line, on invented persons in CUHK03's layout."""

import csv
import json

import cv2
import numpy as np
import pytest
import yaml

from reid_hash.baselines import KISSME, LSH
from reid_hash.baselines.blocks import block_features
from reid_hash.config.schema import Config
from reid_hash.data import load_dataset
from reid_hash.data.images import decode
from reid_hash.metrics import single_shot
from reid_hash.paper.table1.fpnn import FilterPairing
from reid_hash.paper.table1.plan import TABLE_METHODS, table_rows
from tests.helpers import coloured_pixels
from tests.paper.figures.test_reproduce import run
from tests.paper.methods.test_hash_functions import prepared

TRAINED, TESTED, IMAGES = 70, 10, 4
ONE = ("--bits", "8", "--data", "data")
SMALL = ("--bits", "8,16", "--data", "data")


def write_persons(root):
    """CUHK03's extracted layout, and configurations of a network that trains in a moment."""
    config = Config().model_dump(mode="json")
    config["data"] |= {"dataset": "cuhk03", "height": 40, "width": 16, "protocol": "single-shot"}
    config["model"] |= {"backbone": "resnet-thin", "bits": 16, "flip_average": False}
    config["train"] |= {"epochs": 1, "identities_per_batch": 8, "images_per_identity": 4}
    config["train"] |= {"precision": "fp32"}
    (root / "configs" / "paper").mkdir(parents=True)
    for name in ("cuhk03", "paper/cuhk03"):
        (root / "configs" / f"{name}.yaml").write_text(yaml.safe_dump(config))
    folder = root / "data" / "cuhk03" / "images_labeled"
    folder.mkdir(parents=True)
    pixels = coloured_pixels(TRAINED + TESTED, IMAGES, 40, 16, noise=60)
    for i, image in enumerate(pixels.images):
        person, index = divmod(i, IMAGES)
        # the second camera is darker
        seen = image if index % 2 else (image * 0.8).astype(np.uint8)
        name = f"1_{person + 1:03d}_{index % 2 + 1}_{index // 2 + 1:02d}.png"
        assert cv2.imwrite(str(folder / name), seen[:, :, ::-1])
    split = {
        "train": list(range(1, TRAINED + 1)),
        "test": list(range(TRAINED + 1, TRAINED + TESTED + 1)),
    }
    (root / "data" / "cuhk03" / "splits_pair1.json").write_text(json.dumps(split))


@pytest.fixture
def world(tmp_path):
    """A working folder of this test alone, with the data."""
    write_persons(tmp_path)
    return tmp_path


@pytest.fixture
def here(world, monkeypatch):
    """Work in that folder; gives the names of what is trained and fitted."""
    return prepared(world, monkeypatch)


def test_every_row_is_measured_once_and_written(here, world, capsys, monkeypatch):
    trainings, fits = here
    monkeypatch.setattr("reid_hash.paper.table1.plan.EPOCHS", 1)
    code, out, err = run(capsys, "reproduce", "table1", *ONE)
    assert code == 0, err
    names = [name for name, _ in trainings]
    assert sorted(set(names)) == sorted(names)  # DRSCH-16 and BS-DRSCH have one network
    assert {"drsch-8", "drsch-64", "classifier"} <= set(names)
    assert len(fits) == 12
    folder = world / "runs" / "reproduce" / "table1"
    result = json.loads((folder / "table1.json").read_text())
    measured = [row for row in result["results"] if not row.get("reported")]
    assert {row["name"] for row in measured} == set(TABLE_METHODS)
    for row in measured:
        assert 0 <= row["rank1"] <= row["rank5"] <= row["rank10"] <= 1
        assert row["rank10"] == pytest.approx(1)  # ten persons are tested
        assert row["rank1_std"] >= 0
        assert row["bits"] <= 8 * row["bytes"]
        assert row["query_ms"] == pytest.approx(row["encode_ms"] + row["compare_ms"])
        assert row["query_ms"] > 0
    drsch = [row for row in measured if row["method"] == "DRSCH-8"]
    assert [(row["bits"], row["bytes"], row["weighted"]) for row in drsch] == [
        (8, 1, True),
        (8, 1, False),
    ]
    with (folder / "table1.csv").open() as file:
        assert len(list(csv.DictReader(file))) == len(result["results"])
    page = (folder / "table1.html").read_text(encoding="utf-8")
    assert "KISSME (as reported, unverified)" in page
    assert "ms a query" in page
    assert (folder / "table1.png").stat().st_size > 10_000
    assert "as reported, unverified" in out

    trainings.clear()
    fits.clear()
    code, again, _ = run(capsys, "reproduce", "table1", *ONE)
    assert (code, trainings, fits) == (0, [], [])
    assert again == out


def test_rows_are_the_metrics_of_the_methods(here, world, capsys):
    code, _, err = run(
        capsys,
        *("reproduce", "table1", *SMALL, "--methods", "lsh,kissme", "--features", "blocks"),
        *("--seed", "3", "--output", "few"),
    )
    assert code == 0, err
    result = json.loads((world / "few" / "table1.json").read_text())
    data = table_rows(["lsh"], [8], _variant(), ["blocks"])[0].source.data
    dataset = load_dataset(data, world / "data")
    train, query = (decode(part, 40, 16) for part in (dataset.train, dataset.query))
    features, tested = block_features(train.images), block_features(query.images)
    codes = LSH(16).fit(features, train.labels, 3).encode(tested)
    metric = KISSME().fit(features, train.labels, train.cameras, 3)
    hamming = (codes.packed[:, None] ^ codes.packed[None]).astype(np.uint8)
    expected = {
        "LSH-16, blocks": np.unpackbits(hamming, axis=2).sum(axis=2),
        "KISSME, blocks": metric.distances(tested, tested),
    }
    for title, distances in expected.items():
        (row,) = (row for row in result["results"] if row["method"] == title)
        drawn = single_shot(
            distances, query.labels, query.labels, query.cameras, query.cameras, seed=3
        )
        assert row["rank1"] == pytest.approx(drawn["rank1"].mean())
        assert row["rank1_std"] == pytest.approx(drawn["rank1"].std())
        assert row["map"] == pytest.approx(drawn["map"].mean())
    assert result["seed"] == 3
    assert result["networks"] == []


def test_fpnn_is_trained_once_and_compares_the_lower_camera_first(here, world, capsys, monkeypatch):
    monkeypatch.setattr("reid_hash.paper.table1.plan.EPOCHS", 2)
    command = ("reproduce", "table1", "--data", "data", "--methods", "fpnn", "--seed", "1")
    code, out, err = run(capsys, *command, "--output", "pairs")
    assert code == 0, err
    assert "scaled down: 2 epochs instead of 40" in out  # the table says what it shows
    result = json.loads((world / "pairs" / "table1.json").read_text())
    row, published = result["results"]
    assert (published["method"], published["rank1"]) == ("FPNN", 0.2065)
    assert (row["bytes"], row["epochs"]) == (4 * 20 * 32 * 9, 2)

    (spec,) = table_rows(["fpnn"], None, _variant(1), ["network"])
    dataset = load_dataset(spec.source.data, world / "data")
    train, tested = (decode(part, 64, 32) for part in (dataset.train, dataset.query))
    state = spec.source.folder / "state.safetensors"
    learner = FilterPairing(2, "cpu").fit(train.images, train.labels, train.cameras, 1, state)
    expected = np.zeros((len(tested), len(tested)))
    for i, j in np.argwhere((tested.cameras[:, None] == 1) & (tested.cameras == 2)):
        first = learner.responses(tested.images[i : i + 1], 0)
        second = learner.responses(tested.images[j : j + 1], 1)
        expected[i, j] = expected[j, i] = learner.distances(first, second)[0, 0]
    drawn = single_shot(
        expected, tested.labels, tested.labels, tested.cameras, tested.cameras, seed=1
    )
    assert row["rank1"] == pytest.approx(drawn["rank1"].mean(), abs=1e-3)
    assert row["map"] == pytest.approx(drawn["map"].mean(), abs=1e-3)

    monkeypatch.setattr(FilterPairing, "_epoch", None)  # training again would fail
    (spec.source.folder / "evaluation.json").unlink()
    code, _, err = run(capsys, *command, "--output", "again")
    assert code == 0, err
    again = json.loads((world / "again" / "table1.json").read_text())
    assert again["results"][0]["rank1"] == row["rank1"]


def _variant(seed=3):
    from reid_hash.paper.methods.catalogue import Variant

    return Variant(seed=seed)


def test_reported_figures_stand_beside_the_lengths_they_are_of(here):
    rows = table_rows(["drsch", "bs-drsch"], None, _variant(), ["network"])
    assert [(row.title, row.published) for row in rows] == [
        ("DRSCH-64", "DRSCH-64"),
        ("DRSCH-128", "DRSCH-128"),
        ("BS-DRSCH, 128 cut to 64", ""),
    ]
    assert rows[1].source is rows[1].source
    assert rows[1].source == rows[2].source


def test_fast_says_so(here, world, capsys, monkeypatch):
    monkeypatch.setattr("reid_hash.paper.methods.plan.FAST", 2)
    paper = world / "configs" / "paper" / "cuhk03.yaml"
    values = yaml.safe_load(paper.read_text())
    values["train"]["epochs"] = 2
    paper.write_text(yaml.safe_dump(values))
    code, out, err = run(
        capsys, "reproduce", "table1", *SMALL, "--methods", "drsch", "--bits", "8", "--fast"
    )
    values["train"]["epochs"] = 1
    paper.write_text(yaml.safe_dump(values))
    assert code == 0, err
    assert "scaled down: 1 epoch instead of 2" in out
    assert (world / "runs" / "reproduce" / "table1-fast" / "table1.html").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--methods", "dsch"), "unknown method 'dsch'; known are drsch, bs-drsch"),
        (("--methods", "itq", "--bits", "4000", "--features", "blocks"), "4000 bits asked of"),
    ],
)
def test_wrong_usage(here, capsys, arguments, message):
    code, out, err = run(capsys, "reproduce", "table1", "--data", "data", *arguments)
    assert (code, out) == (2, "")
    assert message in err.replace("\n", " ")
