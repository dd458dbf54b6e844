"""A title with a subtitle and a notice below it, for pictures that stand by themselves."""

from dataclasses import dataclass

from matplotlib.figure import Figure

from reid_hash.report.colours import GREY
from reid_hash.report.style import add_title, break_title, literal, wrap

NOTICE = "#B23A00"
"""Colour of a notice: 6:1 on white."""

_LINE = 0.19  # inches
_TITLE_LINE = 0.22


@dataclass(frozen=True)
class Heading:
    """What stands above a picture.

    Attributes:
        title: in bold.
        subtitle: a sentence below it.
        notice: below that, in a colour that is not overlooked.
    """

    title: str
    subtitle: str = ""
    notice: str = ""

    def height(self, width: float) -> float:
        """Inches that it takes in a figure of `width` inches."""
        lines = sum(text.count("\n") + 1 for text, _, _ in self._below(width))
        return 0.2 + _TITLE_LINE * (break_title(self.title, width).count("\n") + 1) + _LINE * lines

    def draw(self, figure: Figure) -> None:
        """Write it at the upper left of a figure of the final size."""
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
        """(text in lines, colour, weight) of what stands below the title."""
        both = ((self.subtitle, GREY, "normal"), (self.notice, NOTICE, "bold"))
        return [(wrap(text, int((width - 0.2) * 12)), c, w) for text, c, w in both if text]
