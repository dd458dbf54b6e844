import io
import itertools

import numpy as np
import pytest
from matplotlib.colors import to_hex

from reid_hash.errors import ReidHashError
from reid_hash.report.colours import RIGHT_MARK, WRONG, WRONG_MARK
from reid_hash.report.grid import RankingRow, lists_beside, ranking_grid
from reid_hash.report.style import Heading


def picture(value, height=8, width=4):
    return np.full((height, width, 3), value, np.uint8)


def row(matches, distances=None, names=None):
    count = len(matches)
    return RankingRow(
        query=picture(0),
        query_name="query.jpg",
        images=[picture(10 * (i + 1)) for i in range(count)],
        names=names or [f"g{i}.jpg" for i in range(count)],
        matches=matches,
        distances=distances or [float(i) for i in range(count)],
    )


def captions(figure):
    return [axes.get_xlabel().split("\n") for axes in figure.axes]


def test_images_run_from_the_query_to_the_right():
    figure = ranking_grid([row([True, False])], "title")
    values = [int(axes.images[0].get_array()[0, 0, 0]) for axes in figure.axes]
    assert values == [0, 10, 20]
    lefts = [axes.get_position().x0 for axes in figure.axes]
    assert lefts == sorted(set(lefts))


def test_matches_differ_in_colour_mark_and_line():
    query, right, wrong = ranking_grid([row([True, False])], "").axes
    assert [text.get_text() for text in right.texts] == [RIGHT_MARK]
    assert [text.get_text() for text in wrong.texts] == [WRONG_MARK]
    assert not query.texts
    frames = [axes.spines["left"] for axes in (query, right, wrong)]
    assert len({frame.get_edgecolor() for frame in frames}) == 3
    assert frames[1].get_linestyle() != frames[2].get_linestyle()
    red, green, *_ = right.spines["left"].get_edgecolor()
    assert green > 2 * red
    red, green, *_ = wrong.spines["left"].get_edgecolor()
    assert red > 2 * green


@pytest.mark.parametrize(
    ("distances", "printed"),
    [
        ([3.0, 12.0], ["1 · 3", "2 · 12"]),
        ([3.0, 12.345], ["1 · 3.00", "2 · 12.35"]),
        ([0.1234, 0.5], ["1 · 0.123", "2 · 0.500"]),
        ([1.5, 1234.5], ["1 · 1.5", "2 · 1234.5"]),
    ],
)
def test_rank_and_distance_stand_below(distances, printed):
    query, *gallery = captions(ranking_grid([row([True, False], distances)], ""))
    assert query[0] == "query.jpg"
    assert [caption[0] for caption in gallery] == printed
    assert [caption[1] for caption in gallery] == ["g0.jpg", "g1.jpg"]


def test_rows_of_different_length_and_shape():
    odd = RankingRow(picture(1, 4, 8), "wide", [picture(2, 40, 2)], ["tall"], [True], [1.0])
    figure = ranking_grid([row([True] * 3), odd, row([])], "title " * 60)
    assert len(figure.axes) == 4 + 2 + 1
    tops = [axes.get_position().y1 for axes in figure.axes if axes.get_xlabel().startswith("q")]
    assert tops[0] > tops[1]
    figure.draw_without_rendering()
    title = figure._suptitle.get_window_extent()
    heading = next(t for t in figure.texts if t.get_text() == "query").get_window_extent()
    assert title.y0 > heading.y1
    assert heading.y0 > max(axes.get_tightbbox().y1 for axes in figure.axes)
    assert title.y1 < figure.bbox.y1
    assert min(axes.get_tightbbox().y0 for axes in figure.axes) > 0


def test_captions_do_not_touch_their_neighbours():
    names = ["0002_c1s1_000451_03_very_long_name_of_a_file.jpg"] * 3
    figure = ranking_grid([row([True] * 3, names=names)], "")
    figure.draw_without_rendering()
    boxes = [axes.xaxis.label.get_window_extent() for axes in figure.axes[1:]]
    assert all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes))
    shown = "".join(captions(figure)[1][1:])
    assert shown.startswith("0002_c1s1")
    assert shown.endswith("file.jpg")
    assert len(shown) <= 32


def test_names_are_no_formulas():
    figure = ranking_grid([row([True], names=["$x_{$"])], "$\\frac$")
    figure.savefig(io.BytesIO(), format="png")
    assert captions(figure)[1][1] == "$x_{$"


def test_no_rows():
    figure = ranking_grid([], "title")
    assert [text.get_text() for text in figure.axes[0].texts] == ["no queries"]


def test_lists_of_different_length_are_refused():
    with pytest.raises(ReidHashError, match="1 images, 2 names"):
        RankingRow(picture(0), "q", [picture(1)], ["a", "b"], [True], [0.0])


def named_row(name, matches):
    images = [np.full((8, 8, 3), i, np.uint8) for i in range(len(matches))]
    query = np.full((8, 8, 3), 200, np.uint8)
    names = [str(i) for i in range(len(matches))]
    return RankingRow(query, name, images, names, matches, [0.0] * len(matches))


def test_mistakes_alone_are_framed_in_red():
    blocks = [
        ("A", [named_row("q", [True, False, True]), named_row("r", [True] * 3)]),
        ("B", [named_row("q", [False, False, True]), named_row("r", [True] * 3)]),
    ]
    figure = lists_beside(blocks, Heading("Title", notice="scaled down"))
    texts = [text.get_text() for text in figure.texts]
    assert [t for t in texts if "/" in t] == ["2/3", "3/3", "1/3", "3/3"]
    assert {"A", "B", "query", "scaled down"} <= set(texts)
    frames = [to_hex(axes.spines["left"].get_edgecolor()).upper() for axes in figure.axes]
    # two queries, then A's six images, then B's
    wrong = [i for i, frame in enumerate(frames) if frame == WRONG]
    assert wrong == [3, 8, 9]
    assert [i for i, axes in enumerate(figure.axes) if axes.texts] == wrong
    assert figure.axes[4].images[0].get_array()[0, 0, 0] == 2
    boxes = [axes.get_position() for axes in figure.axes]
    assert all(b.x0 >= 0 and b.x1 <= 1 and b.y0 >= 0 and b.y1 <= 1 for b in boxes)
    assert boxes[8].x0 > boxes[4].x1  # the second block is to the right of the first


def test_lists_of_other_queries_do_not_stand_beside():
    with pytest.raises(ReidHashError, match="where their queries are the same"):
        lists_beside(
            [("A", [named_row("q", [True])]), ("B", [named_row("r", [True])])], Heading("Title")
        )


@pytest.mark.parametrize("blocks", [[], [("A", [])]])
def test_lists_without_queries(blocks):
    assert "no queries" in lists_beside(blocks, Heading("Title")).get_label()
