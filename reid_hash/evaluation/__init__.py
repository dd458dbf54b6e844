"""Evaluation protocols, from codes to figures: re-identification, retrieval, open set."""

__all__ = ["describe", "encoded", "open_set", "reid", "retrieval"]
