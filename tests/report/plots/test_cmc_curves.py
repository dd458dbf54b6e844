import io

import numpy as np
import pytest
from matplotlib.figure import Figure

from reid_hash.report.colours import GREY
from reid_hash.report.plots.cmc_curves import Curve, cmc_plot
from reid_hash.report.style import length_style

RANKS = np.arange(1, 51)
RATES = 1 - 0.5 / RANKS


def legend_of(figure: Figure) -> list[str]:
    legend = figure.axes[0].get_legend()
    return [text.get_text().replace("\n", " ") for text in legend.get_texts()]


def test_lines_hold_the_curves():
    other = np.linspace(0.2, 0.8, 50)
    axes = cmc_plot([Curve("a", RANKS, RATES), Curve("b", RANKS, other)], "title").axes[0]
    np.testing.assert_array_equal(axes.lines[0].get_xdata(), RANKS)
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), RATES)
    np.testing.assert_array_equal(axes.lines[1].get_ydata(), other)
    assert axes.lines[0].get_color() != axes.lines[1].get_color()
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("rank", "match rate")
    assert list(axes.get_xticks()) == [1, 5, 10, 20, 30, 40, 50]
    low, high = axes.get_ylim()
    assert low < 0.2
    assert 0.99 < high <= 1.01


def test_weighted_and_unweighted_share_a_colour():
    curves = [
        Curve("64 bits, weighted", RANKS, RATES, bits=64),
        Curve("64 bits, unweighted", RANKS, RATES - 0.1, bits=64, weighted=False),
        Curve("32 bits, weighted", RANKS, RATES - 0.2, bits=32),
    ]
    weighted, unweighted, short = cmc_plot(curves, "").axes[0].lines
    assert weighted.get_color() == unweighted.get_color() != short.get_color()
    assert (weighted.get_linestyle(), unweighted.get_linestyle()) == ("-", ":")
    assert weighted.get_markerfacecolor() != unweighted.get_markerfacecolor()


def test_a_length_keeps_its_colour_and_others_leave_it_alone():
    alone = cmc_plot([Curve("64", RANKS, RATES, bits=64)], "").axes[0].lines[0]
    others = [Curve("other", RANKS, RATES), Curve("8", RANKS, RATES, bits=8)]
    among = cmc_plot([*others, Curve("64", RANKS, RATES, bits=64)], "").axes[0]
    assert among.lines[2].get_color() == alone.get_color() == length_style(64)[0]
    assert among.lines[0].get_color() not in {length_style(8)[0], length_style(64)[0]}


def test_reported_curves_are_dashed_grey_and_say_so():
    figure = cmc_plot(
        [Curve("ours", RANKS, RATES), Curve("theirs", RANKS[:5], RATES[:5], reported=True)], ""
    )
    assert figure.axes[0].lines[1].get_linestyle() == "--"
    assert figure.axes[0].lines[1].get_color() == GREY
    assert legend_of(figure) == ["ours: 50.0 %", "theirs (as reported): 50.0 %"]


def test_the_legend_tells_rates_of_one_rank_only():
    late = Curve("from rank 5", np.array([5, 10]), np.array([0.7, 0.8]))
    figure = cmc_plot([late, Curve("all", RANKS, RATES)], "")
    assert figure.axes[0].get_legend().get_title().get_text() == "match rate at rank 1"
    assert legend_of(figure) == ["from rank 5", "all: 50.0 %"]


def test_deviation_is_a_band():
    axes = cmc_plot([Curve("a", RANKS, RATES, std=np.full(50, 0.03))], "").axes[0]
    corners = axes.collections[0].get_paths()[0].vertices
    at_one = corners[corners[:, 0] == 1][:, 1]
    assert at_one.min() == pytest.approx(0.47)
    assert at_one.max() == pytest.approx(0.53)
    assert not cmc_plot([Curve("a", RANKS, RATES)], "").axes[0].collections


@pytest.mark.parametrize("curves", [[], [Curve("none", np.array([]), np.array([]))]])
def test_no_curves(curves):
    axes = cmc_plot(curves, "title").axes[0]
    assert [text.get_text() for text in axes.texts] == ["no curves"]
    assert not axes.lines


def test_one_rank():
    axes = cmc_plot([Curve("a", np.array([1]), np.array([1.0]))], "").axes[0]
    assert list(axes.get_xticks()) == [1]
    low, high = axes.get_xlim()
    assert low < 1 < high


@pytest.mark.parametrize("label", ["$x_{$", "_hidden", "a" * 300])
def test_labels_from_files_are_shown_as_they_are(label):
    figure = cmc_plot([Curve(label, RANKS, RATES)], f"{label} $\\frac$ $")
    figure.savefig(io.BytesIO(), format="png")  # a formula would raise here
    assert legend_of(figure)[0].startswith(label[:20])
    assert legend_of(figure)[0].endswith("50.0 %")


def test_sixteen_long_labels_overlap_nothing():
    curves = [Curve(f"a long label that wraps, number {i}", RANKS, RATES) for i in range(16)]
    figure = cmc_plot(curves, "a title " * 40)
    figure.draw_without_rendering()
    axes, whole = figure.axes[0], figure.bbox
    legend = axes.get_legend().get_window_extent()
    title = figure._suptitle.get_window_extent()
    assert legend.x0 > axes.get_window_extent().x1
    assert legend.y1 < title.y0
    assert legend.y0 > whole.y0
    assert legend.x1 < whole.x1
    assert title.x1 < whole.x1
