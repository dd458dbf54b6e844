"""All plots in one place; each is made in its own file."""

from reid_hash.report.bits import bits_plot
from reid_hash.report.cmc import Curve, cmc_plot
from reid_hash.report.loss import loss_plot
from reid_hash.report.style import save_figure

__all__ = ["Curve", "bits_plot", "cmc_plot", "loss_plot", "save_figure"]
