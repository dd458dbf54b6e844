"""Plot of CMC curves."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from reid_hash.report.colours import GREY, INK, PALETTE
from reid_hash.report.style import (
    AS_REPORTED,
    MARKERS,
    UNVERIFIED,
    add_legend,
    legend_lines,
    length_style,
    new_figure,
    percent_axis,
    say_empty,
    shorten,
    style_axes,
)

MARKED_RANKS = (1, 5, 10, 20, 30, 40, 50)
"""Ranks at which a CMC curve has a marker and the axis has a tick."""

# all different: the numbers of colours and of markers have no common factor
_LOOKS = [
    (PALETTE[i % len(PALETTE)], MARKERS[i % len(MARKERS)])
    for i in range(len(PALETTE) * len(MARKERS))
]


@dataclass(frozen=True, eq=False)
class Curve:
    """A CMC curve.

    Attributes:
        label: label in the legend.
        x: [n] ranks ≥ 1, ascending.
        y: [n] match rates in 0 … 1.
        std: [n] standard deviation of `y` over repetitions, or None.
        reported: True for a published figure, which is drawn as a dashed grey reference marked
            "as reported"; "unverified" adds that word.
        bits: code length, which decides the colour; None takes the next free colour.
        weighted: drawn solid if True, dotted if False.
        asymmetric: asymmetric queries, drawn dash-dotted.
    """

    label: str
    x: NDArray[Any] | Sequence[int]
    y: NDArray[Any]
    std: NDArray[Any] | None = None
    reported: bool | str = False
    bits: int | None = None
    weighted: bool = True
    asymmetric: bool = False


def cmc_plot(curves: Sequence[Curve], title: str) -> Figure:
    """Draw match rate by rank.

    Args:
        curves: curves in the order of the legend, which also shows their rates at the first rank.
            Curves of one code length share a colour: weighted solid, unweighted dotted, asymmetric
            dash-dotted.
        title: title of the plot.
    """
    shown = [curve for curve in curves if len(curve.x)]
    figure = new_figure(8.2, 4.4, title)
    if not shown:
        return say_empty(figure, "no curves")
    axes = figure.add_subplot()
    style_axes(axes)
    first = min(int(curve.x[0]) for curve in shown)
    taken = {length_style(curve.bits) for curve in shown if curve.bits is not None}
    free = itertools.cycle([look for look in _LOOKS if look not in taken])
    greys = itertools.cycle(MARKERS)
    handles, labels = [], []
    for curve in shown:
        if curve.reported:
            (colour, marker), line = (GREY, next(greys)), "--"
        else:
            colour, marker = next(free) if curve.bits is None else length_style(curve.bits)
            line = "-." if curve.asymmetric else "-" if curve.weighted else ":"
        handles.append(_draw_curve(axes, curve, colour, marker, line))
        label = shorten(curve.label, 72)
        if curve.reported:
            label += UNVERIFIED if curve.reported == "unverified" else AS_REPORTED
        if int(curve.x[0]) == first:
            label += f": {100 * float(curve.y[0]):.1f} %"
        labels.append(label)
    highest = max(int(np.max(curve.x)) for curve in shown)
    few = highest < 10
    ticks = range(1, highest + 1) if few else MARKED_RANKS
    axes.set_xticks([rank for rank in ticks if rank <= highest])
    axes.set_xlim(0.5 if few else 0, highest + max(0.5, 0.02 * highest))
    values = np.concatenate([np.asarray(curve.y, float) for curve in shown])
    percent_axis(axes, float(np.nanmin(values)), float(np.nanmax(values)))
    axes.set_xlabel("rank", color=INK)
    axes.set_ylabel("match rate", color=INK)
    figure.set_figheight(max(4.4, 1.2 + 0.21 * legend_lines(labels)))
    legend = add_legend(axes, handles, labels)
    legend.set_title(f"match rate at rank {first}")
    legend.get_title().set_fontsize(9)
    legend.set_alignment("left")
    figure.set_label(f"Plot of the match rate by rank. At rank {first}: {'; '.join(labels)}.")
    return figure


def _draw_curve(axes: Axes, curve: Curve, colour: str, marker: str, line: str) -> Line2D:
    x, y = np.asarray(curve.x), np.asarray(curve.y, float)
    marked = [int(i) for i in np.flatnonzero(np.isin(x, MARKED_RANKS))]
    if curve.std is not None:
        std = np.asarray(curve.std, float)
        axes.fill_between(x, y - std, y + std, color=colour, alpha=0.12, linewidth=0)
    drawn = axes.plot(
        x,
        y,
        color=colour,
        linestyle=line,
        linewidth=1.8,
        marker=marker,
        markersize=5,
        markevery=marked or None,
        # hollow if unweighted, to tell curves apart without following the dots
        markerfacecolor=colour if line == "-" else "white",
    )
    return drawn[0]
