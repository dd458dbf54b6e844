"""Tests of the page on the lowest and the newest Gradio that pyproject.toml admits.

    make test-gradio                                 # or: python tools/test_gradio.py [VERSION …]

Each version is laid over the installed packages in a folder of its own below `.gradio/`, so that
torch and all else is not installed once more. It is kept: delete the folder to begin anew.
"""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def lowest() -> str:
    """The lower bound of the extra `web`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    web = project["optional-dependencies"]["web"]
    (bound,) = [one for one in web if one.startswith("gradio>=")]
    return bound.removeprefix("gradio>=")


def main() -> None:
    failed = []
    for version in sys.argv[1:] or [f"=={lowest()}", ""]:
        wanted = f"gradio{version}"
        folder = ROOT / ".gradio" / (version.removeprefix("==") or "newest")
        if not (folder / "gradio").is_dir():
            print(f"installing {wanted} …", flush=True)
            install = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(folder)]
            subprocess.run([*install, wanted], check=True)
        environment = {**os.environ, "PYTHONPATH": str(folder)}
        tell = [sys.executable, "-c", "import gradio; print(gradio.__version__)"]
        found = subprocess.check_output(tell, env=environment, text=True).strip()
        print(f"the page on gradio {found}", flush=True)
        tests = [sys.executable, "-m", "pytest", "tests/web", "-q"]
        if subprocess.run(tests, cwd=ROOT, env=environment, check=False).returncode:
            failed.append(found)
    if failed:
        sys.exit(f"the page fails on gradio {', '.join(failed)}")


if __name__ == "__main__":
    main()
