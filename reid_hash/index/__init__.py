"""Indexes over packed codes: weighted, plain Hamming, and IVF; how they search is in `_engine`."""
