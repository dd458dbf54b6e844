"""The people page: who is in the gallery, and setting right what is wrong."""

import functools
from collections.abc import Callable
from html import escape
from typing import Any, NamedTuple

import gradio as gr

from reid_hash.errors import GalleryError
from reid_hash.gallery.base import AnyGallery
from reid_hash.gallery.sighting import Identity, parse_identity
from reid_hash.web.html import (
    CLICK,
    SHOWN,
    called,
    find_people,
    note,
    number_of,
    people_html,
    problem,
    shots_html,
    timeline_html,
)
from reid_hash.web.page_gallery import PageGallery

_CHOICES = 500  # people that the list for merging offers; others are written by name or number


class Pending(NamedTuple):
    """What is done once it is confirmed: exactly what the question named.

    Attributes:
        verb: "merge" or "forget".
        identity: the person.
        other: who becomes the same person.
    """

    verb: str
    identity: int
    other: int | None = None


def build(page_gallery: PageGallery, tab: gr.Tab) -> None:
    """Lay out the page, and connect it."""
    chosen, marked, pending = gr.State(None), gr.State([]), gr.State(None)
    with gr.Row():
        with gr.Column(scale=2, min_width=360):
            wanted = gr.Textbox(label="Find people", placeholder="part of a name, or #12")
            listed = gr.HTML(elem_id="people", js_on_load=CLICK)
        with gr.Column(scale=3, min_width=420):
            said = gr.HTML(elem_id="said")
            with gr.Group(visible=False) as asking:
                question = gr.HTML(padding=True, elem_id="question")
                with gr.Row():
                    yes = gr.Button("Yes", variant="stop", elem_id="yes")
                    no = gr.Button("No, keep all as it is", elem_id="no")
            person = gr.HTML(note("Choose somebody."), elem_id="person")
            with gr.Column(visible=False) as tools:
                shots = gr.HTML(elem_id="shots", js_on_load=CLICK)
                with gr.Row():
                    split = gr.Button("Split off the chosen sightings", elem_id="split", size="md")
                    forget = gr.Button(
                        "Forget this person …", variant="stop", elem_id="forget", size="md"
                    )
                with gr.Row():
                    name = gr.Textbox(label="Name", elem_id="name", max_length=200)
                    rename = gr.Button("Set name", elem_id="rename")
                with gr.Row():
                    other = gr.Dropdown(
                        label="Is the same as", allow_custom_value=True, elem_id="other"
                    )
                    merge = gr.Button("Merge …", elem_id="merge")

    everything = [chosen, marked, pending, listed, said, asking, question, person, tools, shots]
    everything += [name, other]

    def show(text: str, number: int | None, words: str = "", marks: Any = ()) -> dict[Any, Any]:
        """The whole page for a choice."""
        found = find_people(page_gallery, text or "")
        who = next(
            (one for one in page_gallery.gallery.people.identities() if one.id == number), None
        )
        page = {
            **{chosen: who.id if who else None, marked: list(marks), pending: None},
            **{listed: people_html(page_gallery, found, number), said: words},
            **{asking: gr.update(visible=False), tools: gr.update(visible=who is not None)},
        }
        if who is None:
            return {**page, person: note("Choose somebody.")}
        seen = page_gallery.gallery.sightings(
            identities=[who.id], newest=True, limit=SHOWN, thumbnails=True
        )
        return {
            **page,
            person: _heading(who)
            + timeline_html(page_gallery.gallery.sightings(identities=[who.id], limit=5000)),
            shots: shots_html(seen, marks),
            name: who.name or "",
            other: gr.update(choices=_others(page_gallery, who), value=None),
        }

    def calmly(work: Callable[..., dict[Any, Any]]) -> Callable[..., dict[Any, Any]]:
        @functools.wraps(work)  # gradio gives the event to who asks for it by its type
        def wrapped(*arguments: Any) -> dict[Any, Any]:
            try:
                return work(*arguments)
            except Exception as error:
                return {said: problem(error), asking: gr.update(visible=False)}

        return wrapped

    def change(work: Callable[[AnyGallery], str], text: str, number: int | None) -> dict[Any, Any]:
        with page_gallery.writing() as gallery:
            words = work(gallery)
        return show(text, number, note(words))

    @calmly
    def choose(text: str, event: gr.EventData) -> dict[Any, Any]:
        return show(text, number_of(event))

    @calmly
    def mark(text: str, number: int | None, marks: list[int], event: gr.EventData) -> Any:
        one = number_of(event)
        now = [*(m for m in marks if m != one), *([one] if one and one not in marks else [])]
        return show(text, number, "", now)

    @calmly
    def do_name(text: str, number: int | None, new: str) -> dict[Any, Any]:
        def work(gallery: AnyGallery) -> str:
            gallery.people.name(_some(number), new.strip() or None)
            return f"#{number} is now called {new.strip()}." if new.strip() else "Name taken away."

        return change(work, text, number)

    @calmly
    def do_split(text: str, number: int | None, marks: list[int]) -> dict[Any, Any]:
        def work(gallery: AnyGallery) -> str:
            new = gallery.people.split(_some(number), ids=marks)
            return f"{len(marks)} sightings are now of the new person #{new}."

        return change(work, text, number)

    @calmly
    def ask_forget(number: int | None) -> dict[Any, Any]:
        who = page_gallery.person(_some(number))
        words = (
            f"Erase all {who.sightings:,} sightings of {called(who)} for good, from all files of "
            "the gallery?"
        )
        return _ask(Pending("forget", who.id), words)

    @calmly
    def ask_merge(number: int | None, text: str | None) -> dict[Any, Any]:
        who, same = (
            page_gallery.person(_some(number)),
            page_gallery.person(parse_identity((text or "").strip())),
        )
        if who.id == same.id:
            raise GalleryError(f"{called(who)} is the same already; name somebody else")
        words = f"Give all {same.sightings:,} sightings of {called(same)} to {called(who)}?"
        return _ask(Pending("merge", who.id, same.id), words)

    def _ask(what: Pending, words: str) -> dict[Any, Any]:
        shown = f"<p>{escape(words)} This cannot be undone.</p>"
        return {pending: what, asking: gr.update(visible=True), question: shown, said: ""}

    @calmly
    def do(text: str, number: int | None, what: Pending | None) -> dict[Any, Any]:
        if what is None:
            raise GalleryError("that question is answered already")

        def work(gallery: AnyGallery) -> str:
            if what.verb == "forget":
                return f"{gallery.forget(identities=[what.identity]):,} sightings were erased."
            assert what.other is not None
            return f"The two are #{gallery.people.merge(what.identity, what.other)} now."

        return change(work, text, None if what.verb == "forget" else number)

    def keep() -> dict[Any, Any]:
        return {pending: None, asking: gr.update(visible=False), said: note("Nothing was changed.")}

    plain = {"show_progress": "hidden", "api_visibility": "private"}
    tab.select(calmly(show), [wanted, chosen], everything, **plain)
    wanted.input(calmly(show), [wanted, chosen], everything, trigger_mode="always_last", **plain)
    listed.click(choose, wanted, everything, **plain)
    shots.click(mark, [wanted, chosen, marked], everything, **plain)
    gr.on([rename.click, name.submit], do_name, [wanted, chosen, name], everything, **plain)
    split.click(do_split, [wanted, chosen, marked], everything, **plain)
    forget.click(ask_forget, chosen, everything, **plain)
    merge.click(ask_merge, [chosen, other], everything, **plain)
    yes.click(do, [wanted, chosen, pending], everything, **plain)
    no.click(keep, None, everything, **plain)


def _some(number: int | None) -> int:
    if number is None:
        raise GalleryError("choose somebody first")
    return number


def _heading(who: Identity) -> str:
    return f"<h3>{escape(called(who))}: {who.sightings:,} sightings</h3>"


def _others(page_gallery: PageGallery, who: Identity) -> list[tuple[str, str]]:
    found = [one for one in find_people(page_gallery, "") if one.id != who.id][:_CHOICES]
    return [(called(one), f"#{one.id}") for one in found]
