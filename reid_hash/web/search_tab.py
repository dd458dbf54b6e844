"""The search page: a picture or a sighting, and what each bit and weight buys."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from reid_hash.video.crops import thumbnail
from reid_hash.web import cards
from reid_hash.web.desk import Desk
from reid_hash.web.inbox import Inbox
from reid_hash.web.parts import CLICK, calm, note, number_of, problem
from reid_hash.web.ranking import Question, View, question_of, rank
from reid_hash.web.uploads import PICTURES, read_upload

_WIDER = "This picture is wider than high: search wants the crop of one person."


def build(desk: Desk, inbox: Inbox, page: gr.Blocks) -> None:
    """Lay out the page, and connect it."""
    question = gr.State(None, time_to_live=3600)
    with gr.Row():
        with gr.Column(scale=1, min_width=280):
            upload = gr.File(label="Picture of a person", file_types=PICTURES, height=150)
            with gr.Row():
                number = gr.Number(label="or sighting number", precision=0, minimum=1)
                drawn = gr.Button("Pick one at random", size="sm")
            least = min(8, desk.bits)
            bits = gr.Slider(least, desk.bits, desk.bits, step=1, label="Bits", elem_id="bits")
            kind = gr.Radio(["weighted", "plain"], value="weighted", label="Hamming distance")
            top = gr.Slider(5, 100, 20, step=5, label="Sightings shown")
            cameras = gr.Dropdown(
                desk.cameras(), multiselect=True, label="Cameras", info="all where none is chosen"
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
    def answer(asked: Question | None, *settings: Any) -> str:
        return _answer(desk, asked, *settings)

    def sent(file: str | None, *settings: Any) -> tuple[Question | None, str]:
        try:
            asked, remark = _read(desk, file)
        except Exception as error:
            return None, problem(error)
        finally:
            if file is not None:
                inbox.remove(Path(file))  # the code is all that later questions need
        return asked, remark + answer(asked, *settings)

    def pick(number: float | None, *settings: Any) -> tuple[Question | None, str]:
        try:
            asked = None if number is None else question_of(desk, int(number))
        except Exception as error:
            return None, problem(error)
        return asked, answer(asked, *settings)

    def random(*settings: Any) -> tuple[int | None, Question | None, str]:
        chosen = desk.some_sighting()
        if chosen is None:
            return None, None, note("The gallery holds no sighting yet.")
        return chosen, *pick(chosen, *settings)

    def first(*settings: Any) -> tuple[Any, ...]:
        return gr.update(choices=desk.cameras()), *random(*settings)

    def click(event: gr.EventData) -> int | None:
        return number_of(event)

    out = [question, shown]
    quick = {"show_progress": "hidden", "concurrency_limit": 8, "api_visibility": "private"}
    upload.upload(sent, [upload, *view], out, **quick)
    upload.clear(sent, [upload, *view], out, **quick)
    number.submit(pick, [number, *view], out, **quick)
    drawn.click(random, view, [number, *out], **quick)
    shown.click(click, None, number, **quick).then(pick, [number, *view], out, **quick)
    # a slider that is dragged asks many times: only the last position is worth an answer
    for control in view:
        happens = control.input if control in (bits, top) else control.change
        happens(answer, [question, *view], shown, trigger_mode="always_last", **quick)
    # one event, not two: where the second is asked while the stream with the first one's answer
    # closes, Gradio's script goes on waiting for the answer on the closed stream
    page.load(first, view, [cameras, number, *out], **quick)


def _read(desk: Desk, file: str | None) -> tuple[Question | None, str]:
    """The question for a picture, and a remark on it."""
    if file is None:
        return None, ""
    image = read_upload(Path(file))
    asked = Question(desk.encode(image), Path(file).name, thumbnail(image[:, :, ::-1]))
    return asked, note(_WIDER) if image.shape[1] > image.shape[0] else ""


def _answer(
    desk: Desk,
    asked: Question | None,
    bits: float,
    kind: str,
    top: float,
    cameras: Sequence[str],
    others: bool,
    since: str | None,
    until: str | None,
) -> str:
    if asked is None:
        return note("Drop in a picture, or pick a sighting.")
    view = View(
        int(bits), kind == "weighted", int(top), cameras or (), since or "", until or "", others
    )
    return cards.ranking_html(asked, view, rank(desk, asked, view))
