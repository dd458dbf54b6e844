"""What `reproduce` is made of: plans of networks, the estimate, panels and lists."""

from types import SimpleNamespace

import numpy as np
import pytest

from reid_hash.codes import Codes
from reid_hash.data.images import Pixels
from reid_hash.errors import ConfigError
from reid_hash.evaluation.encoded import Encoded
from reid_hash.evaluation.retrieval import RetrievalRow
from reid_hash.paper.figures import panels as reproduce_panels
from reid_hash.paper.figures.reproduce import chosen_queries, ranking_lists
from reid_hash.paper.methods.catalogue import METHODS, Variant, choose_methods, scaled_down
from reid_hash.paper.methods.plan import plan
from reid_hash.paper.methods.sources import networks_of
from reid_hash.training.estimate import seconds_a_step, training_steps
from tests.helpers import coloured_pixels
from tests.paper.figures.test_reproduce import at, write_world


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Work in a folder of tiny configurations."""
    write_world(tmp_path)
    return at(tmp_path, monkeypatch)


def test_plans_share_networks_and_differ_by_what_is_changed(here):
    made = plan("cifar10", ["dsch", "drsch", "bs-drsch"], [32, 64])
    assert made["bs-drsch"][32] == made["bs-drsch"][64] == made["drsch"][64]
    assert made["dsch"][64].config.loss.regulariser == 0
    assert made["dsch"][64].config.model.order == "given"
    assert [made["drsch"][bits].config.model.bits for bits in (32, 64)] == [32, 64]
    assert {n.config.data.protocol for n in networks_of([made])} == {"full"}
    variants = [Variant(), Variant(seed=5), Variant(protocol="5k"), Variant("5k", 1)]
    folders = {plan("cifar10", ["drsch"], [64], v)["drsch"][64].folder for v in variants}
    assert len(folders) == 4
    assert plan("cifar10", ["bs-drsch"], [128])["bs-drsch"][128].config.model.bits == 128
    assert scaled_down(made) == ""


def test_methods_are_chosen_by_name():
    assert choose_methods(["all"]) == list(METHODS)
    assert choose_methods(["recipe", " DSCH", "dsch"]) == ["dsch", "recipe"]
    with pytest.raises(ConfigError, match="unknown method ''"):
        choose_methods([""])


def test_an_estimate_counts_the_steps_that_training_takes(here):
    network = plan("cifar10", ["drsch"], [16])["drsch"][16]
    pixels = coloured_pixels(3, 12, 16, 16)
    assert training_steps(network.config, pixels) == 3
    assert 0 < seconds_a_step(network.config, pixels, "cpu") < 5


def test_ties_in_a_list_follow_no_order_of_the_classes():
    labels = np.repeat(np.arange(10), 30)
    pixels = Pixels(
        np.zeros((300, 1, 1, 3), np.uint8), labels, labels * 0, [str(i) for i in range(300)]
    )
    codes = Codes.from_outputs(np.ones((300, 8)))
    encoded = Encoded(codes, codes, pixels, pixels, np.ones((300, 1)), np.ones((300, 1)))
    rows = ranking_lists(encoded, 8, False)
    assert [row.query_name for row in rows] == [str(30 * i) for i in range(10)]
    assert len({int(name) // 30 for name in rows[0].names}) > 3
    assert rows[0].names == rows[9].names


def test_queries_of_many_classes_are_spread():
    labels = np.arange(20).repeat(2)
    assert chosen_queries(labels).tolist() == [*(0, 4, 8, 12, 16, 22, 26, 30, 34, 38)]
    several = np.zeros((4, 3), bool)
    several[[1, 1, 3], [0, 2, 1]] = True
    assert chosen_queries(several).tolist() == [1, 3]


def test_panels_draw_each_method_by_its_own_distance(here):
    made = plan("cifar10", ["drsch", "bs-drsch"], [16, 64])
    rows = []
    for name in made:
        for bits in (16, 64):
            for weighted in (True, False):
                value = bits / 100 + 0.1 * weighted + (0.05 if name == "drsch" else 0)
                curve = np.array([100, 200]), np.array([value, value / 2])
                names = ("map", "precision_at_500", "precision_radius_2")
                figures = {"method": name, "bits": bits, "weighted": weighted}
                curves = SimpleNamespace(precision_curve=curve)
                rows.append(RetrievalRow(figures | dict.fromkeys(names, value), curves))
    published = reproduce_panels.reported("cifar10", made)
    panels = reproduce_panels.retrieval_panels(made, rows, published)
    assert [panel.title[:3] for panel in panels] == ["(a)", "(b)", "(c)", "(d)"]
    for panel in (panels[0], panels[1], panels[3]):
        drsch, cut = panel.lines[:2]
        assert (drsch.label, cut.label) == (
            "DRSCH (network per length)",
            "BS-DRSCH (one 64-bit network)",
        )
        assert list(drsch.x) == list(cut.x) == [16, 64]
        np.testing.assert_allclose(drsch.y, [0.21, 0.69])  # plain Hamming distance
        np.testing.assert_allclose(cut.y, [0.26, 0.74])  # weighted
    assert [(line.label, line.reported) for line in panels[3].lines[2:]] == [
        (f"reported: {name}", True) for name in ("DRSCH", "DSCH", "DSRH")
    ]
    assert "64 bits" in panels[2].title
    np.testing.assert_allclose(panels[2].lines[1].y, [0.74, 0.37])


def test_published_figures_of_nuswide_are_another_figure(here):
    made = plan("cifar10", ["drsch"], [16, 64])
    records = reproduce_panels.reported("nuswide", made)
    assert [(r["method"], r["bits"], r["map_at_50000"]) for r in records] == [
        ("DRSCH", 16, 0.618),
        ("DSCH", 16, 0.592),
        ("DSRH", 16, 0.609),
    ]
    assert all("map" not in r for r in records)


def test_folders_are_not_renamed_by_terms_that_are_not_used():
    (plain, ranked) = (of[16] for of in plan("cifar10", ["drsch", "dsrh"], [16]).values())
    assert not {"ranking", "balance", "quantisation", "relative_distance"} & set(
        plain.facts["loss"]
    )
    assert "refit" not in plain.facts
    assert ranked.facts["loss"]["ranking"] == 1
    assert plain.facts["loss"]["triplet"] == 1
    assert plain.folder != ranked.folder
