"""Grids of queries and their nearest gallery images, for one method or several side by side."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from reid_hash.errors import ReidHashError
from reid_hash.report.colours import GREY, INK, RIGHT, RIGHT_MARK, RULE, WRONG, WRONG_MARK
from reid_hash.report.style import (
    DPI,
    Heading,
    add_title,
    break_title,
    literal,
    new_figure,
    say_empty,
    shorten,
)

# lengths in inches
_CELL = 0.92
_GAP = 0.14
_QUERY_GAP = 0.34
_CAPTION = 0.5
_EDGE = 0.2
_CHARACTERS = 16  # of a caption that fit below an image
_FOOT = 0.3

# lengths in inches for lists side by side
_SMALL_CELL = 0.5
_STEP = _SMALL_CELL + 0.07
_BLOCK_GAP = 0.3
_COUNT = 0.42  # room behind a list for its number of correct images
_SMALL_EDGE = 0.15
_FIRST = _SMALL_EDGE + _SMALL_CELL + _BLOCK_GAP
_COLUMN_HEADS = 0.34
_SMALL_FOOT = 0.34


@dataclass(frozen=True, eq=False)
class RankingRow:
    """A query and its nearest gallery images.

    Attributes:
        query: [height, width, 3] uint8 RGB.
        query_name: caption of the query.
        images: gallery images, nearest first; each [height, width, 3] uint8 RGB, of any size.
        names: captions of the gallery images.
        matches: whether each gallery image shows what the query shows.
        distances: distance of each gallery image from the query, ≥ 0.
    """

    query: NDArray[np.uint8]
    query_name: str
    images: list[NDArray[np.uint8]]
    names: list[str]
    matches: list[bool]
    distances: list[float]

    def __post_init__(self) -> None:
        lengths = {len(self.images), len(self.names), len(self.matches), len(self.distances)}
        if len(lengths) > 1:
            raise ReidHashError(
                f"the ranking of {self.query_name} has {len(self.images)} images, "
                f"{len(self.names)} names, {len(self.matches)} matches and "
                f"{len(self.distances)} distances"
            )


Block = tuple[str, Sequence[RankingRow]]
"""A method's name and its ranking lists."""


def ranking_grid(rows: Sequence[RankingRow], title: str) -> Figure:
    """Draw queries on the left, each with its nearest gallery images to the right.

    Correct matches have a green frame and a tick, wrong ones a dashed red frame and a cross. The
    caption of an image is its rank, distance, and name, shortened in the middle.

    Args:
        rows: ranking lists from top to bottom, which may differ in length.
        title: title of the grid.
    """
    columns = max((len(row.images) for row in rows), default=0)
    pictures = [image for row in rows for image in (row.query, *row.images)]
    # The tallest picture decides, except that extreme ones of 1 × 1,000 pixels do not.
    aspect = max((len(image) / max(1, image.shape[1]) for image in pictures), default=1.0)
    tall = _CELL * min(max(aspect, 0.5), 2.5)
    width = max(2 * _EDGE + _CELL + _QUERY_GAP + columns * (_CELL + _GAP) - _GAP, 4.5)
    if not rows:
        return say_empty(new_figure(width, 1.6, title), "no queries")
    heading = break_title(title, width)
    head = 0.66 + 0.2 * heading.count("\n")
    height = head + len(rows) * (tall + _CAPTION) + _FOOT
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
    add_title(figure, heading, y=1 - 0.1 / height)
    decimals = _decimals([distance for row in rows for distance in row.distances])
    first = _EDGE + _CELL + _QUERY_GAP
    over = 1 - (head - 0.08) / height
    figure.text((_EDGE + _CELL / 2) / width, over, "query", ha="center", fontsize=9, color=INK)
    figure.text(first / width, over, "gallery, nearest first", fontsize=9, color=INK)
    for number, row in enumerate(rows):
        bottom = height - head - number * (tall + _CAPTION) - tall
        lefts = [_EDGE, *(first + column * (_CELL + _GAP) for column in range(len(row.images)))]
        places = [
            figure.add_axes((x / width, bottom / height, _CELL / width, tall / height))
            for x in lefts
        ]
        _draw(places[0], row.query, _name(row.query_name), INK, "-")
        ranking = zip(row.images, row.names, row.matches, row.distances, strict=True)
        for rank, (image, name, match, distance) in enumerate(ranking, start=1):
            caption = f"{rank} · {distance:.{decimals}f}\n{_name(name)}"
            colour, line = (RIGHT, "-") if match else (WRONG, (0, (3, 1.5)))
            _draw(places[rank], image, caption, colour, line)
            _mark(places[rank], match)
    figure.text(
        first / width,
        0.1 / height,
        f"{RIGHT_MARK} right match   {WRONG_MARK} wrong   below: rank · distance, name",
        fontsize=8,
        color=GREY,
    )
    right = [sum(row.matches) for row in rows]
    figure.set_label(
        f"Grid of {len(rows)} queries with up to {columns} nearest gallery images each; right "
        f"matches in each row: {', '.join(map(str, right))}."
    )
    return figure


def _name(name: str) -> str:
    """Break a name into up to two lines as wide as an image, shortened in the middle."""
    short = shorten(name, 2 * _CHARACTERS)
    return f"{short[:_CHARACTERS]}\n{short[_CHARACTERS:]}"


def _decimals(distances: Sequence[float]) -> int:
    """Choose the decimals for printing distances: none for numbers of bits, else three digits."""
    if all(float(distance).is_integer() for distance in distances):
        return 0
    largest = max(distances)
    return 1 if largest >= 100 else 2 if largest >= 1 else 3


def _draw(
    axes: Axes,
    image: NDArray[np.uint8],
    caption: str,
    colour: str,
    line: str | tuple[int, tuple[float, ...]],
) -> None:
    axes.imshow(image, interpolation="antialiased")
    axes.set_anchor("S")  # keeps a row's captions aligned if pictures differ in shape
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set(color=colour, linewidth=2.4, linestyle=line)
    literal(axes.set_xlabel(caption, fontsize=6.5, color=INK, labelpad=4, linespacing=1.25))


def _mark(axes: Axes, match: bool, small: bool = False) -> None:
    """Draw a badge in the upper right corner, so that colour is not the only difference."""
    axes.annotate(
        RIGHT_MARK if match else WRONG_MARK,
        (1, 1),
        xycoords="axes fraction",
        xytext=(-4.5, -5) if small else (-6, -7),
        textcoords="offset points",
        ha="center",
        va="center",
        color="white",
        fontsize=6 if small else 8,
        bbox={
            "boxstyle": f"square,pad={0.15 if small else 0.2}",
            "color": RIGHT if match else WRONG,
        },
    )


def lists_beside(blocks: Sequence[Block], heading: Heading) -> Figure:
    """Draw each query once, and to its right the ranking list of each method.

    Wrong images have a red frame and a cross, correct ones a thin grey frame. Each list ends with
    the number of its correct images.

    Args:
        blocks: one block per method, all with the same queries in the same order.
        heading: heading of the figure.

    Raises:
        ReidHashError: the methods have different queries.
    """
    if len({tuple(row.query_name for row in rows) for _, rows in blocks}) > 1:
        raise ReidHashError("lists can stand side by side only where their queries are the same")
    queries = list(blocks[0][1]) if blocks else []
    if not queries:
        return say_empty(new_figure(5, 1.6, heading.title), "no queries")
    columns = max(len(row.images) for _, rows in blocks for row in rows)
    width = max(_SMALL_EDGE + _FIRST + len(blocks) * _block_width(columns) - _BLOCK_GAP, 5.0)
    head = heading.height(width) + _COLUMN_HEADS
    height = head + len(queries) * _STEP + _SMALL_FOOT
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
    heading.draw(figure)
    over = height - head + 0.09
    _write_at(figure, _SMALL_EDGE + _SMALL_CELL / 2, over, "query", ha="center")
    for number, row in enumerate(queries):
        axes = _place(figure, _SMALL_EDGE, height - head - number * _STEP, row.query)
        axes.spines[:].set(color=INK, linewidth=2)
    for place, (name, rows) in enumerate(blocks):
        left = _FIRST + place * _block_width(columns)
        _write_at(figure, left, over, name, weight="bold")
        for number, row in enumerate(rows):
            _place_list(figure, left, height - head - number * _STEP, row, columns)
    foot = f"nearest first; red frame and {WRONG_MARK}: wrong; behind each list: right images"
    _write_at(figure, _FIRST, 0.12, foot, color=GREY)
    said = "; ".join(
        f"{name}: {', '.join(str(sum(row.matches)) for row in rows)} right" for name, rows in blocks
    )
    figure.set_label(f"Lists of {columns} nearest images for {len(queries)} queries. {said}.")
    return figure


def _block_width(columns: int) -> float:
    return columns * _STEP + _COUNT + _BLOCK_GAP


def _write_at(figure: Figure, x: float, y: float, text: str, **look: str) -> None:
    """Write text at a position in inches from the lower left."""
    words: dict[str, Any] = {"color": INK, "fontsize": 9, **look}
    placed = figure.text(x / figure.get_figwidth(), y / figure.get_figheight(), text, **words)
    literal(placed)


def _place(figure: Figure, left: float, top: float, image: NDArray[np.uint8]) -> Axes:
    width, height = figure.get_figwidth(), figure.get_figheight()
    place = (left / width, (top - _SMALL_CELL) / height, _SMALL_CELL / width, _SMALL_CELL / height)
    axes = figure.add_axes(place)
    axes.imshow(image, interpolation="antialiased")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set(color=RULE, linewidth=1)
    return axes


def _place_list(figure: Figure, left: float, top: float, row: RankingRow, columns: int) -> None:
    """Draw one ranking list and the number of its correct images."""
    for rank, (image, match) in enumerate(zip(row.images, row.matches, strict=True)):
        axes = _place(figure, left + rank * _STEP, top, image)
        if not match:
            axes.spines[:].set(color=WRONG, linewidth=2.6)
            _mark(axes, False, small=True)
    count = f"{sum(row.matches)}/{len(row.matches)}"
    _write_at(figure, left + columns * _STEP + 0.03, top - _SMALL_CELL / 2, count, va="center")
