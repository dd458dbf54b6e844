import itertools

import numpy as np
import pytest

from reid_hash.report.colours import GREY
from reid_hash.report.plots.bits import bits_plot
from reid_hash.report.style import length_style


def record(bits, weighted=True, rank1=None, **more):
    return {"bits": bits, "weighted": weighted, "rank1": rank1 or bits / 300, **more}


def lines_of(axes):
    """The lines with more than one point: single points are the markers."""
    return [line for line in axes.lines if len(line.get_xdata()) > 1]


def labels_of(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_lines_hold_the_records_in_order_of_length():
    records = [record(64), record(16), record(32), record(16, False, 0.01), record(64, False, 0.1)]
    axes = bits_plot(records).axes[0]
    weighted, unweighted = lines_of(axes)
    assert list(weighted.get_xdata()) == [16, 32, 64]
    np.testing.assert_allclose(weighted.get_ydata(), [16 / 300, 32 / 300, 64 / 300])
    assert list(unweighted.get_ydata()) == [0.01, 0.1]
    assert (weighted.get_linestyle(), unweighted.get_linestyle()) == ("-", ":")
    assert labels_of(axes) == ["weighted", "unweighted"]


def test_the_axis_is_logarithmic_with_the_real_lengths():
    axes = bits_plot([record(bits) for bits in (16, 24, 48)]).axes[0]
    assert axes.get_xscale() == "log"
    assert list(axes.get_xticks()) == [16, 24, 48]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["16", "24", "48"]
    assert axes.get_xlabel() == "code length, bits"
    assert axes.get_ylabel() == "rank-1"


def test_labels_of_many_lengths_do_not_overlap():
    figure = bits_plot([record(bits) for bits in range(8, 257, 8)])
    figure.draw_without_rendering()
    labels = [t for t in figure.axes[0].get_xticklabels() if t.get_text()]
    boxes = sorted((t.get_window_extent() for t in labels), key=lambda box: box.x0)
    assert all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes))
    assert {"8", "16", "32", "64", "128", "256"} <= {t.get_text() for t in labels}


def test_points_have_the_colours_of_their_lengths():
    axes = bits_plot([record(16), record(64)]).axes[0]
    points = {
        line.get_xdata()[0]: line.get_color() for line in axes.lines if len(line.get_xdata()) == 1
    }
    assert points == {16: length_style(16)[0], 64: length_style(64)[0]}


def test_deviations_are_error_bars():
    axes = bits_plot([record(16, rank1=0.5, rank1_std=0.02), record(32, rank1=0.6)]).axes[0]
    bars = axes.collections[0].get_segments()
    np.testing.assert_allclose(bars[0], [[16, 0.48], [16, 0.52]])
    np.testing.assert_allclose(bars[1], [[32, 0.6], [32, 0.6]])
    assert not bits_plot([record(16), record(32)]).axes[0].collections


def test_another_figure():
    axes = bits_plot([record(16, map=0.3), record(32, map=0.4)], "map").axes[0]
    assert list(lines_of(axes)[0].get_ydata()) == [0.3, 0.4]
    assert axes.get_ylabel() == "mAP"


def test_methods_differ_in_colour_and_published_ones_are_grey():
    records = [record(bits, method="ours") for bits in (16, 32)]
    records += [record(bits, method="ITQ", weighted=False) for bits in (16, 32)]
    records += [record(bits, method="DSRH", weighted=None, reported=True) for bits in (16, 32)]
    axes = bits_plot(records).axes[0]
    ours, itq, dsrh = lines_of(axes)
    assert len({ours.get_color(), itq.get_color(), dsrh.get_color()}) == 3
    assert (dsrh.get_color(), dsrh.get_linestyle()) == (GREY, "--")
    assert labels_of(axes) == ["ours, weighted", "ITQ, unweighted", "DSRH (as reported)"]


def test_a_float_embedding_is_a_level_line_and_does_not_stretch_the_axis():
    records = [record(bits, method="codes") for bits in (16, 32)]
    records.append(record(8192, method="float embedding", weighted=False, rank1=0.8))
    axes = bits_plot(records).axes[0]
    assert [list(line.get_ydata()) for line in axes.lines if line.get_linestyle() == "-."] == [
        [0.8, 0.8]
    ]
    assert axes.get_xlim()[1] < 64
    assert "float embedding, 8,192 bits" in labels_of(axes)


@pytest.mark.parametrize(
    "records",
    [[], [{"bits": 16, "weighted": True}], [{"bits": 16, "rank1": float("nan")}], [{"rank1": 0.5}]],
)
def test_nothing_to_draw(records):
    axes = bits_plot(records).axes[0]
    assert [text.get_text() for text in axes.texts] == ["no rank-1"]


def test_one_record():
    axes = bits_plot([record(64, rank1=1.0)]).axes[0]
    low, high = axes.get_xlim()
    assert low < 64 < high
    assert axes.get_ylim()[1] >= 1.0
    assert [text.get_text() for text in axes.get_xticklabels()] == ["64"]
