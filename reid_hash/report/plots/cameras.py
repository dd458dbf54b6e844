"""Plot of a network of cameras."""

import numpy as np
from matplotlib.figure import Figure

from reid_hash.gallery.network.cameras import CameraNetwork
from reid_hash.report.colours import GREY, INK, PALETTE
from reid_hash.report.style import new_figure, say_empty


def cameras_plot(network: CameraNetwork, title: str = "Ways between cameras") -> Figure:
    """Draw the ways between cameras as arrows, as wide as their share of people.

    Each arrow is labelled with its median seconds. Dashed arrows join cameras that overlap, and a
    thick ring marks cameras through which people enter.

    Args:
        network: the cameras and the ways between them.
        title: title of the plot.
    """
    plot = new_figure(7.4, 6.4, title)
    names = list(network.cameras)
    if not names:
        return say_empty(plot, "no camera")
    axes = plot.add_subplot()
    axes.set_axis_off()
    axes.set_aspect("equal")
    axes.set_xlim(-1.5, 1.5)
    axes.set_ylim(-1.35, 1.35)
    turns = np.pi / 2 - 2 * np.pi * np.arange(len(names)) / len(names)
    places = {
        name: np.array((np.cos(turn), np.sin(turn)))
        for name, turn in zip(names, turns, strict=True)
    }
    for (start, end), way in network.ways.items():
        if start == end:
            continue
        axes.annotate(
            "",
            xy=tuple(places[end]),
            xytext=tuple(places[start]),
            arrowprops={
                "arrowstyle": "-|>",
                "color": PALETTE[1] if way.overlap else PALETTE[0],
                "linewidth": 0.6 + 4 * way.share,
                "linestyle": "--" if way.overlap else "-",
                "connectionstyle": "arc3,rad=0.12",
                "shrinkA": 22,
                "shrinkB": 22,
                "alpha": 0.85,
            },
        )
        along = places[end] - places[start]
        aside = np.array((along[1], -along[0])) * 0.09
        x, y = places[start] + 0.42 * along + aside
        axes.text(x, y, f"{way.seconds[2]:.0f} s", color=INK, fontsize=8, ha="center", va="center")
    for name, (x, y) in places.items():
        door = network.entries.get(name, 0.0) > 1 / (2 * len(names))
        axes.plot(
            x, y, "o", markersize=34, color="white", markeredgewidth=2.5 if door else 1,
            markeredgecolor=INK if door else GREY,
        )  # fmt: skip
        axes.text(x, y, name if len(name) < 9 else name[:8] + "…", ha="center", va="center",
                  fontsize=8, color=INK)  # fmt: skip
    return plot
