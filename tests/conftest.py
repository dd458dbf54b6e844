"""What all tests share."""

import os

import pytest

# two pools of threads on two cores wait for each other; one thread a test process is enough
os.environ.setdefault("OMP_NUM_THREADS", "2")
os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
# where it is set, output is fitted to that width, and tests look for whole lines
os.environ.pop("COLUMNS", None)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print the seed of the order: pytest-randomly's own line is left out by -q."""
    if config.pluginmanager.hasplugin("randomly") and config.getoption("randomly_reorganize"):
        seed = config.getoption("randomly_seed")
        terminalreporter.write_line(f"random order; the same one again: --randomly-seed={seed}")
