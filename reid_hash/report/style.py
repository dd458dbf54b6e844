"""Shared style of all plots: fonts, axes, legends, and writing a figure to a file.

All plots use Matplotlib's object interface: no display, no global state.
"""

import functools
import os
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
from matplotlib import font_manager
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.text import Text

from reid_hash.errors import ReidHashError
from reid_hash.report.colours import GREY, INK, PALETTE, RULE
from reid_hash.utils.files import replacing

NOTICE = "#B23A00"
"""Colour of a notice; contrast 6:1 on white."""

_LINE = 0.19  # inches
_TITLE_LINE = 0.22

DPI = 100
"""Pixels per inch at which a figure has its nominal size; files are written at twice that."""

LEGEND_CHARACTERS = 32
"""Width of a legend's text; longer labels are wrapped."""

AS_REPORTED = " (as reported)"
"""Suffix to the name of a published figure."""

UNVERIFIED = " (as reported, unverified)"
"""Suffix if the published source was not available; the record's `reported` says so."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h", "*", "d")

# neighbouring lengths get very different colours, since their curves run close together
_USUAL_LENGTHS = (64, 48, 128, 24, 16, 32, 256, 8, 512, 96, 1024)

# looked for on the machine, since the plots' own font lacks Chinese, Japanese and Korean
_EAST_ASIAN = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Source Han Sans SC",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
    "PingFang SC",
    "Hiragino Sans GB",
    "Microsoft YaHei",
    "SimHei",
    "Arial Unicode MS",
)


def length_style(bits: int) -> tuple[str, str]:
    """Return colour and marker of a code length, the same in every plot."""
    if bits in _USUAL_LENGTHS:
        index = _USUAL_LENGTHS.index(bits)
        return PALETTE[index], MARKERS[index]
    # colours may repeat here; the two moduli have no common factor, so markers differ
    return PALETTE[bits % len(PALETTE)], MARKERS[bits % len(MARKERS)]


@functools.cache
def fonts() -> list[str]:
    """List font families for text from files, which may be in any script."""
    present = set(font_manager.get_font_names())
    return ["DejaVu Sans", *(name for name in _EAST_ASIAN if name in present)]


def wrap(text: str, width: int, lines: int = 3) -> str:
    """Wrap text to `width` characters and at most `lines` lines."""
    return textwrap.fill(text, width, max_lines=lines, placeholder=" …")


def shorten(text: str, length: int) -> str:
    """Shorten a text in the middle, since file names differ at both ends.

    Example:
        >>> shorten("0002_c1s1_000451_03.jpg", 13)
        '0002_c…03.jpg'
    """
    if len(text) <= length:
        return text
    tail = (length - 1) // 2
    return text[: length - 1 - tail] + "…" + text[len(text) - tail :]


def literal(text: Text) -> Text:
    """Show a text literally: a `$` starts no formula, and any script has a font."""
    text.set_parse_math(False)
    text.set_fontfamily(fonts())
    return text


def new_figure(width: float, height: float, title: str) -> Figure:
    """Make a white figure with a title, laid out without overlap.

    Args:
        width: width in inches.
        height: height in inches.
        title: title, wrapped into up to three lines.
    """
    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained", facecolor="white")
    add_title(figure, break_title(title, width))
    return figure


def break_title(title: str, width: float) -> str:
    """Wrap a title to fit a figure of this width in inches."""
    # 8.4 of the widest ordinary characters fit into an inch of the title font
    return wrap(title, int((width - 0.2) * 8.4))


def add_title(figure: Figure, title: str, **place: float) -> None:
    """Put a wrapped title at the upper left of a figure."""
    left = 0.1 / figure.get_figwidth()
    text = figure.suptitle(title, x=left, ha="left", size=12, weight="bold", color=INK, **place)
    # a caller that places the title also reserves the room for it
    literal(text).set_in_layout(not place)


@dataclass(frozen=True)
class Heading:
    """Heading of a picture.

    Attributes:
        title: title in bold.
        subtitle: sentence below the title.
        notice: warning below the subtitle, in a conspicuous colour.
    """

    title: str
    subtitle: str = ""
    notice: str = ""

    def height(self, width: float) -> float:
        """Height of the heading in a figure of `width` inches, in inches."""
        lines = sum(text.count("\n") + 1 for text, _, _ in self._below(width))
        return 0.2 + _TITLE_LINE * (break_title(self.title, width).count("\n") + 1) + _LINE * lines

    def draw(self, figure: Figure) -> None:
        """Write the heading at the upper left of a figure of the final size."""
        width, height = figure.get_figwidth(), figure.get_figheight()
        title = break_title(self.title, width)
        add_title(figure, title, y=1 - 0.1 / height)
        down = 0.1 + _TITLE_LINE * (title.count("\n") + 1)
        for text, colour, weight in self._below(width):
            placed = figure.text(0.1 / width, 1 - down / height, text, va="top", fontsize=9)
            placed.set(color=colour, weight=weight, in_layout=False)
            literal(placed)
            down += _LINE * (text.count("\n") + 1)

    def _below(self, width: float) -> list[tuple[str, str, str]]:
        """List (wrapped text, colour, weight) of the text below the title."""
        both = ((self.subtitle, GREY, "normal"), (self.notice, NOTICE, "bold"))
        return [(wrap(text, int((width - 0.2) * 12)), c, w) for text, c, w in both if text]


def style_axes(axes: Axes) -> None:
    """Style axes quietly: no box, thin grid behind the data."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GREY)
    axes.tick_params(colors=INK, labelsize=9, color=GREY)
    axes.grid(color=RULE, linewidth=0.7)
    axes.set_axisbelow(True)


def percent_axis(axes: Axes, low: float, high: float) -> None:
    """Show the y axis in percent, with limits that fit `low` … `high`."""
    axes.set_ylim(*share_limits(low, high))
    # the limits leave room for markers above 100 %, a value that cannot occur
    axes.yaxis.set_major_formatter(
        lambda value, _: f"{100 * value:.4g} %" if value < 1 + 1e-9 else ""
    )


def say_empty(figure: Figure, text: str) -> Figure:
    """Write that there is no data, in a figure that takes little room."""
    figure.set_figheight(1.6)
    axes = figure.add_subplot()
    axes.set_axis_off()
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=GREY)
    figure.set_label(f"Empty plot: {text}.")
    return figure


def add_legend(axes: Axes, handles: Sequence[Artist], labels: Sequence[str]) -> Legend:
    """Add a legend to the right of the axes, where it hides no curve."""
    # labels are set afterwards, since a legend drops those that begin with an underscore
    legend = axes.legend(
        handles,
        [str(number) for number in range(len(labels))],
        loc="upper left",
        bbox_to_anchor=(1.02, 1.0),
        borderaxespad=0.0,
        frameon=False,
        fontsize=9,
        handlelength=2.8,
        labelspacing=0.6,
    )
    for text, label in zip(legend.get_texts(), labels, strict=True):
        literal(text).set_text(wrap(label, LEGEND_CHARACTERS))
    return legend


def legend_lines(labels: Sequence[str]) -> int:
    """Count the lines of text in a legend with these labels."""
    return sum(wrap(label, LEGEND_CHARACTERS).count("\n") + 1 for label in labels)


def share_limits(low: float, high: float, least: float = 0.1) -> tuple[float, float]:
    """Choose axis limits for fractions from `low` to `high`: some margin, within 0 … 1.

    Args:
        low: smallest value drawn.
        high: largest value drawn.
        least: smallest span of the axis, so that noise does not fill the plot.
    """
    air = max(0.07 * (high - low), (least - (high - low)) / 2, 0.01)
    bottom, top = low - air, high + air
    # room for a whole marker at 100 %
    return max(bottom, -0.01), min(top, 1.01)


def save_figure(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write a figure atomically as PNG (at twice its nominal size) or SVG.

    The same figure gives the same bytes: no date, no random identifiers.

    Args:
        figure: the figure.
        path: destination ending in .png or .svg; a missing folder is created.

    Raises:
        ReidHashError: the suffix is another, or the file cannot be written.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in (".png", ".svg"):
        raise ReidHashError(f"plots are written as .png or .svg, not as {Path(path).name}")
    metadata = {"Date": None} if suffix == ".svg" else {"Software": None}
    with replacing(path) as temporary, matplotlib.rc_context({"svg.hashsalt": "reid-hash"}):
        figure.savefig(temporary, format=suffix[1:], dpi=2 * DPI, metadata=metadata)
