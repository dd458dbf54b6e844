"""The site of the documentation: `make docs` builds it, and fails on a link that leads nowhere."""

from pathlib import Path

project = html_title = "reid_hash"
extensions = ["myst_parser"]
myst_heading_anchors = 4
html_theme = "furo"
exclude_patterns = ["images"]

OUTSIDE = ("SECURITY", "CONTRIBUTING", "CHANGELOG")
"""Pages that lie beside the README, where forges look for them; the site has them too."""


def setup(app):
    """Bring the pages beside the README into the site, and lead links to them there."""
    here, root = Path(__file__).parent, Path(__file__).parent.parent
    for name in OUTSIDE:
        page = here / f"{name.lower()}.md"  # ignored by git
        page.write_text((root / f"{name}.md").read_text(encoding="utf-8"), encoding="utf-8")

    def lead(_, name, source):
        for outside in OUTSIDE:
            source[0] = source[0].replace(f"](../{outside}.md", f"]({outside.lower()}.md")
            if name == outside.lower():
                source[0] = source[0].replace("](docs/", "](")
                for other in OUTSIDE:
                    source[0] = source[0].replace(f"]({other}.md", f"]({other.lower()}.md")

    app.connect("source-read", lead)
