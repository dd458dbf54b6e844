"""The page: its four tabs, and how it looks: fonts of the machine alone, colours of the plots."""

from pathlib import Path
from typing import Any

import gradio as gr

from reid_hash.report.colours import RIGHT, WRONG
from reid_hash.web import curves_tab, people_tab, search_tab, video_tab
from reid_hash.web.inbox import WAITING, Inbox
from reid_hash.web.page_gallery import PageGallery

TITLE = "reid_hash gallery"

_SANS = ("system-ui", "-apple-system", "Segoe UI", "Noto Sans", "DejaVu Sans", "sans-serif")
_MONO = ("ui-monospace", "DejaVu Sans Mono", "monospace")

_KEPT = (300, int(WAITING))  # seconds: every so often, what Gradio itself kept so long is deleted


def make_page(page_gallery: PageGallery, inbox: Inbox) -> gr.Blocks:
    """Build the page for an open gallery, and files that visitors send."""
    with gr.Blocks(
        title=TITLE, analytics_enabled=False, fill_width=True, delete_cache=_KEPT
    ) as page:
        gr.Markdown(_heading(page_gallery))
        with gr.Tab("Search", id="search"):
            search_tab.build(page_gallery, inbox, page)
        with gr.Tab("Curves", id="curves") as curves:
            curves_tab.build(page_gallery, curves)
        with gr.Tab("People", id="people") as people:
            people_tab.build(page_gallery, people)
        with gr.Tab("Video", id="video"):
            video_tab.build(page_gallery, inbox, page)
    page.queue(default_concurrency_limit=4, max_size=200)
    return page


def _heading(page_gallery: PageGallery) -> str:
    place = page_gallery.place
    name = place.name if isinstance(place, Path) else str(place)
    name = "the drawn walkers" if page_gallery.settings.demo else name
    return (
        f"### {TITLE}: {name} · {len(page_gallery.gallery):,} sightings · {page_gallery.bits} bits"
    )


def theme() -> Any:
    """Gradio's plain theme; its usual fonts would be asked of another server."""
    return gr.themes.Default(primary_hue="blue", neutral_hue="slate", font=_SANS, font_mono=_MONO)


CSS = f"""
.rh-said {{ margin: 0 0 8px; color: var(--body-text-color-subdued); }}
.rh-ranking, .rh-people, .rh-shots {{ display: flex; flex-wrap: wrap; gap: 8px; }}
.rh-card {{
  display: flex; flex-direction: column; width: 108px; padding: 6px; gap: 2px; font-size: 12px;
  line-height: 1.3; text-align: left; font-weight: 400;
  border: 2px solid var(--border-color-primary);
  border-radius: 6px; background: var(--background-fill-primary); color: var(--body-text-color);
}}
button.rh-card {{ cursor: pointer; }}
button.rh-card:hover, button.rh-card:focus-visible {{ box-shadow: 0 0 0 3px #0072B244; }}
.rh-card b {{ display: flex; justify-content: space-between; font-weight: 600; }}
.rh-card img, .rh-card .rh-none {{
  height: 128px; width: 100%; object-fit: contain; background: var(--background-fill-secondary);
}}
.rh-card .rh-none {{ display: flex; align-items: center; text-align: center; font-style: italic; }}
.rh-card span {{ overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }}
.rh-card .rh-none {{ white-space: normal; }}
.rh-query {{ border-color: var(--body-text-color); }}
.rh-right {{ border-color: {RIGHT} !important; }}
.rh-wrong {{ border-color: {WRONG} !important; border-style: dashed !important; }}
.rh-card i {{ font-style: normal; color: white; padding: 0 5px; border-radius: 3px; }}
.rh-right i {{ background: {RIGHT}; }}
.rh-wrong i {{ background: {WRONG}; }}
.rh-distance {{
  background: linear-gradient(to right, #0072B240 var(--share), transparent var(--share));
  font-variant-numeric: tabular-nums; padding-left: 3px;
}}
.rh-chosen {{ box-shadow: 0 0 0 3px #0072B2; }}
.rh-note {{ padding: 10px 14px; border-left: 4px solid #E69F00; margin: 0; }}
.rh-error {{ padding: 10px 14px; border-left: 4px solid {WRONG}; margin: 0; }}
.rh-plots {{ display: flex; flex-wrap: wrap; gap: 12px; }}
.rh-plots .rh-plot {{ flex: 1 1 440px; max-width: calc(50% - 6px); }}
.rh-plot img {{ max-width: 100%; background: white; border-radius: 6px; }}
.rh-frame {{ width: 100%; max-width: 960px; border-radius: 6px; }}
.rh-lane {{ position: relative; height: 26px;
  border-bottom: 1px solid var(--border-color-primary); }}
.rh-lane > b {{ position: absolute; left: 0; width: 110px; overflow: hidden; font-weight: 500;
  text-overflow: ellipsis; white-space: nowrap; line-height: 26px; font-size: 13px; }}
.rh-lane > div {{ position: absolute; left: 120px; right: 8px; top: 0; bottom: 0; }}
.rh-lane i {{ position: absolute; top: 6px; width: 4px; height: 14px; margin-left: -2px;
  border-radius: 2px; }}
.rh-lane em {{ position: absolute; font-style: normal; font-size: 12px; white-space: nowrap;
  color: var(--body-text-color-subdued); transform: translateX(-50%); line-height: 26px; }}
.rh-lane em:first-child {{ transform: none; }}
.rh-lane em:last-child {{ transform: translateX(-100%); }}
"""
