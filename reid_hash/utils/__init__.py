"""Helpers for every room: files, timestamps, seeds, signals, progress."""
