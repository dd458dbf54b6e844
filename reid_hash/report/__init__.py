"""Plots (`plots`), ranking grids (`grid`) and one self-contained HTML report (`html`)."""
