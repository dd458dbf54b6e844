import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reid_hash import metrics
from reid_hash.errors import ConfigError
from tests.metrics import textbook

SIMPLE = ["average_precision", "average_precision_trapezoid", "inverse_negative_penalty"]


@st.composite
def tied_lists(draw, queries=2, longest=7):
    """Distances of few levels, relevance and validity: up to 7! orders a query."""
    n = draw(st.integers(1, longest))
    levels = draw(st.integers(1, 4))

    def matrix(values):
        return np.array(draw(st.lists(values, min_size=queries * n, max_size=queries * n)))

    parts = [matrix(st.integers(0, levels)), matrix(st.booleans()), matrix(st.booleans())]
    return tuple(part.reshape(queries, n) for part in parts)


@settings(max_examples=40, deadline=None)
@given(tied_lists())
def test_every_metric_is_the_mean_over_all_orders_of_ties(case):
    distances, relevant, valid = case
    groups = metrics.tie_groups(distances, relevant, valid)
    for name in SIMPLE:
        wanted = textbook.column(getattr(textbook, name), *case)
        np.testing.assert_allclose(getattr(metrics, name)(groups), wanted, atol=1e-12)
    ranks = [1, 2, 3, 5, 9]
    curve = metrics.cmc(groups, ranks)
    for i, k in enumerate(ranks):
        for name, got in (
            ("cmc", curve[:, i]),
            ("precision_at", metrics.precision_at(groups, k)),
            ("recall_at", metrics.recall_at(groups, k)),
        ):
            wanted = textbook.column(getattr(textbook, name), *case, k)
            np.testing.assert_allclose(got, wanted, atol=1e-12, err_msg=f"{name} {k}")


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 60), st.integers(0, 2**32 - 1))
def test_without_ties_equals_sorting(n, seed):
    rng = np.random.default_rng(seed)
    distances, relevant = rng.permutation(n)[None].astype(float), rng.random((1, n)) < 0.3
    order = relevant[0, np.argsort(distances[0])].tolist()
    groups = metrics.tie_groups(distances, relevant)
    if not any(order):
        assert np.isnan(metrics.average_precision(groups)).all()
        return
    for name in SIMPLE:
        got = getattr(metrics, name)(groups)[0]
        assert got == pytest.approx(getattr(textbook, name)(order), abs=1e-12)
    assert metrics.cmc(groups, [5])[0, 0] == textbook.cmc(order, 5)


def test_long_ties_equal_sums_over_positions():
    """Hundreds of tied images far down a list: against the sums that the closed forms stand for."""
    before, relevant_before, size, relevant = 40_000, 3, 700, 45
    total = before + size
    distances = np.repeat([0.0, 1.0], [before, size])[None]
    hits = np.zeros((1, total), bool)
    hits[0, :relevant_before] = hits[0, before : before + relevant] = True
    groups = metrics.tie_groups(distances, hits)
    area = [0.0, 0.0]
    for s, found, t, r in (
        (0, 0, before, relevant_before),
        (before, relevant_before, size, relevant),
    ):
        slope = (r - 1) / (t - 1)
        for i in range(1, t + 1):
            earlier = found + (i - 1) * slope
            left = earlier / (s + i - 1) if s + i > 1 else 1.0
            step = (earlier + 1) / (s + i)
            area[0] += r / t * step
            area[1] += r / t * (left + step) / 2
    wanted = np.array(area) / (relevant_before + relevant)
    got = [metrics.average_precision(groups)[0], metrics.average_precision_trapezoid(groups)[0]]
    np.testing.assert_allclose(got, wanted, rtol=1e-10)
    chance = [
        math.comb(m - 1, relevant - 1) / math.comb(size, relevant)
        for m in range(relevant, size + 1)
    ]
    penalty = sum(
        c * 48 / (before + m) for c, m in zip(chance, range(relevant, size + 1), strict=True)
    )
    assert metrics.inverse_negative_penalty(groups)[0] == pytest.approx(penalty, rel=1e-12)


def test_cmc_of_many_ties_is_hypergeometric():
    relevant = np.arange(50)[None] < 20
    groups = metrics.tie_groups(np.zeros((1, 50)), relevant)
    ranks = list(range(1, 51))
    wanted = [1 - math.comb(30, k) / math.comb(50, k) for k in ranks]
    np.testing.assert_allclose(metrics.cmc(groups, ranks)[0], wanted, atol=1e-14)


def test_hand_computed_case():
    # Distances 1 | 2 2 | 3, relevant: one of the tied pair and the last.
    groups = metrics.tie_groups([[1.0, 2.0, 2.0, 3.0]], np.array([[False, True, False, True]]))
    assert metrics.cmc(groups, [1, 2, 3, 4])[0].tolist() == [0.0, 0.5, 1.0, 1.0]
    # The first relevant image is at 2 or 3, the second at 4: (1/2 + 2/4 + 1/3 + 2/4) / 2 / 2.
    assert metrics.average_precision(groups)[0] == pytest.approx(11 / 24)
    # At 2: (0/1 + 1/2 + 1/3 + 2/4) / 4; at 3: (0/2 + 1/3 + 1/3 + 2/4) / 4.
    assert metrics.average_precision_trapezoid(groups)[0] == pytest.approx((8 / 6 + 7 / 6) / 8)
    assert metrics.inverse_negative_penalty(groups)[0] == 0.5
    assert metrics.precision_at(groups, 2)[0] == 0.25
    assert metrics.recall_at(groups, 3)[0] == 0.5


def test_all_tied_and_all_relevant_is_perfect():
    groups = metrics.tie_groups(np.zeros((1, 9)), np.ones((1, 9), bool))
    summary = metrics.summarise(groups)
    assert summary.pop("queries") == 1
    assert summary.pop("queries_without_match") == 0
    assert summary == pytest.approx(dict.fromkeys(summary, 1.0))


def test_summary_leaves_out_queries_without_match():
    relevant = np.array([[True, False], [False, False], [False, True]])
    groups = metrics.tie_groups([[1.0, 2.0]] * 3, relevant)
    summary = metrics.summarise(groups)
    assert list(summary) == [
        *("rank1", "rank5", "rank10", "rank20", "rank30"),
        *("map", "map_trapezoid", "minp", "queries", "queries_without_match"),
    ]
    assert (summary["rank1"], summary["rank5"], summary["map"]) == (0.5, 1.0, 0.75)
    assert (summary["queries"], summary["queries_without_match"]) == (2, 1)
    parts = [metrics.tie_groups([[1.0, 2.0]], relevant[i : i + 1]) for i in range(3)]
    assert metrics.summarise(iter(parts)) == summary
    assert metrics.summarise(metrics.TieGroups.concatenate(parts)) == summary


@pytest.mark.parametrize("queries", [0, 2])
def test_empty_gallery(queries):
    groups = metrics.tie_groups(np.zeros((queries, 0)), np.zeros((queries, 0), bool))
    summary = metrics.summarise(groups)
    assert np.isnan(summary["map"])
    assert summary["queries_without_match"] == queries
    assert metrics.cmc(groups, [1]).shape == (queries, 1)


def test_one_image():
    groups = metrics.tie_groups([[3.0]], np.array([[True]]))
    assert metrics.summarise(groups)["minp"] == metrics.summarise(groups)["map"] == 1.0


@pytest.mark.parametrize("metric", [metrics.precision_at, metrics.recall_at])
def test_ranks_start_at_one(metric):
    groups = metrics.tie_groups([[3.0]], np.array([[True]]))
    with pytest.raises(ConfigError, match="start"):
        metric(groups, 0)
    with pytest.raises(ConfigError, match="start"):
        metrics.cmc(groups, [1, 0])
