"""One use case a file or folder: what the commands of the command line do."""

__all__ = [
    "demo",
    "encode",
    "evaluate",
    "gallery",
    "quickstart",
    "run_report",
    "runs",
    "search",
    "train",
    "walkers",
]
