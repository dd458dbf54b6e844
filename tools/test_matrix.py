"""Run the tests as other machines would: an axis at a time, resumable.

    make test-matrix                                          # or: python tools/test_matrix.py
    python tools/test_matrix.py --axis avx2 --axis bf16 tests/training tests/nn

An axis that has passed is not run again until the code changes: results are kept below `build/`,
by the commit and by the tests that ran. `--again` forgets them.
"""

import argparse
import hashlib
import json
import os
import subprocess  # nosec B404  # runs git and the tests of this environment
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "build" / "test-matrix.json"

AXES = {
    "plain": {"ATEN_CPU_CAPABILITY": "default"},
    "avx2": {"ATEN_CPU_CAPABILITY": "avx2"},
    "threads-1": {"OMP_NUM_THREADS": "1"},
    "threads-2": {"OMP_NUM_THREADS": "2"},
    "lang-c": {"LANG": "C", "LC_ALL": "C"},
    "fp32": {"REID_HASH_PRECISION": "fp32"},
    "bf16": {"REID_HASH_PRECISION": "bf16"},  # emulated where the processor has none
}
"""What each axis sets in the environment; everything else is as in `make test`."""


def state(tests: list[str]) -> str:
    """Name the code and the tests: of the commit, what differs from it, and what would run."""
    digest = hashlib.sha256("\0".join(tests).encode())
    for command in (["rev-parse", "HEAD"], ["diff", "HEAD"]):
        digest.update(subprocess.check_output(["git", *command], cwd=ROOT))  # nosec B607
    return digest.hexdigest()[:16]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("tests", nargs="*", help="files or folders; all tests where left out")
    parser.add_argument("--axis", action="append", choices=AXES, help="only these axes")
    parser.add_argument("--again", action="store_true", help="run what has passed once more")
    options = parser.parse_args()

    RESULTS.parent.mkdir(exist_ok=True)
    kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    code = state(options.tests)
    passed = {} if options.again or kept.get("state") != code else kept["passed"]
    failed = []
    for axis in options.axis or AXES:
        words = " ".join(f"{name}={value}" for name, value in AXES[axis].items())
        if axis in passed:
            print(f"{axis} ({words}): has passed: {passed[axis]}", flush=True)
            continue
        print(f"{axis} ({words}) …", flush=True)
        environment = {**os.environ, "OMP_NUM_THREADS": "1", **AXES[axis]}
        tests = [sys.executable, "-m", "pytest", "-n", "2", "--dist", "loadfile", *options.tests]
        began = time.monotonic()
        done = subprocess.run(tests, cwd=ROOT, env=environment, check=False)
        if done.returncode:
            failed.append(axis)
            continue
        passed[axis] = f"{time.monotonic() - began:.0f} s"
        RESULTS.write_text(json.dumps({"state": code, "passed": passed}, indent=1))
    if failed:
        sys.exit(f"the tests fail on: {', '.join(failed)}")
    print("the tests pass on every axis")


if __name__ == "__main__":
    main()
