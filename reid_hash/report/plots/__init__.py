"""All plots, each made in its own file."""

from reid_hash.report.plots.bits import bits_plot
from reid_hash.report.plots.cmc_curves import Curve, cmc_plot
from reid_hash.report.plots.loss import loss_plot
from reid_hash.report.style import save_figure

__all__ = ["Curve", "bits_plot", "cmc_plot", "loss_plot", "save_figure"]
