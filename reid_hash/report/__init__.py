"""Reports for people: plots, ranking grids and HTML pages."""

__all__ = ["colours", "grid", "numbers", "pages", "plots", "style"]
