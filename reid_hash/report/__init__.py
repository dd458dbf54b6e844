"""Reports for people: plots, ranking grids and HTML pages."""

__all__ = ["colours", "formats", "grid", "pages", "plots", "style"]
