"""Queries with their nearest gallery images, right and wrong ones marked."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from reid_hash.errors import ReidHashError
from reid_hash.report.colours import GREY, INK, RIGHT, RIGHT_MARK, WRONG, WRONG_MARK
from reid_hash.report.style import (
    DPI,
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
_CHARACTERS = 16  # that fit below an image
_FOOT = 0.3


@dataclass(frozen=True, eq=False)
class RankingRow:
    """A query and its nearest gallery images.

    Attributes:
        query: [height, width, 3] uint8 RGB.
        query_name: written below it.
        images: gallery images, nearest first; each [height, width, 3] uint8 RGB, of any size.
        names: what is written below each.
        matches: whether each shows what the query shows.
        distances: of each to the query, ≥ 0.
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


def ranking_grid(rows: Sequence[RankingRow], title: str) -> Figure:
    """Draw queries at the left, each with its nearest gallery images to the right.

    Right matches have a green frame and a tick, wrong ones a red dashed frame and a cross. Below
    each image stand its rank, its distance, and its name, shortened in the middle.

    Args:
        rows: from top to bottom; they may have different numbers of images.
        title: above the grid.
    """
    columns = max((len(row.images) for row in rows), default=0)
    pictures = [image for row in rows for image in (row.query, *row.images)]
    # the tallest picture decides, but a freak of 1 × 1,000 pixels does not
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
    """A name in up to two lines as wide as an image, shortened in the middle."""
    short = shorten(name, 2 * _CHARACTERS)
    return f"{short[:_CHARACTERS]}\n{short[_CHARACTERS:]}"


def _decimals(distances: Sequence[float]) -> int:
    """Decimals to print all of these with: none for numbers of bits, else three digits."""
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
    axes.set_anchor("S")  # captions of one row stay on one line where pictures differ in shape
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set(color=colour, linewidth=2.4, linestyle=line)
    literal(axes.set_xlabel(caption, fontsize=6.5, color=INK, labelpad=4, linespacing=1.25))


def _mark(axes: Axes, match: bool) -> None:
    """A badge in the upper right corner: right and wrong differ not in colour alone."""
    axes.annotate(
        RIGHT_MARK if match else WRONG_MARK,
        (1, 1),
        xycoords="axes fraction",
        xytext=(-6, -7),
        textcoords="offset points",
        ha="center",
        va="center",
        color="white",
        fontsize=8,
        bbox={"boxstyle": "square,pad=0.2", "color": RIGHT if match else WRONG},
    )
