"""Plot of a figure by code length."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from reid_hash.report.colours import GREY, INK, PALETTE
from reid_hash.report.formats import figure_name, has
from reid_hash.report.style import (
    AS_REPORTED,
    MARKERS,
    add_legend,
    legend_lines,
    length_style,
    new_figure,
    percent_axis,
    say_empty,
    style_axes,
)


def bits_plot(
    records: Sequence[Mapping[str, Any]], figure: str = "rank1", title: str | None = None
) -> Figure:
    """Draw a figure by code length.

    There is a line for each method, weighted and unweighted, with deviations as error bars. With
    one method, markers are coloured by code length; with several, lines are coloured by method. A
    method with one length among methods with several (a float embedding) is a horizontal line.

    Args:
        records: result records; those without `bits` or the figure are skipped. `reported` marks
            a published figure.
        figure: key of the figure, such as "rank1" or "map".
        title: title of the plot.
    """
    name = figure_name(figure)
    plot = new_figure(8.2, 4.2, title if title is not None else f"{name} by code length")
    lines = _by_line([record for record in records if has(record, "bits") and has(record, figure)])
    if not lines:
        return say_empty(plot, f"no {name}")
    axes = plot.add_subplot()
    style_axes(axes)
    lengths = {method: set[int]() for method, _, _ in lines}
    for (method, _, _), rows in lines.items():
        lengths[method] |= {int(row["bits"]) for row in rows}
    level = {method for method, of in lengths.items() if len(of) == 1}
    if len(level) == len(lengths):
        level = set()  # no other lines, so no horizontal one
    several = len(lengths) - len(level) > 1
    drawn = [method for method in lengths if method not in level]
    handles, labels = [], []
    for (method, weighted, reported), rows in lines.items():
        words = [method] if len(lengths) > 1 and method else []
        if method in level:
            words.append(f"{int(rows[0]['bits']):,} bits")
            handle = axes.axhline(rows[0][figure], color=GREY, linestyle="-.", linewidth=1.5)
        else:
            if weighted is not None:
                words.append("weighted" if weighted else "unweighted")
            place = drawn.index(method)
            style = _LineStyle(
                colour=GREY if reported else PALETTE[place % len(PALETTE)] if several else INK,
                marker=MARKERS[place % len(MARKERS)] if several else None,
                line="--" if reported else ":" if weighted is False else "-",
            )
            handle = _draw_line(axes, rows, figure, style)
        handles.append(handle)
        labels.append((", ".join(words) or name) + (AS_REPORTED if reported else ""))
    bits_axis(axes, sorted(set[int]().union(*(lengths[method] for method in drawn))))
    ends = [
        row[figure] + sign * (row[f"{figure}_std"] if has(row, f"{figure}_std") else 0)
        for rows in lines.values()
        for row in rows
        for sign in (-1, 1)
    ]
    percent_axis(axes, min(ends), max(ends))
    axes.set_xlabel("code length, bits", color=INK)
    axes.set_ylabel(name, color=INK)
    plot.set_figheight(max(4.2, 1.2 + 0.21 * legend_lines(labels)))
    add_legend(axes, handles, labels)
    plot.set_label(f"Plot of {name} by code length: {'; '.join(labels)}.")
    return plot


def _by_line(
    records: Sequence[Mapping[str, Any]],
) -> dict[tuple[str, bool | None, bool], list[Mapping[str, Any]]]:
    """Group records by (method, weighted, reported), one group per line."""
    lines: dict[tuple[str, bool | None, bool], list[Mapping[str, Any]]] = {}
    for record in records:
        weighted = record.get("weighted")
        key = (
            str(record.get("method") or ""),
            None if weighted is None else bool(weighted),
            bool(record.get("reported")),
        )
        lines.setdefault(key, []).append(record)
    return lines


@dataclass(frozen=True)
class _LineStyle:
    """Look of a line in `bits_plot`; without a marker, markers follow the code length."""

    colour: str
    marker: str | None
    line: str


def _draw_line(
    axes: Axes, rows: Sequence[Mapping[str, Any]], figure: str, style: _LineStyle
) -> Line2D:
    """Draw one line and return its legend entry."""
    rows = sorted(rows, key=lambda row: int(row["bits"]))
    bits = [int(row["bits"]) for row in rows]
    values = [float(row[figure]) for row in rows]
    std = [float(row[f"{figure}_std"]) if has(row, f"{figure}_std") else 0.0 for row in rows]
    common: dict[str, Any] = {"color": style.colour, "linestyle": style.line, "linewidth": 1.6}
    if any(std):
        axes.errorbar(
            bits, values, std, fmt="none", ecolor=style.colour, elinewidth=1, capsize=3, zorder=2
        )
    axes.plot(bits, values, **common)
    for length, value in zip(bits, values, strict=True):
        colour, marker = style.colour, style.marker
        if marker is None:
            colour, marker = length_style(length)
        face = colour if style.line == "-" else "white"
        axes.plot(length, value, color=colour, marker=marker, ms=7, mfc=face, zorder=3, ls="")
    face = style.colour if style.line == "-" else "white"
    return Line2D([], [], marker=style.marker or "o", markerfacecolor=face, **common)


def bits_axis(axes: Axes, lengths: Sequence[int]) -> None:
    """Make a logarithmic axis with the code lengths as ticks; crowded ticks get no label."""
    axes.set_xscale("log", base=2)
    low, high = lengths[0], lengths[-1]
    air = 2**0.5 if low == high else (high / low) ** 0.05
    axes.set_xlim(low / air, high * air)
    span = np.log2(high * air / (low / air))
    labelled: list[int] = []
    ends_then_powers = [low, high, *(n for n in lengths if n & (n - 1) == 0), *lengths]
    for length in dict.fromkeys(ends_then_powers):
        if all(abs(np.log2(length / other)) > 0.05 * span for other in labelled):
            labelled.append(length)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(lengths, [str(n) if n in labelled else "" for n in lengths])
