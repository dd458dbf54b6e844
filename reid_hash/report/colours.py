"""Colours and marks of plots and pages, without Matplotlib, which takes a second to import."""

INK = "#222222"
GREY = "#767676"
RULE = "#dddddd"

# Okabe and Ito's colour-blind safe palette without its yellow, which is too pale for lines on
# white, and four of Paul Tol's "muted" colours
PALETTE = (
    "#0072B2",  # blue
    "#D55E00",  # vermilion
    "#009E73",  # green
    "#CC79A7",  # pink
    "#E69F00",  # orange
    "#56B4E9",  # sky
    "#332288",  # indigo
    "#882255",  # wine
    "#117733",  # dark green
    "#999933",  # olive
    "#000000",
)

RIGHT, WRONG = "#00825F", "#C8372D"
RIGHT_MARK, WRONG_MARK = "✓", "✗"
"""Marks of matches in ranking lists, since colour alone does not tell everybody."""
