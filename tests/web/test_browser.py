"""The page in a real browser: Chromium, headless, driven by Playwright."""

import os
import re
import shutil

import cv2
import pytest

pytest.importorskip("gradio", reason="the page needs gradio: pip install 'reid-hash[web]'")
pytest.importorskip("playwright", reason="needs playwright: pip install playwright")

from playwright.sync_api import expect, sync_playwright

from reid_hash.data.walkers import write_video
from reid_hash.gallery.sqlite.gallery import Gallery
from reid_hash.web.server import Server
from reid_hash.web.settings import Settings

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="needs a browser: apt-get install chromium"),
]

PATIENCE = 120_000  # milliseconds: the first page takes long on a busy machine


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """The walkers' film as the browser's webcam, slowed.

    A busy machine looks at one picture a second, and people must still overlap from look to look.
    """
    folder = tmp_path_factory.mktemp("webcam")
    capture = cv2.VideoCapture(str(write_video(folder, seconds=6, identities=8)[0].video))
    with (folder / "webcam.mjpeg").open("wb") as file:
        while (frame := capture.read()[1]) is not None:
            file.write(cv2.imencode(".jpg", frame)[1].tobytes() * 8)
    return folder / "webcam.mjpeg"


@pytest.fixture(scope="module")
def browser(film):
    with sync_playwright() as playwright:
        browser = launched(
            playwright,
            "--use-fake-device-for-media-stream",
            "--use-fake-ui-for-media-stream",
            f"--use-file-for-fake-video-capture={film}",
        )
        yield browser
        browser.close()


def launched(playwright, *arguments):
    """Chromium, started with arguments."""
    usual = ["--disable-gpu", "--disable-background-networking", "--disable-sync"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        usual.append("--no-sandbox")  # Chromium's own does not work for root
    return playwright.chromium.launch(executable_path=BROWSER, args=[*usual, *arguments])


@pytest.fixture
def server(folder):
    with Server(Settings(folder, port=0, detector="motion", demo=True)) as server:
        yield server


@pytest.fixture
def page(browser, server):
    """The page, once it shows the first answer; it may have asked no other server for anything."""
    page = browser.new_page(viewport={"width": 1360, "height": 900})
    page.set_default_timeout(PATIENCE)
    expect.set_options(timeout=PATIENCE)
    asked, errors = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(server.url)
    page.wait_for_selector("#ranking .rh-query")
    yield page
    assert [url for url in asked if url.startswith("http") and not url.startswith(server.url)] == []
    assert errors == []
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everybody_can_read_the_page(browser, server, scheme):
    """Axe finds nothing wrong on any tab: contrast, labels, the order of headings, roles."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page = browser.new_page(color_scheme=scheme, viewport={"width": 1200, "height": 900})
    page.goto(server.url)
    ready = {
        "Search": "#ranking .rh-card",
        "Curves": "#curves img",
        "People": "#people .rh-card",
        "Video": "#film",
    }
    for tab, shown in ready.items():
        page.get_by_role("tab", name=tab).click()
        expect(page.locator(shown).first).to_be_visible(timeout=PATIENCE)
        if tab == "People":
            page.locator("#people .rh-card").first.click()
            expect(page.locator("#person h2")).to_be_visible(timeout=PATIENCE)
        found = axe.run(page).response["violations"]
        assert [(tab, one["id"], one["nodes"][0]["html"]) for one in found] == []
    page.close()


def said(page):
    return page.locator("#ranking .rh-said")


def pick(page, number):
    box = page.get_by_label("or sighting number")
    box.fill(str(number))
    box.press("Enter")


def test_search_slider_and_filter(page, crop):
    pick(page, 1)
    expect(page.locator("#ranking .rh-query")).to_contain_text("walker 01")
    expect(said(page)).to_contain_text("20 nearest of 47 sightings by the first 128 bits, weighted")
    assert page.locator("#ranking .rh-right").count() == 3
    assert page.locator("#ranking .rh-wrong").count() > 0
    before = page.locator("#ranking button .rh-distance").all_inner_texts()

    slider = page.locator("#bits input[type=range]")
    slider.focus()
    slider.press("Home")
    expect(said(page)).to_contain_text("by the first 8 bits, weighted")
    page.get_by_label("plain").check()
    expect(said(page)).to_contain_text("by the first 8 bits, Hamming distance")
    distances = page.locator("#ranking button .rh-distance").all_inner_texts()
    assert distances != before
    assert all(re.fullmatch(r"[0-8]", text) for text in distances)
    assert distances == sorted(distances)

    page.get_by_label("Leave out the query's own camera").check()
    expect(said(page)).to_contain_text("of 24 sightings")
    page.get_by_label("Until (UTC)").fill("2026-03-02T08:01:30Z")
    expect(said(page)).to_contain_text(re.compile(r"of \d sightings"))
    page.get_by_label("Until (UTC)").fill("soon")
    expect(page.locator("#ranking .rh-error")).to_contain_text("'soon' is no time in ISO 8601")
    page.get_by_label("Until (UTC)").fill("")

    page.locator("#ranking button.rh-card").first.click()
    expect(page.locator("#ranking .rh-query")).to_contain_text("hall")

    page.locator("input[type=file]").first.set_input_files(str(crop))
    expect(page.locator("#ranking .rh-query")).to_contain_text("walker.png")
    expect(page.locator("#ranking button.rh-card").first).to_be_visible()


def test_forget_asks_first_and_erases(page, server, folder):
    page.get_by_role("tab", name="People").click()
    card = page.locator("#people .rh-card", has_text="walker 02")
    card.click()
    expect(page.locator("#person h2")).to_contain_text("walker 02 (#2): 4 sightings")
    assert page.locator("#person .rh-lane i").count() == 4

    page.locator("#forget").click()
    expect(page.locator("#question")).to_contain_text("Erase all 4 sightings of walker 02 (#2)")
    page.locator("#no").click()
    expect(page.locator("#said")).to_contain_text("Nothing was changed.")
    with Gallery.open(folder, read_only=True) as gallery:
        assert len(gallery) == 48
        thumbnail = gallery.sightings(identities=[2], thumbnails=True)[0].thumbnail
    page.locator("#forget").click()
    page.locator("#yes").click()
    expect(page.locator("#said")).to_contain_text("4 sightings were erased.")
    expect(card).to_have_count(0)
    with Gallery.open(folder, read_only=True) as gallery:
        assert len(gallery) == 44
        assert "walker 02" not in [one.name for one in gallery.people.identities()]
    assert not any(thumbnail in file.read_bytes() for file in folder.iterdir() if file.is_file())


def test_name_split_and_merge(page, folder):
    page.get_by_role("tab", name="People").click()
    page.locator("#people .rh-card", has_text="walker 03").click()
    page.locator("#shots .rh-card").first.click()
    expect(page.locator("#shots .rh-chosen")).to_have_count(1)
    page.locator("#split").click()
    expect(page.locator("#said")).to_contain_text("1 sightings are now of the new person #12.")
    page.locator("#name textarea, #name input").first.fill("Ann")
    page.locator("#rename").click()
    expect(page.locator("#said")).to_contain_text("#3 is now called Ann.")
    box = page.locator("#other input")
    box.fill("#12")
    box.press("Enter")
    page.locator("#merge").click()
    expect(page.locator("#question")).to_contain_text("Give all 1 sightings of #12 to Ann (#3)?")
    page.locator("#yes").click()
    expect(page.locator("#person h2")).to_contain_text("Ann (#3): 4 sightings")
    with Gallery.open(folder, read_only=True) as gallery:
        assert gallery.count(identities=["Ann"]) == 4


def test_curves_and_two_people(page):
    page.get_by_role("tab", name="Curves").click()
    expect(page.locator("#curves img")).to_have_count(3)
    assert "At rank 1" in page.locator("#curves img").first.get_attribute("alt")
    expect(page.locator("#difference img")).to_have_attribute(
        "alt", re.compile(r"Bits of walker \d\d .* of 128 bits differ")
    )


def test_the_walkers_film_is_followed_and_nothing_is_kept(page, folder):
    page.get_by_role("tab", name="Video").click()
    page.locator("#film").click()
    expect(page.locator("#frame")).to_contain_text("300 frames; nothing is kept. That was all.")
    assert page.locator("#seen .rh-card").count() >= 4
    with Gallery.open(folder, read_only=True) as gallery:
        assert len(gallery) == 48


def test_people_before_the_webcam_get_boxes(page, folder):
    page.get_by_role("tab", name="Video").click()
    page.get_by_role("tab", name="Webcam").click()
    page.get_by_text("Click to Access Webcam").click()
    page.get_by_label("capture photo").click()  # so called, though it begins to stream
    expect(page.locator("#frame .rh-frame")).to_be_visible()
    expect(page.locator("#seen .rh-card").first).to_be_visible()
    with Gallery.open(folder, read_only=True) as gallery:
        assert len(gallery) == 48
