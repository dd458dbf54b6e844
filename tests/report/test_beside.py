import numpy as np
import pytest
from matplotlib.colors import to_hex

from reid_hash.errors import ReidHashError
from reid_hash.report.beside import lists_beside
from reid_hash.report.colours import WRONG
from reid_hash.report.grid import RankingRow
from reid_hash.report.heading import Heading


def row(name, matches):
    images = [np.full((8, 8, 3), i, np.uint8) for i in range(len(matches))]
    query = np.full((8, 8, 3), 200, np.uint8)
    names = [str(i) for i in range(len(matches))]
    return RankingRow(query, name, images, names, matches, [0.0] * len(matches))


def test_mistakes_alone_are_framed_in_red():
    blocks = [
        ("A", [row("q", [True, False, True]), row("r", [True] * 3)]),
        ("B", [row("q", [False, False, True]), row("r", [True] * 3)]),
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
        lists_beside([("A", [row("q", [True])]), ("B", [row("r", [True])])], Heading("Title"))


@pytest.mark.parametrize("blocks", [[], [("A", [])]])
def test_no_queries(blocks):
    assert "no queries" in lists_beside(blocks, Heading("Title")).get_label()
