"""The curves tab: what each bit buys in this gallery, and where two people differ.

Matplotlib and SciPy take a second to import, and the page must not wait for them: they are imported
when curves are measured. The figures can be had without gradio.
"""

import base64
import io
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from reid_hash.codes import Codes
from reid_hash.errors import GalleryError
from reid_hash.gallery.base import AnyGallery
from reid_hash.gallery.sighting import parse_identity
from reid_hash.video.track_code import majority
from reid_hash.web.html import called, calm, find_people, note
from reid_hash.web.page_gallery import PageGallery

if TYPE_CHECKING:
    import gradio
    from matplotlib.figure import Figure

    from reid_hash.report.plots.cmc_curves import Curve

MOST = 3000
"""Labelled sightings that are ranked against each other: seconds for all lengths."""

_LENGTHS = (8, 16, 32, 64, 128, 256, 512)
_RANKS = range(1, 31)
_NEWEST = 500  # sightings that the code of a person is made of at most
_CHOICES = 500  # people that the lists offer; others are written by name or number


class Measured(NamedTuple):
    """Figures of a gallery.

    Attributes:
        records: a flat record for each length and distance, as `--json` has them.
        curves: the CMC curves.
        about: what was ranked, and by which rule.
    """

    records: list[dict[str, Any]]
    curves: list["Curve"]
    about: str


def measure(gallery: AnyGallery, most: int = MOST, seed: int = 0) -> Measured:
    """Rank the labelled sightings of a gallery against each other, at several lengths.

    Each is searched for among the others; those of the same person from the same camera do not
    count ("market"), unless nobody was seen by two cameras: then only the sighting itself.

    Args:
        gallery: an open one.
        most: sightings at most; drawn where there are more.
        seed: of the draw.

    Raises:
        GalleryError: there are not two people, or none of whom there are two sightings.
    """
    from reid_hash.metrics import rank_codes, summarise
    from reid_hash.report.plots.cmc_curves import Curve

    labels, cameras, ids = gallery.labelled(most, seed)
    if len(set(labels)) < 2:
        raise GalleryError(
            "curves need sightings of two people whose identity is known; name some under People, "
            "or add images with `reid-hash gallery add --names market1501`"
        )
    codes, _ = gallery.codes(ids=ids)
    across = len(set(zip(labels, cameras, strict=True))) > len(set(labels))
    places = cameras if across else list(range(len(ids)))
    records, curves = [], []
    for bits in sorted({*(b for b in _LENGTHS if b < gallery.bits), gallery.bits}):
        for weighted in (True, False):
            cut = codes.prefix(bits)
            groups = rank_codes(
                *(cut, cut, labels, labels, places, places, "market"), weighted=weighted
            )
            figures = summarise(groups, _RANKS)
            if not figures["queries"]:
                raise GalleryError("nobody whose identity is known has two sightings to compare")
            records.append({"bits": bits, "weighted": weighted, **figures})
            rates = np.array([figures[f"rank{rank}"] for rank in _RANKS])
            name = f"{bits} bits, {'weighted' if weighted else 'plain'}"
            curves.append(Curve(name, list(_RANKS), rates, bits=bits, weighted=weighted))
    rule = "by other cameras" if across else "in other pictures"
    about = (
        f"{int(records[0]['queries']):,} sightings of {len(set(labels)):,} people, each searched "
        f"for among {len(ids):,}; right is the same person {rule}. Ties count as the mean of their "
        "orders."
    )
    return Measured(records, curves, about)


def figures_of(measured: Measured) -> "list[Figure]":
    """CMC, and rank-1 and mAP by code length."""
    from reid_hash.report.plots.bits import bits_plot
    from reid_hash.report.plots.cmc_curves import cmc_plot

    weighted = [curve for curve in measured.curves if curve.weighted]
    return [
        cmc_plot(weighted, "CMC of this gallery, weighted Hamming distance"),
        bits_plot(measured.records, "rank1", "rank-1 by code length"),
        bits_plot(measured.records, "map", "mAP by code length"),
    ]


def code_of_person(gallery: AnyGallery, identity: int) -> Codes:
    """The majority of each bit over the newest sightings of a person; the first has a tied vote.

    Raises:
        GalleryError: there is no such person.
    """
    seen = gallery.sightings(identities=[identity], newest=True, limit=_NEWEST)
    codes, _ = gallery.codes(ids=[one.id or 0 for one in seen])
    return majority(codes, np.ones(len(codes)))


def compare(
    gallery: AnyGallery, people: Sequence[int], names: tuple[str, str], bits: int
) -> "Figure":
    """The picture of the first bits of two people's codes."""
    from reid_hash.report.plots.difference import difference_plot

    first, second = (code_of_person(gallery, one).prefix(bits) for one in people)
    return difference_plot(first, second, names)


def plot_html(figure: "Figure") -> str:
    """A figure as HTML, its picture inside."""
    import matplotlib

    data = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "reid-hash"}):
        figure.savefig(data, format="svg", metadata={"Date": None})
    text = base64.b64encode(data.getvalue()).decode("ascii")
    alt = escape(str(figure.get_label()))
    return f'<div class="rh-plot"><img src="data:image/svg+xml;base64,{text}" alt="{alt}"></div>'


def build(page_gallery: PageGallery, tab: "gradio.Tab") -> None:
    """Lay out the page, and connect it."""
    import gradio as gr

    again = gr.Button("Measure again", size="sm", elem_id="measure")
    curves = gr.HTML(elem_id="curves")
    gr.Markdown("### Two people, bit by bit")
    with gr.Row():
        first = gr.Dropdown(label="Person", allow_custom_value=True, elem_id="first")
        second = gr.Dropdown(label="and person", allow_custom_value=True, elem_id="second")
        bits = gr.Slider(
            min(8, page_gallery.bits), page_gallery.bits, page_gallery.bits, step=1, label="Bits"
        )
    difference = gr.HTML(elem_id="difference")

    @calm
    def measured() -> str:
        found = measure(page_gallery.gallery)
        plots = "".join(map(plot_html, figures_of(found)))
        return f"<div class='rh-plots'>{plots}</div>{note(found.about)}"

    def listed(one: str | None, two: str | None) -> tuple[Any, Any]:
        found = find_people(page_gallery, "")[:_CHOICES]
        choices = [(called(person), f"#{person.id}") for person in found]
        usual = [value for _, value in choices[:2]] + [None, None]
        return (
            gr.update(choices=choices, value=one or usual[0]),
            gr.update(choices=choices, value=two or usual[1]),
        )

    @calm
    def compared(one: str | None, two: str | None, length: float) -> str:
        if not one or not two:
            return note("Choose two people.")
        people = [page_gallery.person(parse_identity(text.strip())) for text in (one, two)]
        names = (called(people[0]), called(people[1]))
        figure = compare(page_gallery.gallery, [person.id for person in people], names, int(length))
        return plot_html(figure)

    plain = {"api_visibility": "private"}
    pair = [first, second, bits]
    chosen = tab.select(listed, [first, second], [first, second], show_progress="hidden", **plain)
    chosen.then(compared, pair, difference, **plain).then(measured, None, curves, **plain)
    again.click(measured, None, curves, **plain)
    for control in (first, second):
        control.change(compared, pair, difference, **plain)
    bits.input(compared, pair, difference, trigger_mode="always_last", **plain)
