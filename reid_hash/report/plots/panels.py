"""Plots of several panels with the same lines in each, as in papers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from reid_hash.report.colours import GREY, INK, PALETTE
from reid_hash.report.plots.bits import bits_axis
from reid_hash.report.style import (
    DPI,
    MARKERS,
    Heading,
    add_legend,
    legend_lines,
    literal,
    new_figure,
    percent_axis,
    say_empty,
    style_axes,
)

_COLUMNS = 2  # of panels
_LEGEND_COLUMNS = 3


@dataclass(frozen=True, eq=False)
class Line:
    """A line of a panel.

    Attributes:
        label: label in the legend; lines with the same label in several panels share an entry.
        x: x values, ascending.
        y: fractions in 0 … 1.
        look: index into the palette and the markers, the same in all panels.
        reported: True for a published figure, drawn dashed and grey with its look's marker hollow.
    """

    label: str
    x: Sequence[int]
    y: Sequence[float]
    look: int
    reported: bool = False


@dataclass(frozen=True, eq=False)
class Panel:
    """A panel.

    Attributes:
        title: title of the panel, such as "(a) precision at 500".
        x_label: label of the x axis.
        y_label: label of the y axis, whose values are shown in percent.
        lines: lines in the order of the legend.
        by_length: whether x values are code lengths in bits, shown on a logarithmic axis.
    """

    title: str
    x_label: str
    y_label: str
    lines: Sequence[Line]
    by_length: bool = True


def panels_plot(panels: Sequence[Panel], heading: Heading) -> Figure:
    """Draw panels side by side with one legend below; a single panel has it on the right.

    Args:
        panels: the panels; one without a point says that it is empty.
        heading: heading of the figure.
    """
    if not panels:
        return say_empty(new_figure(8.2, 1.6, heading.title), "no panels")
    alone = len(panels) == 1
    columns, rows = (1, 1) if alone else (_COLUMNS, -(-len(panels) // _COLUMNS))
    labels = list(
        dict.fromkeys(line.label for panel in panels for line in panel.lines if len(line.x))
    )
    width = 8.6 if alone else 10.4
    below = 0 if alone else 0.3 + 0.24 * -(-len(labels) // _LEGEND_COLUMNS)
    head = heading.height(width)
    height = head + below + max(3.4 * rows, 0.5 + 0.21 * legend_lines(labels) if alone else 0)
    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained", facecolor="white")
    heading.draw(figure)
    engine = figure.get_layout_engine()
    assert isinstance(engine, ConstrainedLayoutEngine)
    engine.set(rect=(0, 0, 1, 1 - head / height), w_pad=0.08, h_pad=0.08)
    places = figure.subplots(rows, columns, squeeze=False).flatten()
    handles: dict[str, Artist] = {}
    for axes, panel in zip(places, panels, strict=False):
        handles |= draw_panel(axes, panel)
    for axes in places[len(panels) :]:
        axes.set_axis_off()
    if alone and handles:
        add_legend(places[0], list(handles.values()), list(handles))
    elif handles:
        _legend_below(figure, handles)
    said = "; ".join(f"{panel.title}: {_ends(panel)}" for panel in panels)
    figure.set_label(f"Plot, {heading.title}. {said}.")
    return figure


def _legend_below(figure: Figure, handles: Mapping[str, Artist]) -> None:
    # labels are set afterwards, since a legend drops those that begin with an underscore
    legend = figure.legend(
        list(handles.values()),
        [str(number) for number in range(len(handles))],
        loc="outside lower center",
        ncols=min(_LEGEND_COLUMNS, len(handles)),
        frameon=False,
        fontsize=9.5,
        handlelength=2.8,
        columnspacing=2.6,
    )
    for text, label in zip(legend.get_texts(), handles, strict=True):
        literal(text).set_text(label)


def draw_panel(axes: Axes, panel: Panel) -> dict[str, Artist]:
    """Draw one panel; return the legend entry of each label."""
    style_axes(axes)
    literal(axes.set_title(panel.title, loc="left", fontsize=10.5, color=INK))
    lines = [line for line in panel.lines if len(line.x)]
    if not lines:
        axes.set_axis_off()
        axes.text(0.5, 0.5, "nothing", transform=axes.transAxes, ha="center", color=GREY)
        return {}
    handles: dict[str, Artist] = {}
    # published figures are drawn below measured ones
    for line in sorted(lines, key=lambda line: not line.reported):
        handles[line.label] = _draw(axes, line)
    if panel.by_length:
        bits_axis(axes, sorted({x for line in lines for x in line.x}))
    else:
        axes.margins(x=0.03)
    values = [value for line in lines for value in line.y]
    percent_axis(axes, float(np.nanmin(values)), float(np.nanmax(values)))
    axes.set_xlabel(panel.x_label, color=INK, fontsize=9.5)
    axes.set_ylabel(panel.y_label, color=INK, fontsize=9.5)
    return {line.label: handles[line.label] for line in lines}


def _draw(axes: Axes, line: Line) -> Artist:
    colour = GREY if line.reported else PALETTE[line.look % len(PALETTE)]
    look: dict[str, Any] = {
        "color": colour,
        "linestyle": (0, (4, 2)) if line.reported else "-",
        "linewidth": 1.3 if line.reported else 1.9,
        "marker": MARKERS[line.look % len(MARKERS)],
        "markersize": 5.5 if line.reported else 6.5,
        "markerfacecolor": "white" if line.reported else colour,
        "markeredgecolor": colour if line.reported else "white",
        "markeredgewidth": 1.2 if line.reported else 0.8,
    }
    return axes.plot(line.x, line.y, **look)[0]


def _ends(panel: Panel) -> str:
    parts = [
        f"{line.label} {100 * line.y[0]:.1f} to {100 * line.y[-1]:.1f} %"
        for line in panel.lines
        if len(line.x)
    ]
    return ", ".join(parts) or "nothing"
