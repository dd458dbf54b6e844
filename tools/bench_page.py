"""Time what the gallery page's server does when the bits slider is moved.

    python tools/bench_page.py --sightings 100000

A gallery of random codes with real thumbnails is made in a temporary folder; a sighting is picked,
and the slider goes through all lengths, with and without weights and filters: the search, the
thumbnails, and the HTML that is sent. What the browser and the network add is not in it.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from reid_hash.codes import Codes
from reid_hash.data.images import thumbnail
from reid_hash.data.walkers import walkers
from reid_hash.gallery.sighting import Sighting
from reid_hash.gallery.sqlite.gallery import Gallery
from reid_hash.web.cards import ranking_html
from reid_hash.web.page_gallery import Desk
from reid_hash.web.ranking import View, question_of, rank
from reid_hash.web.settings import Settings

BATCH = 20_000
BITS = 128


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sightings", type=int, default=100_000)
    parser.add_argument("--top", type=int, default=20)
    parser.add_argument("--folder", type=Path, default=Path("."), help="where to make the gallery")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-page-", dir=arguments.folder) as temporary:
        folder = Path(temporary) / "gallery"
        make(folder, arguments.sightings)
        bench(folder, arguments.top)


def make(folder: Path, count: int) -> None:
    random = np.random.default_rng(0)
    pictures = walkers(train_identities=1, test_identities=10).gallery
    jpegs = [thumbnail(pictures.read(i)) for i in range(len(pictures))]
    with Gallery.create(folder, BITS, np.linspace(1.5, 1.0, BITS), "bench") as gallery:
        for start in range(0, count, BATCH):
            rows = range(start, min(start + BATCH, count))
            codes = Codes.from_outputs(random.normal(size=(len(rows), BITS)), model="bench")
            sightings = [
                Sighting(
                    camera=f"camera {i % 8}",
                    time=1.7e9 + i,
                    thumbnail=jpegs[i % len(jpegs)],
                    name=f"person {i // 20}",
                )
                for i in rows
            ]
            gallery.add(codes, sightings)
        gallery.write_cache()


def bench(folder: Path, top: int) -> None:
    began = time.perf_counter()
    desk = Desk(Settings(folder))
    question = question_of(desk, len(desk.gallery) // 2)
    ranking_html(question, View(BITS, top=top), rank(desk, question, View(BITS, top=top)))
    print(f"open, and the first answer: {1000 * (time.perf_counter() - began):.0f} ms")
    for name, settings in (
        ("weighted", {}),
        ("plain", {"weighted": False}),
        ("weighted, one camera of 8", {"cameras": ["camera 3"]}),
        ("weighted, half of the time", {"since": "2023-11-15T12:00:00Z"}),
    ):
        times = []
        for bits in range(8, BITS + 1):
            view = View(bits, top=top, **settings)  # type: ignore[arg-type]
            began = time.perf_counter()
            page = ranking_html(question, view, rank(desk, question, view))
            times.append(1000 * (time.perf_counter() - began))
        middle, most = np.median(times), np.max(times)
        print(f"{name:28} median {middle:6.1f} ms, slowest {most:6.1f} ms of {len(times)} moves")
    print(f"{len(page):,} bytes of HTML, {len(desk.gallery):,} sightings, {top} shown")
    desk.close()


if __name__ == "__main__":
    main()
