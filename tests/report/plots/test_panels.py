import numpy as np
import pytest

from reid_hash.report.colours import GREY, PALETTE
from reid_hash.report.plots.panels import Line, Panel, panels_plot
from reid_hash.report.style import NOTICE, Heading, save_figure

LENGTHS = [16, 24, 32]


def panel(title="(a)", **lines):
    drawn = [Line(name, LENGTHS, values, look) for look, (name, values) in enumerate(lines.items())]
    return Panel(title, "code length, bits", "mAP", drawn)


def test_lines_have_one_colour_in_all_panels_and_one_entry_in_the_legend():
    first = panel(ours=[0.5, 0.6, 0.7], theirs=[0.4, 0.5, 0.5])
    second = Panel("(b)", "images", "precision", [Line("theirs", [100, 200], [0.9, 0.8], 1)], False)
    figure = panels_plot([first, second], Heading("Title"))
    (ours, theirs), (again,) = (axes.lines for axes in figure.axes)
    assert list(ours.get_xdata()) == LENGTHS
    np.testing.assert_allclose(ours.get_ydata(), [0.5, 0.6, 0.7])
    assert (ours.get_color(), theirs.get_color()) == PALETTE[:2]
    assert (again.get_color(), again.get_marker()) == (theirs.get_color(), theirs.get_marker())
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["ours", "theirs"]
    assert [axes.get_xscale() for axes in figure.axes] == ["log", "linear"]
    assert [text.get_text() for text in figure.axes[0].get_xticklabels()] == ["16", "24", "32"]


def test_published_lines_are_grey_and_dashed_below_the_others():
    lines = [Line("ours", LENGTHS, [0.5] * 3, 0), Line("reported: X", LENGTHS, [0.4] * 3, 0, True)]
    figure = panels_plot([Panel("", "bits", "mAP", lines)], Heading("Title"))
    published, ours = figure.axes[0].lines
    assert (published.get_color(), published.get_markerfacecolor()) == (GREY, "white")
    assert published.get_linestyle() == "--"
    assert ours.get_color() == PALETTE[0]
    legend = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert legend == ["ours", "reported: X"]  # in the order given


def test_a_notice_is_in_the_picture_and_nothing_overlaps():
    panels = [panel(f"({letter}) panel", ours=[0.1, 0.2, 0.3]) for letter in "abcd"]
    heading = Heading("A title", "below it", "scaled down: 1 epoch instead of 20")
    figure = panels_plot(panels, heading)
    figure.draw_without_rendering()
    texts = {text.get_text(): text for text in figure.texts}
    assert texts[heading.notice].get_color() == NOTICE
    boxes = [texts[t].get_window_extent() for t in (heading.subtitle, heading.notice)]
    title = figure.get_suptitle()
    assert title == "A title"
    assert boxes[0].y0 >= boxes[1].y1
    assert boxes[1].y0 > max(axes.get_tightbbox().y1 for axes in figure.axes)
    assert all(box.y1 <= figure.bbox.y1 for box in boxes)
    for axes in figure.axes:
        assert axes.get_tightbbox().y0 > figure.legends[0].get_window_extent().y0


@pytest.mark.parametrize("panels", [[], [panel("(a)")], [panel(x=[0.5] * 3), panel("(b)")]])
def test_nothing_to_draw(panels, tmp_path):
    save_figure(panels_plot(panels, Heading("Title")), tmp_path / "a.png")
    assert (tmp_path / "a.png").exists()


def test_the_axis_names_nothing_above_100_percent():
    panel = Panel("top", "bits", "mAP", [Line("a", [16, 32], [0.98, 0.99], look=0)])
    figure = panels_plot([panel], Heading("t"))
    figure.canvas.draw()
    texts = [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
    assert "99 %" in texts
    assert not {"101 %", "100.5 %"} & set(texts)
