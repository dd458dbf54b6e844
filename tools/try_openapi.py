"""Try what the OpenAPI file of the service allows, and what it does not (schemathesis).

    python tools/try_openapi.py --examples 200

Starts a service of the drawn walkers with a key, and has schemathesis send requests of each
operation: examples, edge cases, random ones, and chains of them. Every check is on: no status 5xx,
no undocumented answer, valid requests accepted and invalid ones refused, keys asked for.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from reid_hash.gallery.sqlite.gallery import Gallery
from reid_hash.models.shipped import WALKERS_GALLERY
from reid_hash.web.api.keys import ROLES, Keys
from reid_hash.web.api.state import State, state_folder
from reid_hash.web.server import Server
from reid_hash.web.settings import Limits, Settings

ROOT = Path(__file__).parents[1]


def run(examples: int, *more: str) -> subprocess.CompletedProcess:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "gallery"
        Gallery.load(place, WALKERS_GALLERY).close()
        state = State(state_folder(place))
        key = Keys(state).add("schemathesis", ROLES)
        state.close()
        settings = Settings(place, port=0, page=False, limits=Limits(rate=1e6))
        with Server(settings) as server:
            command = ["st", "run", f"{server.url}/api/v1/openapi.json", "--checks", "all"]
            command += ["--header", f"Authorization: Bearer {key}", "-n", str(examples), *more]
            command += ["--exclude-path", "/api/v1/events"]  # a stream without end
            path = os.pathsep.join((str(ROOT), os.environ.get("PYTHONPATH", "")))
            environment = {**os.environ, "PYTHONPATH": path}
            environment["SCHEMATHESIS_HOOKS"] = "tests.web.api.hooks"
            environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
            return subprocess.run(
                command, env=environment, cwd=folder, capture_output=True, text=True
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--examples", type=int, default=100, help="of each operation")
    given, others = parser.parse_known_args()
    done = run(given.examples, *others)
    print(done.stdout, done.stderr, sep="\n")
    sys.exit(done.returncode)
