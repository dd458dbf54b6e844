"""Galleries as one file: Parquet or .npz."""
