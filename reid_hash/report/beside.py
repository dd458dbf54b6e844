"""Ranking lists of several methods for the same queries, side by side."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from reid_hash.errors import ReidHashError
from reid_hash.report.colours import GREY, INK, RULE, WRONG, WRONG_MARK
from reid_hash.report.grid import RankingRow
from reid_hash.report.heading import Heading
from reid_hash.report.style import DPI, literal, new_figure, say_empty

# lengths in inches
_CELL = 0.5
_STEP = _CELL + 0.07
_BLOCK_GAP = 0.3
_COUNT = 0.42  # room behind a list for its number of right images
_EDGE = 0.15
_FIRST = _EDGE + _CELL + _BLOCK_GAP
_COLUMN_HEADS = 0.34
_FOOT = 0.34

Block = tuple[str, Sequence[RankingRow]]
"""Name of a method, and its lists."""


def lists_beside(blocks: Sequence[Block], heading: Heading) -> Figure:
    """Draw each query once, and to the right of it the list of each method.

    Wrong images have a red frame and a cross, right ones a thin grey frame. Behind each list stands
    how many of its images are right.

    Args:
        blocks: all have the same queries in the same order.
        heading: above all.

    Raises:
        ReidHashError: the methods have different queries.
    """
    if len({tuple(row.query_name for row in rows) for _, rows in blocks}) > 1:
        raise ReidHashError("lists can stand side by side only where their queries are the same")
    queries = list(blocks[0][1]) if blocks else []
    if not queries:
        return say_empty(new_figure(5, 1.6, heading.title), "no queries")
    columns = max(len(row.images) for _, rows in blocks for row in rows)
    width = max(_EDGE + _FIRST + len(blocks) * _block_width(columns) - _BLOCK_GAP, 5.0)
    head = heading.height(width) + _COLUMN_HEADS
    height = head + len(queries) * _STEP + _FOOT
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
    heading.draw(figure)
    over = height - head + 0.09
    _write(figure, _EDGE + _CELL / 2, over, "query", ha="center")
    for number, row in enumerate(queries):
        axes = _picture(figure, _EDGE, height - head - number * _STEP, row.query)
        axes.spines[:].set(color=INK, linewidth=2)
    for place, (name, rows) in enumerate(blocks):
        left = _FIRST + place * _block_width(columns)
        _write(figure, left, over, name, weight="bold")
        for number, row in enumerate(rows):
            _list(figure, left, height - head - number * _STEP, row, columns)
    foot = f"nearest first; red frame and {WRONG_MARK}: wrong; behind each list: right images"
    _write(figure, _FIRST, 0.12, foot, color=GREY)
    said = "; ".join(
        f"{name}: {', '.join(str(sum(row.matches)) for row in rows)} right" for name, rows in blocks
    )
    figure.set_label(f"Lists of {columns} nearest images for {len(queries)} queries. {said}.")
    return figure


def _block_width(columns: int) -> float:
    return columns * _STEP + _COUNT + _BLOCK_GAP


def _write(figure: Figure, x: float, y: float, text: str, **look: str) -> None:
    """Write at a place in inches from the lower left."""
    words: dict[str, Any] = {"color": INK, "fontsize": 9, **look}
    placed = figure.text(x / figure.get_figwidth(), y / figure.get_figheight(), text, **words)
    literal(placed)


def _picture(figure: Figure, left: float, top: float, image: NDArray[np.uint8]) -> Axes:
    width, height = figure.get_figwidth(), figure.get_figheight()
    place = (left / width, (top - _CELL) / height, _CELL / width, _CELL / height)
    axes = figure.add_axes(place)
    axes.imshow(image, interpolation="antialiased")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set(color=RULE, linewidth=1)
    return axes


def _list(figure: Figure, left: float, top: float, row: RankingRow, columns: int) -> None:
    """One ranking list and the number of its right images."""
    for rank, (image, match) in enumerate(zip(row.images, row.matches, strict=True)):
        axes = _picture(figure, left + rank * _STEP, top, image)
        if not match:
            _mark_wrong(axes)
    count = f"{sum(row.matches)}/{len(row.matches)}"
    _write(figure, left + columns * _STEP + 0.03, top - _CELL / 2, count, va="center")


def _mark_wrong(axes: Axes) -> None:
    """A red frame, and a cross in the corner: right and wrong differ not in colour alone."""
    axes.spines[:].set(color=WRONG, linewidth=2.6)
    axes.annotate(
        WRONG_MARK,
        (1, 1),
        xycoords="axes fraction",
        xytext=(-4.5, -5),
        textcoords="offset points",
        ha="center",
        va="center",
        color="white",
        fontsize=6,
        bbox={"boxstyle": "square,pad=0.15", "color": WRONG},
    )
