"""Hash functions on features beside the networks: `retrieval --methods` and `reproduce`."""

import functools
import json

import numpy as np
import pytest

from reid_hash.baselines import HASH_FUNCTIONS, KSH, MLH, FeatureHash
from reid_hash.errors import ConfigError
from reid_hash.paper.methods import catalogue
from reid_hash.paper.methods.catalogue import BASELINES, METHODS, Variant
from reid_hash.paper.methods.plan import plan
from reid_hash.paper.methods.sources import hashings_of, networks_of
from tests.paper.figures.test_reproduce import at, run, write_world

BITS = ("--bits", "8,16", "--data", "data")


@pytest.fixture
def world(tmp_path):
    """A working folder of this test alone, with the data."""
    write_world(tmp_path)
    return tmp_path


@pytest.fixture
def here(world, monkeypatch):
    """Work in that folder; gives the names of what is trained and fitted."""
    return prepared(world, monkeypatch)


def prepared(root, monkeypatch):
    trainings = at(root, monkeypatch)
    quick = type("MLH", (MLH,), {"__init__": functools.partialmethod(MLH.__init__, steps=200)})
    monkeypatch.setitem(HASH_FUNCTIONS, "mlh", quick)
    fits = []
    real = FeatureHash.fit

    def fit(self, features, labels, seed=0):
        fits.append((type(self).__name__, self.bits, features.shape[1]))
        return real(self, features, labels, seed)

    monkeypatch.setattr(FeatureHash, "fit", fit)
    return trainings, fits


def test_all_methods_in_one_table(here, world, capsys):
    trainings, fits = here
    command = ("retrieval", "cifar10", "--methods", "all", *BITS, "--json", "all.json")
    code, out, err = run(capsys, *command)
    assert code == 0, err
    assert [name for name, _ in trainings].count("classifier") == 1
    assert len(fits) == 12
    assert {dims for _, _, dims in fits} == {512}
    assert "hash functions needed: 12, of which 0 are evaluated" in err
    assert "classifier-" in err  # it is listed among the networks
    result = json.loads((world / "all.json").read_text())
    rows = result["results"]
    assert list(dict.fromkeys(row["method"] for row in rows)) == list(METHODS)
    for row in rows:
        baseline = row["method"] in BASELINES
        assert sum(
            (row["method"], row["bits"]) == (other["method"], other["bits"]) for other in rows
        ) == (1 if baseline else 2)
        assert not (baseline and row["weighted"])
        assert (row["epochs"], row["full_epochs"]) == (1, 1)
        assert 0.3 < row["map"] <= 1
        distance = ["weighted", "Hamming"] if row["weighted"] else ["Hamming"]
        start = [row["method"], str(row["bits"]), *distance, f"{100 * row['map']:.1f}"]
        assert any(line.split()[: len(start)] == start for line in out.splitlines())
    (ksh, _) = (row for row in rows if row["method"] == "ksh")
    assert (ksh["features"], ksh["train_samples"]) == ("network", 36)
    assert len(result["curves"]) == len(rows)
    assert "ksh: KSH (network features)" in out
    assert "network features: the penultimate layer of the network paper, trained to" in err
    assert "bre, mlh, ksh: fitted to at most 5,000 training images" in err

    trainings.clear()
    fits.clear()
    code, again, err = run(capsys, *command)
    assert (code, trainings, fits) == (0, [], [])
    assert again == out
    assert "of which 12 are evaluated" in err


@pytest.mark.parametrize(("features", "dims"), [("pixels", 768), ("hog", 324)])
def test_other_features_need_no_network(here, world, capsys, features, dims):
    trainings, fits = here
    code, _, err = run(
        capsys,
        *("retrieval", "cifar10", "--methods", "KSH,lsh", *BITS, "--features", features),
        *("--output", features),
    )
    assert code == 0, err
    assert trainings == []
    assert fits == [(name, bits, dims) for name in ("LSH", "KSH") for bits in (8, 16)]
    assert "networks needed" not in err
    result = json.loads((world / features / "retrieval.json").read_text())
    assert {row["features"] for row in result["results"]} == {features}
    assert all("epochs" not in row for row in result["results"])
    assert result["seed"] == 0
    assert "lsh-8-" in result["model"]
    assert (world / features / "map.png").exists()


def test_finished_rows_stay_when_a_fit_is_interrupted(tmp_path, monkeypatch, capsys):
    write_world(tmp_path)
    trainings, fits = prepared(tmp_path, monkeypatch)
    real = KSH._fit

    def interrupted(self, *arguments):
        if self.bits == 16:
            raise KeyboardInterrupt
        return real(self, *arguments)

    monkeypatch.setattr(KSH, "_fit", interrupted)
    command = ("retrieval", "cifar10", "--methods", "ksh,bre", *BITS)
    code, out, err = run(capsys, *command)
    assert (code, out) == (1, "")
    assert "interrupted" in err
    assert fits[-1] == ("KSH", 16, 512)
    monkeypatch.setattr(KSH, "_fit", real)
    trainings.clear()
    fits.clear()
    code, _, err = run(capsys, *command)
    assert code == 0, err
    assert (trainings, fits) == ([], [("KSH", 16, 512)])


def test_figures_1_to_4_show_what_has_been_evaluated(here, world, capsys):
    run(capsys, "retrieval", "cifar10", "--methods", "lsh,ksh", *BITS)
    run(capsys, "retrieval", "cifar10", "--methods", "itq", "--bits", "8", "--data", "data")
    here[1].clear()
    code, _, err = run(capsys, "reproduce", "fig2", *BITS, "--output", "fig2")
    assert code == 0, err
    assert here[1] == []
    result = json.loads((world / "fig2" / "fig2.json").read_text())
    names = {row["method"] for row in result["results"] if not row.get("reported")}
    assert {"dsch", "bs-drsch", "lsh", "ksh"} <= names
    page = (world / "fig2" / "fig2.html").read_text(encoding="utf-8")
    assert "KSH (network features)" in page
    assert "hash functions fitted to features" in page
    assert page.count("# lsh, ") == 1  # its network's configuration stands there once
    code, _, err = run(
        capsys, *["reproduce", "fig2", *BITS, "--output", "few", "--methods", "mlh,bs-drsch"]
    )
    assert code == 0, err
    result = json.loads((world / "few" / "fig2.json").read_text())
    names = {row["method"] for row in result["results"] if not row.get("reported")}
    assert names == {"mlh", "bs-drsch"}


def test_ranking_lists_by_a_hash_function(here, world, capsys):
    code, out, err = run(
        capsys,
        *("reproduce", "fig6", "--methods", "ksh", "--features", "pixels", "--bits", "8"),
        *("--data", "data", "--output", "fig6"),
    )
    assert code == 0, err
    result = json.loads((world / "fig6" / "fig6.json").read_text())
    assert {image["method"] for image in result["lists"]} == {"ksh"}
    assert result["networks"] == []
    assert "precision at 10" in out or "P@10" in out or "precision@10" in out


def test_plans_of_hash_functions(here):
    made = plan("cifar10", ["lsh", "ksh", "drsch"], [16, 64])
    (network,) = {hashing.network for hashing in hashings_of([made])}
    assert network.name == "classifier"
    assert (network.config.loss.cross_entropy, network.config.loss.triplet) == (1, 0)
    assert network.config.model.backbone == "paper"
    assert len(networks_of([made])) == 3
    folders = {
        hashing.folder
        for variant in (
            Variant(),
            Variant(seed=5),
            Variant(protocol="5k"),
            Variant(features="pixels"),
            Variant(features="hog"),
        )
        for hashing in hashings_of([plan("cifar10", ["ksh", "lsh"], [16, 64], variant)])
    }
    assert len(folders) == 20
    assert catalogue.title("ksh", made) == "KSH (network features)"
    pixels = plan("cifar10", ["ksh"], [16], Variant(features="pixels"))
    assert catalogue.title("ksh", pixels) == "KSH (raw pixels)"
    assert networks_of([pixels]) == []
    assert catalogue.scaled_down(pixels) == ""
    with pytest.raises(ConfigError, match="unknown features 'gist'"):
        Variant(features="gist")


def test_fast_scales_the_network_behind_the_features_down(tmp_path, monkeypatch):
    write_world(tmp_path)
    prepared(tmp_path, monkeypatch)
    file = tmp_path / "configs" / "paper" / "cifar10.yaml"
    file.write_text(file.read_text().replace("epochs: 1\n", "epochs: 40\n"))
    made = plan("cifar10", ["ksh"], [16], Variant(fast=True))
    assert catalogue.scaled_down(made) == "scaled down: 2 epochs instead of 40"


def test_a_data_set_without_the_papers_network_uses_the_recipes(here, world):
    config = world / "configs" / "cifar10.yaml"
    (world / "configs" / "folder.yaml").write_text(
        config.read_text().replace("dataset: cifar10", "dataset: folder")
    )
    (hashing,) = hashings_of([plan("folder", ["ksh"], [16])])
    assert hashing.network.config.loss.cross_entropy == 1
    with pytest.raises(ConfigError, match="method drsch has no configuration for folder"):
        plan("folder", ["drsch", "ksh"], [16])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--features", "pixels"), "it goes with --methods"),
        (("--methods", "ksh", "--features", "gist"), "'gist' is not one of"),
        (("--methods", "kshh"), "known are dsch, drsch, bs-drsch, dsrh, recipe, lsh, sh, itq, bre"),
        (("--methods", "itq", "--features", "hog", "--bits", "400"), "400 bits asked of features"),
    ],
)
def test_wrong_usage(here, capsys, arguments, message):
    code, out, err = run(capsys, "retrieval", "cifar10", "--data", "data", *arguments)
    assert (code, out) == (2, "")
    assert message in err.replace("\n", " ")


def test_rows_are_those_of_the_function_on_the_same_features(here, world, capsys):
    run(capsys, "retrieval", "cifar10", "--methods", "lsh", *BITS, "--features", "pixels", "-q")
    from reid_hash.baselines import LSH
    from reid_hash.config.schema import DataConfig
    from reid_hash.data import load_dataset
    from reid_hash.data.images import decode
    from reid_hash.metrics.retrieval_benchmark import retrieval

    dataset = load_dataset(DataConfig(dataset="cifar10"), world / "data")
    pixels = [decode(part, 16, 16) for part in (dataset.train, dataset.query)]
    train, query = (p.images.reshape(len(p), -1).astype(np.float32) / 255 for p in pixels)
    function = LSH(16).fit(train, pixels[0].labels)
    expected = retrieval(
        function.encode(query), function.encode(train), pixels[1].labels, pixels[0].labels
    )
    (hashing,) = hashings_of([plan("cifar10", ["lsh"], [16], Variant(features="pixels"))])
    kept = json.loads((hashing.folder / "evaluation.json").read_text())["rows"]
    assert [row["figures"]["map"] for row in kept] == [pytest.approx(expected.map)]


def test_dsrh_has_its_authors_margin_of_five_bits_of_64():
    (network,) = networks_of([plan("cuhk03", ["dsrh"], [64])])
    assert (network.config.loss.margin, network.config.loss.triplet) == ((20, 20), 0)
