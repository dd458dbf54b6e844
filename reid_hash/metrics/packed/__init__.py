"""Ranking of packed codes by counting; the gallery is never sorted."""
