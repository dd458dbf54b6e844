"""What people look at: plots, ranking grids and HTML pages."""
