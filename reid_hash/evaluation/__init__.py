"""Protocols from codes to figures: re-identification, retrieval, open set."""
