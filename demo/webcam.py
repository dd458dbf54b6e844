"""Recognise people before a webcam or a network camera, in a window; q ends.

    python demo/webcam.py                       # camera 0
    python demo/webcam.py rtsp://camera/front   # or any other source, several too

Who was seen stays in the gallery `people`, and is known the next time:
`reid-hash gallery name people '#3' Ada` gives somebody a name.
"""

import sys
from pathlib import Path

from rich.console import Console

from reid_hash.app.demo.options import DemoOptions
from reid_hash.app.demo.run import run_demo


def main(sources: list[str]) -> None:
    options = DemoOptions(
        sources=sources or ["0"],
        gallery=Path("people"),
        runs=Path("runs"),  # a network trained here is used before a shipped one
    )
    result = run_demo(options, print, Console(stderr=True))
    for person in result.people:
        known = "known" if person.known else "new"
        print(f"{person.label}: {known}, {len(person.visits)} visits, {', '.join(person.cameras)}")
    if result.error:
        print(result.error)


if __name__ == "__main__":
    main(sys.argv[1:])
