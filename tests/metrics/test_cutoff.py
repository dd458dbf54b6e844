import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reid_hash import metrics
from reid_hash.errors import ConfigError
from tests.metrics import textbook

RANKS = [1, 2, 3, 4, 6, 9]


@st.composite
def graded_lists(draw, queries=2, longest=7):
    """Distances of few levels, and shared labels: up to 7! orders a query."""
    n, levels = draw(st.integers(1, longest)), draw(st.integers(1, 4))

    def matrix(largest):
        values = st.lists(st.integers(0, largest), min_size=queries * n, max_size=queries * n)
        return np.array(draw(values)).reshape(queries, n)

    return matrix(levels), matrix(3)


def gains_of(distances, shared, groups):
    sums = []
    for query, before in zip(groups.query, groups.before, strict=True):
        level = np.sort(distances[query])[before]
        sums.append(metrics.gain(shared[query, distances[query] == level]).sum())
    tables = [np.bincount(row, minlength=4) for row in shared]
    return metrics.Gains(np.array(sums), np.array(tables))


@settings(max_examples=50, deadline=None)
@given(graded_lists())
def test_every_cut_metric_is_the_mean_over_all_orders_of_ties(case):
    distances, shared = case
    relevant = shared > 0
    groups = metrics.tie_groups(distances, relevant)
    gains = gains_of(distances, shared, groups)
    for k in RANKS:
        wanted = textbook.column(textbook.average_precision_at, distances, relevant, None, k)
        np.testing.assert_allclose(metrics.average_precision_at(groups, k), wanted, atol=1e-12)
        wanted = textbook.column(textbook.ndcg_at, distances, shared, None, k)
        np.testing.assert_allclose(metrics.ndcg_at(groups, k, gains), wanted, atol=1e-12)
        wanted = textbook.column(textbook.ndcg_at, distances, relevant.astype(int), None, k)
        np.testing.assert_allclose(metrics.ndcg_at(groups, k), wanted, atol=1e-12)
    percents = [0, 20, 50, 70, 100]
    curve = metrics.precision_at_recall(groups, [p / 100 for p in percents])
    for column, percent in enumerate(percents):
        arguments = (distances, relevant, None, percent)
        place = textbook.column(textbook.position_at_recall, *arguments)
        wanted = textbook.column(textbook.wanted_at_recall, *arguments) / place
        np.testing.assert_allclose(curve[:, column], wanted, atol=1e-12)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 60), st.integers(0, 2**32 - 1))
def test_without_ties_equals_sorting(n, seed):
    rng = np.random.default_rng(seed)
    distances, relevant = rng.permutation(n)[None].astype(float), rng.random((1, n)) < 0.3
    order = relevant[0, np.argsort(distances[0])].tolist()
    groups = metrics.tie_groups(distances, relevant)
    for k in (1, n // 2 + 1, n, 2 * n):
        got = metrics.average_precision_at(groups, k)[0], metrics.ndcg_at(groups, k)[0]
        if not any(order):
            assert np.isnan(got).all()
            continue
        wanted = textbook.average_precision_at(order, k), textbook.ndcg_at(order, k)
        np.testing.assert_allclose(got, wanted, atol=1e-12)
    levels = [0.0, 0.15, 0.5, 1.0]
    curve = metrics.precision_at_recall(groups, levels)[0]
    if any(order):
        for level, got in zip(levels, curve, strict=True):
            percent = round(100 * level)
            wanted = textbook.wanted_at_recall(order, percent)
            assert got == pytest.approx(wanted / textbook.position_at_recall(order, percent))


@pytest.mark.parametrize(("before", "found"), [(0, 0), (300, 20), (300, 0), (4000, 3000)])
@pytest.mark.parametrize(
    ("size", "relevant", "places"), [(900, 400, 500), (900, 5, 899), (7, 7, 3)]
)
def test_cut_through_a_long_tie_equals_the_sum_over_hypergeometric_chances(
    before, found, size, relevant, places
):
    """Against the two sums the closed form stands for: over h, and over the places."""
    hits = np.zeros((1, before + size), bool)
    hits[0, :found] = hits[0, before : before + relevant] = True
    distances = np.repeat([0, 1], [before, size])[None]
    groups = metrics.tie_groups(distances, hits)
    steps = [
        (found / before) * (1 + (i - 1) * (found - 1) / max(before - 1, 1)) / i
        for i in range(1, before + 1)
    ]
    total = 0.0
    for h in range(max(0, places - size + relevant), min(places, relevant) + 1):
        if found + h == 0:
            continue
        ways = math.comb(relevant, h) * math.comb(size - relevant, places - h)
        rise = (h - 1) / max(places - 1, 1)
        inside = [
            h / places * (found + 1 + (i - 1) * rise) / (before + i) for i in range(1, places + 1)
        ]
        total += ways / math.comb(size, places) * (sum(steps) + sum(inside)) / (found + h)
    got = metrics.average_precision_at(groups, before + places)[0]
    assert got == pytest.approx(total, rel=1e-10)


def test_hand_computed_case():
    # Distances 1 | 2 2 | 3, relevant: one of the tied pair and the last.
    groups = metrics.tie_groups([[1.0, 2.0, 2.0, 3.0]], np.array([[False, True, False, True]]))
    # Of the first 2: the relevant image is at 2, precision 1/2, or not among them.
    assert metrics.average_precision_at(groups, 2)[0] == pytest.approx(1 / 4)
    assert metrics.average_precision_at(groups, 4)[0] == metrics.average_precision(groups)[0]
    ideal = 1 + 1 / math.log2(3)
    assert metrics.ndcg_at(groups, 2)[0] == pytest.approx(0.5 / math.log2(3) / ideal)
    # The first relevant image stands at 2.5 on average, the second at 4.
    np.testing.assert_allclose(metrics.precision_at_recall(groups, [0.5, 1.0]), [[1 / 2.5, 2 / 4]])


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (2, 0), (2, 3)])
def test_nothing_relevant(shape):
    groups = metrics.tie_groups(np.zeros(shape), np.zeros(shape, bool))
    for values in (
        metrics.average_precision_at(groups, 5),
        metrics.ndcg_at(groups, 5),
        metrics.precision_at_recall(groups, [1.0])[:, 0],
        metrics.precision_within_radius(metrics.ball(np.zeros(shape), np.zeros(shape, bool))),
    ):
        assert values.shape == (shape[0],)
        assert np.isnan(values).all()


def test_one_image():
    groups = metrics.tie_groups([[3.0]], np.array([[True]]))
    assert metrics.average_precision_at(groups, 1)[0] == metrics.ndcg_at(groups, 1)[0] == 1.0
    assert metrics.precision_at_recall(groups).tolist() == [[1.0] * 21]


def test_ball():
    distances = np.array([[0, 2, 3], [3, 4, 3], [1, 1, 1]])
    relevant = np.array([[True, False, True], [True, True, True], [False] * 3])
    ball = metrics.ball(distances, relevant, radius=2)
    assert (ball.size.tolist(), ball.relevant.tolist()) == ([2, 0, 3], [1, 0, 0])
    wanted = [*map(textbook.precision_within_radius, distances[:2], relevant[:2], [2, 2]), np.nan]
    np.testing.assert_array_equal(metrics.precision_within_radius(ball), wanted)


def test_bad_input_is_told():
    groups = metrics.tie_groups([[3.0]], np.array([[True]]))
    for metric in (metrics.average_precision_at, metrics.ndcg_at):
        with pytest.raises(ConfigError, match="start"):
            metric(groups, 0)
    with pytest.raises(ConfigError, match="recall"):
        metrics.precision_at_recall(groups, [1.5])
