"""Freed memory that the process keeps: pages are touched once, not in each step."""

import subprocess
import sys

import pytest

from reid_hash.utils.memory import keep_freed_memory

COUNT = """
import resource, sys
import numpy as np
from reid_hash.utils.memory import keep_freed_memory
if sys.argv[1] == "kept" and not keep_freed_memory():
    sys.exit("not here")
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for turn in range(6):
    if turn == 1:
        before = faults()
    np.full(64 << 20, turn, np.uint8)
print(faults() - before)
"""


def page_faults(kind: str) -> int:
    done = subprocess.run([sys.executable, "-c", COUNT, kind], capture_output=True, text=True)
    if "not here" in done.stderr:
        pytest.skip("a C library without mallopt")
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def test_memory_is_taken_from_the_kernel_once():
    assert page_faults("kept") < page_faults("plain") / 10


def test_another_system_is_left_alone(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert keep_freed_memory() is False
