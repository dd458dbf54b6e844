"""Table 1 of the paper: re-identification on CUHK03 by every method."""
