"""The search page: a picture or a sighting, and what each bit and weight buys."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from reid_hash.data.images import thumbnail
from reid_hash.web import html
from reid_hash.web.html import CLICK, calm, note, number_of, problem
from reid_hash.web.inbox import Inbox
from reid_hash.web.page_gallery import PageGallery
from reid_hash.web.ranking import Query, View, query_of, rank
from reid_hash.web.uploads import PICTURES, read_upload

_MOST_SHOWN = 100
_WIDER = "This picture is wider than high: search wants the crop of one person."


def build(page_gallery: PageGallery, inbox: Inbox, page: gr.Blocks) -> None:
    """Lay out the page, and connect it."""
    state = gr.State(None, time_to_live=3600)
    with gr.Row():
        with gr.Column(scale=1, min_width=280):
            upload = gr.File(label="Picture of a person", file_types=PICTURES, height=150)
            with gr.Row():
                number = gr.Number(label="or sighting number", precision=0, minimum=1)
                drawn = gr.Button("Pick one at random", size="sm")
            least = min(8, page_gallery.bits)
            bits = gr.Slider(
                least, page_gallery.bits, page_gallery.bits, step=1, label="Bits", elem_id="bits"
            )
            kind = gr.Radio(["weighted", "plain"], value="weighted", label="Hamming distance")
            top = gr.Slider(5, _MOST_SHOWN, 20, step=5, label="Sightings shown")
            cameras = gr.Dropdown(
                page_gallery.cameras(),
                multiselect=True,
                label="Cameras",
                info="all where none is chosen",
            )
            others = gr.Checkbox(label="Leave out the query's own camera")
            with gr.Row():
                since = gr.Textbox(
                    label="Since (UTC)", placeholder="2026-03-01 or 12h", min_width=110
                )
                until = gr.Textbox(label="Until (UTC)", placeholder="2026-03-02", min_width=110)
        with gr.Column(scale=3, min_width=480):
            shown = gr.HTML(
                note("Drop in a picture, or pick a sighting; then move the bits slider."),
                elem_id="ranking",
                js_on_load=CLICK,
            )
    view = [bits, kind, top, cameras, others, since, until]

    @calm
    def answer(query: Query | None, *settings: Any) -> str:
        return _answer(page_gallery, query, *settings)

    def sent(file: str | None, *settings: Any) -> tuple[Query | None, str]:
        try:
            query, remark = _read(page_gallery, file)
        except Exception as error:
            return None, problem(error)
        finally:
            if file is not None:
                inbox.remove(Path(file))  # the code is all that later searches need
        return query, remark + answer(query, *settings)

    def pick(number: float | None, *settings: Any) -> tuple[Query | None, str]:
        try:
            query = None if number is None else query_of(page_gallery, int(number))
        except Exception as error:
            return None, problem(error)
        return query, answer(query, *settings)

    def random(*settings: Any) -> tuple[int | None, Query | None, str]:
        chosen = page_gallery.some_sighting()
        if chosen is None:
            return None, None, note("The gallery holds no sighting yet.")
        return chosen, *pick(chosen, *settings)

    def first(*settings: Any) -> tuple[Any, ...]:
        return gr.update(choices=page_gallery.cameras()), *random(*settings)

    def click(event: gr.EventData) -> int | None:
        return number_of(event)

    out = [state, shown]
    quick = {"show_progress": "hidden", "concurrency_limit": 8, "api_visibility": "private"}
    upload.upload(sent, [upload, *view], out, **quick)
    upload.clear(sent, [upload, *view], out, **quick)
    number.submit(pick, [number, *view], out, **quick)
    drawn.click(random, view, [number, *out], **quick)
    shown.click(click, None, number, **quick).then(pick, [number, *view], out, **quick)
    # a slider that is dragged asks many times: only the last position is worth an answer
    for control in view:
        happens = control.input if control in (bits, top) else control.change
        happens(answer, [state, *view], shown, trigger_mode="always_last", **quick)
    # one event, not two: where the second is asked while the stream with the first one's answer
    # closes, Gradio's script goes on waiting for the answer on the closed stream
    page.load(first, view, [cameras, number, *out], **quick)


def _read(page_gallery: PageGallery, file: str | None) -> tuple[Query | None, str]:
    """The query for a picture, and a remark on it."""
    if file is None:
        return None, ""
    image = read_upload(Path(file))
    query = Query(page_gallery.encode(image), Path(file).name, thumbnail(image))
    return query, note(_WIDER) if image.shape[1] > image.shape[0] else ""


def _answer(
    page_gallery: PageGallery,
    query: Query | None,
    bits: float,
    kind: str,
    top: float,
    cameras: Sequence[str],
    others: bool,
    since: str | None,
    until: str | None,
) -> str:
    if query is None:
        return note("Drop in a picture, or pick a sighting.")
    view = View(
        int(bits),
        kind == "weighted",
        min(int(top), _MOST_SHOWN),
        cameras or (),
        since or "",
        until or "",
        others,
    )
    return html.ranking_html(query, view, rank(page_gallery, query, view))
