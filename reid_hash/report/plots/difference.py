"""Plot of two codes: which bits differ, and how much each of them counts."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from reid_hash.codes import Codes
from reid_hash.errors import CodeError
from reid_hash.report.colours import GREY, INK, PALETTE, RULE
from reid_hash.report.style import add_legend, literal, new_figure, shorten, style_axes

DIFFERS, SAME = PALETTE[1], "#b9c4cc"


def difference_plot(first: Codes, second: Codes, names: tuple[str, str]) -> Figure:
    """Draw the bits of two codes, their weights, and how the distance grows with the bits.

    Args:
        first: one code.
        second: one code of the same length and model; its weights are used.
        names: names of the two codes.

    Raises:
        CodeError: an argument is not a single code, or the codes are not comparable.
    """
    first.check_comparable(second)
    if len(first) != 1 or len(second) != 1:
        raise CodeError(f"one code is compared with one, not {len(first)} with {len(second)}")
    bits = np.concatenate([first.unpack(), second.unpack()])
    differs = bits[0] != bits[1]
    weights = second.weights.astype(np.float64)
    total = float(weights.sum())
    distance = float(weights[differs].sum())
    title = (
        f"{int(differs.sum())} of {len(weights)} bits differ, with {100 * distance / total:.0f} % "
        "of the weight"
    )
    figure = new_figure(9.6, 4.6, title)
    grid = figure.add_gridspec(3, 1, height_ratios=(2.2, 1.0, 2.2))
    places = np.arange(1, len(weights) + 1)
    # markers in the lower and upper panel, with the codes in between
    over = figure.add_subplot(grid[0])
    codes = figure.add_subplot(grid[1], sharex=over)
    under = figure.add_subplot(grid[2], sharex=over)
    _weights(over, places, weights, differs)
    _codes(codes, bits, names)
    grown = np.cumsum(np.where(differs, weights, 0.0))
    _growth(under, places, grown, np.cumsum(weights) / 2)
    over.set_xlim(0.5, len(weights) + 0.5)
    over.tick_params(labelbottom=False)
    codes.tick_params(labelbottom=False)
    under.set_xlabel("bit, most significant first", color=INK)
    figure.set_label(f"Bits of {names[0]} and {names[1]}: {title}.")
    return figure


def _weights(axes: Axes, places: np.ndarray, weights: np.ndarray, differs: np.ndarray) -> None:
    style_axes(axes)
    axes.bar(places, weights, width=0.85, color=np.where(differs, DIFFERS, SAME))
    axes.set_ylabel("weight", color=INK)
    add_legend(axes, [Patch(color=DIFFERS), Patch(color=SAME)], ["differs: counts", "same"])


def _codes(axes: Axes, bits: np.ndarray, names: tuple[str, str]) -> None:
    edges = (0.5, bits.shape[1] + 0.5, 1.5, -0.5)
    axes.imshow(
        bits,
        aspect="auto",
        cmap=ListedColormap([RULE, INK]),
        extent=edges,
        vmin=0,
        vmax=1,
        interpolation="nearest",
    )
    axes.axhline(0.5, color="white", linewidth=3)
    axes.spines[:].set_visible(False)
    axes.set_yticks([0, 1], [shorten(name, 16) for name in names])
    for text in axes.get_yticklabels():
        literal(text).set_fontsize(8)
    axes.tick_params(length=0, colors=INK)
    add_legend(axes, [Patch(color=INK), Patch(color=RULE)], ["1", "0"])


def _growth(axes: Axes, places: np.ndarray, grown: np.ndarray, chance: np.ndarray) -> None:
    style_axes(axes)
    handles = [
        axes.plot(places, grown, color=DIFFERS, linewidth=1.8)[0],
        axes.plot(places, chance, color=GREY, linestyle="--", linewidth=1.2)[0],
    ]
    axes.set_ylim(bottom=0)
    axes.set_ylabel("distance so far", color=INK)
    add_legend(axes, handles, ["these two", "codes drawn at random"])
