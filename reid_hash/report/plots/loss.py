"""Plot of a training run."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from reid_hash.report.colours import INK, PALETTE
from reid_hash.report.formats import figure_name, has, is_figure
from reid_hash.report.style import (
    MARKERS,
    add_legend,
    new_figure,
    percent_axis,
    say_empty,
    style_axes,
)

NOT_TERMS = ("step", "epoch", "loss", "images_per_second", "learning_rate", "spread")
"""Keys of a training record that are not loss terms."""

SHOWN_RANKS = ("rank1",)
"""The only rank-k figures drawn; others run parallel to them."""

LOGARITHMIC_FROM = 30.0
"""A loss that falls by more than this factor gets a logarithmic axis."""


def loss_plot(history: Sequence[Mapping[str, float]], title: str = "Training") -> Figure:
    """Draw the loss and its terms by epoch, and below them the evaluations, if any.

    Args:
        history: records of `metrics.jsonl`: {"step", "epoch", "loss", terms, …} after each epoch,
            interspersed with evaluations {"step", "epoch", "rank1", …} as fractions. If a step
            occurs twice because a run was resumed, the last record counts.
        title: title of the plot.
    """
    losses = _last_by_step([record for record in history if has(record, "loss")])
    evaluations = _last_by_step(
        [record for record in history if any(_is_drawn(record, name) for name in record)]
    )
    figure = new_figure(8.2, 5.6 if losses and evaluations else 3.8, title)
    if not losses and not evaluations:
        return say_empty(figure, "no epoch was finished")
    panels = figure.subplots(int(bool(losses)) + int(bool(evaluations)), sharex=True, squeeze=False)
    names = []
    if losses:
        names += _draw_losses(panels[0, 0], losses)
    if evaluations:
        names += _draw_evaluations(panels[-1, 0], evaluations)
    epochs = {int(record["epoch"]) for record in [*losses, *evaluations]}
    panels[-1, 0].set_xlabel("epoch", color=INK)
    panels[-1, 0].xaxis.set_major_locator(
        MaxNLocator(integer=True, min_n_ticks=1, steps=[1, 2, 5, 10])
    )
    air = max(0.5 if len(epochs) == 1 else 0.0, 0.03 * (max(epochs) - min(epochs)))
    panels[-1, 0].set_xlim(min(epochs) - air, max(epochs) + air)
    figure.align_ylabels()
    figure.set_label(f"Plot by epoch of {', '.join(names)}.")
    return figure


def _last_by_step(records: Sequence[Mapping[str, float]]) -> list[Mapping[str, float]]:
    by_step = {record["step"]: record for record in records}
    return [by_step[step] for step in sorted(by_step)]


def _is_drawn(record: Mapping[str, float], name: str) -> bool:
    if name.startswith("rank") and name not in SHOWN_RANKS:
        return False
    return is_figure(name) and has(record, name)


def _draw_losses(axes: Axes, records: Sequence[Mapping[str, float]]) -> list[str]:
    style_axes(axes)
    names = dict.fromkeys(name for record in records for name in record)
    terms = [name for name in names if name not in NOT_TERMS and not is_figure(name)]
    # a single term equals the loss
    shown = ["loss", *(terms if len(terms) > 1 else [])]
    lines, labels = [], []
    for index, name in enumerate(shown):
        rows = [record for record in records if has(record, name)]
        total = name == "loss"
        (line,) = axes.plot(
            [row["epoch"] for row in rows],
            [row[name] for row in rows],
            color=INK if total else PALETTE[(index - 1) % len(PALETTE)],
            linewidth=2.2 if total else 1.4,
            marker="o" if len(rows) == 1 else "",
        )
        lines.append(line)
        labels.append(name.replace("_", " "))
    totals = [record["loss"] for record in records]
    drawn = [record[name] for record in records for name in shown if has(record, name)]
    if min(drawn) > 0 and max(totals) > LOGARITHMIC_FROM * min(totals):
        axes.set_yscale("log")
    elif min(drawn) >= 0:
        axes.set_ylim(0, 1.08 * max(drawn) or 1.0)
    axes.set_ylabel("loss", color=INK)
    add_legend(axes, lines, labels)
    return labels


def _draw_evaluations(axes: Axes, records: Sequence[Mapping[str, float]]) -> list[str]:
    style_axes(axes)
    names = dict.fromkeys(name for record in records for name in record if _is_drawn(record, name))
    lines, labels, values = [], [], []
    for index, name in enumerate(names):
        rows = [record for record in records if has(record, name)]
        (line,) = axes.plot(
            [row["epoch"] for row in rows],
            [row[name] for row in rows],
            # from the other end of the palette, so that each colour means one thing
            color=PALETTE[-2 - index % (len(PALETTE) - 1)],
            linewidth=1.6,
            marker=MARKERS[index % len(MARKERS)],
            markersize=5,
        )
        lines.append(line)
        labels.append(figure_name(name))
        values += [row[name] for row in rows]
    percent_axis(axes, min(values), max(values))
    axes.set_ylabel("evaluation", color=INK)
    add_legend(axes, lines, labels)
    return labels
