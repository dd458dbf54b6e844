"""The curves page: what each bit buys in this gallery, and where two people differ."""

from typing import Any

import gradio as gr

from reid_hash.errors import GalleryError
from reid_hash.gallery.sighting import parse_identity
from reid_hash.web.page_gallery import Desk
from reid_hash.web.parts import calm, note
from reid_hash.web.people import called, find_people

_CHOICES = 500  # people that the lists offer; others are written by name or number


def build(desk: Desk, tab: gr.Tab) -> None:
    """Lay out the page, and connect it."""
    again = gr.Button("Measure again", size="sm", elem_id="measure")
    curves = gr.HTML(elem_id="curves")
    gr.Markdown("### Two people, bit by bit")
    with gr.Row():
        first = gr.Dropdown(label="Person", allow_custom_value=True, elem_id="first")
        second = gr.Dropdown(label="and person", allow_custom_value=True, elem_id="second")
        bits = gr.Slider(min(8, desk.bits), desk.bits, desk.bits, step=1, label="Bits")
    difference = gr.HTML(elem_id="difference")

    @calm
    def measured() -> str:
        from reid_hash.web.curves import figures_of, measure, plot_html  # Matplotlib takes a second

        found = measure(desk.gallery)
        plots = "".join(map(plot_html, figures_of(found)))
        return f"<div class='rh-plots'>{plots}</div>{note(found.about)}"

    def listed(one: str | None, two: str | None) -> tuple[Any, Any]:
        found = find_people(desk, "")[:_CHOICES]
        choices = [(called(person), f"#{person.id}") for person in found]
        usual = [value for _, value in choices[:2]] + [None, None]
        return (
            gr.update(choices=choices, value=one or usual[0]),
            gr.update(choices=choices, value=two or usual[1]),
        )

    @calm
    def compared(one: str | None, two: str | None, length: float) -> str:
        from reid_hash.web.curves import compare, plot_html

        if not one or not two:
            return note("Choose two people.")
        people = [_person(desk, text) for text in (one, two)]
        names = (called(people[0]), called(people[1]))
        figure = compare(desk.gallery, [person.id for person in people], names, int(length))
        return plot_html(figure)

    plain = {"api_visibility": "private"}
    pair = [first, second, bits]
    chosen = tab.select(listed, [first, second], [first, second], show_progress="hidden", **plain)
    chosen.then(compared, pair, difference, **plain).then(measured, None, curves, **plain)
    again.click(measured, None, curves, **plain)
    for control in (first, second):
        control.change(compared, pair, difference, **plain)
    bits.input(compared, pair, difference, trigger_mode="always_last", **plain)


def _person(desk: Desk, text: str) -> Any:
    wanted = parse_identity(text.strip())
    for one in desk.gallery.people.identities():
        if wanted in (one.id, one.name):
            return one
    raise GalleryError(f"there is no person {text} in the gallery; choose one, or write #12")
