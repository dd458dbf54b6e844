"""Make the pictures of README.md, from drawn walkers alone.

    python tools/readme_pictures.py docs/images

Needs the extra `web`, playwright, and Debian's chromium.
"""

import argparse
import shutil
import tempfile
import threading
from pathlib import Path

import cv2
from PIL import Image
from playwright.sync_api import sync_playwright

from reid_hash.app.walkers import make_walkers_gallery
from reid_hash.gallery.sqlite.gallery import Gallery
from reid_hash.report.style import save_figure
from reid_hash.web.curves import figures_of, measure
from reid_hash.web.follow import follow_files
from reid_hash.web.page_gallery import Desk
from reid_hash.web.server import Server
from reid_hash.web.settings import Settings

QUERY = 83  # a sighting with right and wrong ones among its nearest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    output = parser.parse_args().output
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "gallery"
        make_walkers_gallery(folder)
        with Server(Settings(folder, port=0, detector="motion", demo=True)) as server:
            screenshot(server.url, output / "page.png")
            plot = figures_of(measure(server.desk.gallery))[0]
            save_figure(plot, output / "cmc.png")
            model = server.desk.gallery
            empty = Path(temporary) / "empty"
            like = (model.bits, model.weights, model.model, model.model_file)
        # whoever is filmed is in no gallery: with an empty one, each is told from the others alone
        Gallery.create(empty, *like).close()
        desk = Desk(Settings(empty, detector="motion"))
        looked = [one for one, _ in follow_files(desk, desk.film(), False, threading.Event())]
        desk.close()
        cv2.imwrite(str(output / "frame.png"), looked[-1].picture)
    for file in output.glob("*.png"):  # a palette: a third of the bytes
        Image.open(file).convert("RGB").quantize(256).save(file, optimize=True)


def screenshot(url: str, file: Path) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": 1280, "height": 820})
        page.set_default_timeout(90_000)
        page.goto(url)
        page.wait_for_selector("#ranking .rh-query")
        page.get_by_label("or sighting number").fill(str(QUERY))
        page.get_by_label("or sighting number").press("Enter")
        page.wait_for_selector("#ranking >> text=walker 11")
        slider = page.locator("#bits input[type=range]")
        slider.focus()
        slider.press("Home")
        page.wait_for_selector("#ranking >> text=first 8 bits")
        for _ in range(8):
            slider.press("ArrowRight")
        page.wait_for_selector("#ranking >> text=first 16 bits")
        page.wait_for_timeout(500)
        page.screenshot(path=str(file))
        browser.close()


if __name__ == "__main__":
    main()
