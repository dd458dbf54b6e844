"""`reid-hash train` and `retrieval` on labelled images, single- and multi-label."""

import json

import cv2
import numpy as np
import pytest

from reid_hash.cli import main
from reid_hash.codes import Codes
from reid_hash.data.dataset import Dataset, ImageSet
from reid_hash.data.images import Pixels
from reid_hash.errors import DataError
from reid_hash.evaluation.encoded import Encoded, check_matches
from reid_hash.evaluation.retrieval import evaluate_retrieval, shortage_notes
from reid_hash.metrics import average_precision, precision_at, rank_codes
from tests.helpers import coloured_pixels, tiny_config


def run(capsys, *arguments):
    """Run a command in this process; gives (exit code, standard output, standard error)."""
    with pytest.raises(SystemExit) as stopped:
        main([str(a) for a in arguments])
    out, err = capsys.readouterr()
    return stopped.value.code, out, err


def write_images(folder, pixels, name):
    """Write pixels below `folder`, `name(i)` being where image i goes."""
    for i, image in enumerate(pixels.images):
        path = folder / name(i)
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), image[:, :, ::-1])


@pytest.fixture(scope="module")
def class_tree(tmp_path_factory):
    """Class folders of six coloured patterns, and a network trained on them."""
    root = tmp_path_factory.mktemp("tree")
    pixels = coloured_pixels(6, 12, noise=60)
    write_images(
        root / "data",
        pixels,
        lambda i: f"{'test' if i % 12 < 3 else 'train'}/c{pixels.labels[i]}/{i:03d}.png",
    )
    (root / "config.yaml").write_text(tiny_config("loss.prefixes=[8]").to_yaml())
    with pytest.raises(SystemExit) as stopped:
        main(
            ["train", "folder", "--data", str(root / "data"), "--device", "cpu", "-q"]
            + ["--config", str(root / "config.yaml"), "--output", str(root / "run")]
        )
    assert stopped.value.code == 0
    return root


def test_rows_are_the_metrics_of_each_prefix_and_weighting():
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(5), 8)
    outputs = random.normal(size=(40, 16)) + 0.8 * random.normal(size=(5, 16))[labels]
    codes = Codes.from_outputs(outputs, random.random(16) + 0.5, "net")
    pixels = Pixels(np.zeros((40, 1, 1, 3), np.uint8), labels, labels * 0, [""] * 40)
    images = ImageSet(lambda i: pixels.images[i], pixels.names, labels, labels * 0)
    dataset = Dataset("x", images, images, images, "full", classes=tuple("abcde"))
    encoded = Encoded(codes, codes, pixels, pixels, np.zeros((40, 1)), np.zeros((40, 1)))
    rows = list(evaluate_retrieval(encoded, dataset, [8, 16], returned=[10, 500]))
    assert [(r.figures["bits"], r.figures["weighted"]) for r in rows] == [
        (8, True),
        (8, False),
        (16, True),
        (16, False),
    ]
    for row in rows:
        prefix = codes.prefix(row.figures["bits"])
        groups = rank_codes(
            prefix, prefix, labels, labels, weighted=row.figures["weighted"], camera_rule="none"
        )
        assert row.figures["map"] == pytest.approx(average_precision(groups).mean())
        assert row.curves.precision_curve[0].tolist() == [10]  # there are no 500
        assert row.curves.precision_curve[1][0] == pytest.approx(precision_at(groups, 10).mean())
        assert "map_at_1000" not in row.figures  # there are no 1000


def test_training_on_classes_prints_retrieval_figures_and_a_report(class_tree, capsys):
    code, out, err = run(
        capsys,
        *("retrieval", "folder", "--data", class_tree / "data", "--model", class_tree / "run"),
        *("--bits", "8,16", "--output", class_tree / "out", "--device", "cpu"),
    )
    assert code == 0, err
    assert "folder, standard: 18 queries, 54 database images (split 0)" in out
    assert "relevant: the same class" in out
    result = json.loads((class_tree / "out" / "retrieval.json").read_text())
    assert [r["bits"] for r in result["results"]] == [8, 8, 16, 16]
    assert [result[k] for k in ("queries", "database", "split")] == [18, 54, 0]
    best = result["results"][2]
    assert best["map"] > 0.6  # chance is 1/6: this was learned
    assert f"{100 * best['map']:.1f}" in out
    assert len(result["curves"]) == 4
    for name in ("map", "precision_at_500"):
        assert (class_tree / "out" / f"{name}.png").stat().st_size > 5_000
        assert (class_tree / "out" / f"{name}.svg").read_text().startswith("<?xml")
    report = (class_tree / "run" / "report.html").read_text()
    assert "Mean average precision on folder" in report
    assert "54 images of 6 classes" in report


def test_a_model_is_evaluated_on_another_data_set(class_tree, tmp_path, capsys):
    pixels = coloured_pixels(4, 10, height=40, width=40, seed=9)
    write_images(tmp_path / "nuswide", pixels, lambda i: f"images/{i}.png")
    has = np.eye(4, dtype=int)[pixels.labels] | np.eye(4, dtype=int)[(pixels.labels + 1) % 4]
    lines = [f"images/{i}.png {' '.join(map(str, row))}" for i, row in enumerate(has)]
    for name, part in (("test", lines[::4]), ("train", lines[1::2]), ("database", lines[1::2])):
        (tmp_path / "nuswide" / f"{name}.txt").write_text("\n".join(part))
    code, out, err = run(
        capsys,
        *("retrieval", "nuswide", "--data", tmp_path, "--model", class_tree / "run"),
        *("--json", tmp_path / "r.json", "--device", "cpu"),
    )
    assert code == 0, err
    assert "relevant: one class in common" in out
    assert "trained on folder" in err
    results = json.loads((tmp_path / "r.json").read_text())["results"]
    assert all(0.5 < r["map"] < 1 for r in results)  # 3 of 4 classes are relevant by chance


def test_training_on_several_labels_an_image(tmp_path, capsys):
    pixels = coloured_pixels(4, 24, seed=3, noise=60)
    write_images(tmp_path / "data" / "nuswide", pixels, lambda i: f"{i}.png")
    has = np.eye(4, dtype=int)[pixels.labels] | np.eye(4, dtype=int)[(pixels.labels + 1) % 4]
    lines = [f"{i}.png {' '.join(map(str, row))}" for i, row in enumerate(has)]
    for name, part in (("test", lines[::4]), ("train", lines[1::2]), ("database", lines[1::2])):
        (tmp_path / "data" / "nuswide" / f"{name}.txt").write_text("\n".join(part))
    settings = tiny_config("loss.code_cross_entropy=1", "model.weights=likelihood")
    (tmp_path / "config.yaml").write_text(settings.to_yaml())
    code, _, err = run(
        capsys,
        *("train", "nuswide", "--data", tmp_path / "data", "--config", tmp_path / "config.yaml"),
        *("--set", "train.epochs=12", "--set", "train.evaluate_every=6"),
        *("--output", tmp_path / "run", "--device", "cpu"),
    )
    assert code == 0, err
    history = [json.loads(s) for s in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    watched = [line["map"] for line in history if "map" in line]
    assert len(watched) == 2
    assert watched[-1] > 0.85  # 0.75 by chance


def test_persons_are_sent_to_cmc(class_tree, capsys):
    code, _, err = run(capsys, "retrieval", "walkers", "--model", class_tree / "run", "-q")
    assert code == 2
    assert "reid-hash cmc --dataset walkers" in err


def test_a_length_that_the_code_lacks(class_tree, capsys):
    code, _, err = run(
        capsys,
        *("retrieval", "folder", "--data", class_tree / "data", "--model", class_tree / "run"),
        *("--bits", "64"),
    )
    assert code == 2
    assert "have 16 bits" in err


def few(gallery_labels):
    """One query of class 0, and a database."""
    images = [
        ImageSet(lambda i: None, [str(i) for i in range(len(labels))], labels, 0 * labels)
        for labels in (np.array([0]), np.array(gallery_labels))
    ]
    return Dataset("x", images[1], *images, "p", classes=("a", "b"))


def test_precision_of_more_images_than_there_are_says_so():
    assert not shortage_notes(few([0] * 500))
    (note,) = shortage_notes(few([0, 0, 1] * 50))
    assert "150 images" in note
    assert "cannot exceed 0.3" in note


def test_classes_that_the_database_lacks_are_refused():
    check_matches(few([0, 1]))
    with pytest.raises(DataError, match="no query has an image of its class"):
        check_matches(few([1, 1]))
