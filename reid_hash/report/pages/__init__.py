"""Self-contained HTML pages: the report of a run, and the timeline of a video."""
