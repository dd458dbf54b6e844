"""The figures and the table of the paper (Zhang et al. 2015), from data to pages."""
