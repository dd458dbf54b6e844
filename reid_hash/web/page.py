"""The page: its four parts, and what they share."""

import gradio as gr

from reid_hash.web import curves_tab, people_tab, search_tab, video_tab
from reid_hash.web.inbox import WAITING, Inbox
from reid_hash.web.page_gallery import Desk

TITLE = "reid_hash gallery"

_KEPT = (300, int(WAITING))  # seconds: every so often, what Gradio itself kept so long is deleted


def make_page(desk: Desk, inbox: Inbox) -> gr.Blocks:
    """Build the page for an open gallery, and files that visitors send."""
    with gr.Blocks(
        title=TITLE, analytics_enabled=False, fill_width=True, delete_cache=_KEPT
    ) as page:
        gr.Markdown(_heading(desk))
        with gr.Tab("Search", id="search"):
            search_tab.build(desk, inbox, page)
        with gr.Tab("Curves", id="curves") as curves:
            curves_tab.build(desk, curves)
        with gr.Tab("People", id="people") as people:
            people_tab.build(desk, people)
        with gr.Tab("Video", id="video"):
            video_tab.build(desk, inbox, page)
    page.queue(default_concurrency_limit=4, max_size=200)
    return page


def _heading(desk: Desk) -> str:
    name = "the drawn walkers" if desk.settings.demo else desk.folder.name
    return f"### {TITLE}: {name} · {len(desk.gallery):,} sightings · {desk.bits} bits"
