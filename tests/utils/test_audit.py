"""tools/audit.py is never silently green."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tools import audit

LOCK = Path(audit.__file__).parent.parent / "requirements.lock"
SAFE = {"name": "a", "version": "1", "vulns": []}
UNSAFE = {"name": "b", "version": "2", "vulns": [{"id": "CVE-1", "fix_versions": ["3"]}]}
UNKNOWN = {"name": "c", "skip_reason": "not found"}


def run(monkeypatch, capsys, packages=None, error=None):
    """The tool, given what pip-audit prints; gives (exit code, what is printed)."""
    text = "" if packages is None else json.dumps({"dependencies": packages})

    def answer(command, **more):
        if error is not None:
            raise error
        return subprocess.CompletedProcess(command, 1, text, "cannot connect\n")

    monkeypatch.setattr(audit.subprocess, "run", answer)
    monkeypatch.setattr(sys, "argv", ["audit.py", "requirements.lock"])
    code = 0
    try:
        audit.main()
    except SystemExit as stopped:
        code = stopped.code
    return code, capsys.readouterr().out


@pytest.mark.parametrize(
    ("packages", "error", "code", "said"),
    [
        ([SAFE], None, 0, "1 packages without an advisory"),
        ([SAFE, UNSAFE], None, "1 advisories", "b 2: CVE-1, fixed in 3"),
        ([UNSAFE, UNKNOWN], None, "1 advisories", "b 2: CVE-1"),
        ([SAFE, UNKNOWN], None, 0, "SKIPPED: the service does not know c"),
        ([UNKNOWN], None, 0, "SKIPPED: no advisory was looked up"),
        ([], None, 0, "SKIPPED"),
        (None, None, 0, "SKIPPED: no advisory was looked up, the service cannot be used: cannot"),
        (None, subprocess.TimeoutExpired("x", 1), 0, "it does not answer"),
    ],
)
def test_what_it_says(monkeypatch, capsys, packages, error, code, said):
    got, out = run(monkeypatch, capsys, packages, error)
    assert got == code
    assert said in out


def test_the_lock_has_hashes_and_names_no_registry():
    text = LOCK.read_text(encoding="utf-8")
    assert "://" not in text
    packages = text.replace("\\\n", " ").splitlines()
    assert len(packages) > 50
    assert all("==" in one and "--hash=sha256:" in one for one in packages)
    assert {"torch", "pillow", "gradio", "onnxruntime"} <= {one.split("==")[0] for one in packages}
