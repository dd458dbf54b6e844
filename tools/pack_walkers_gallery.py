"""Make the gallery that `reid-hash serve --demo` shows, anew for a new shipped `walkers` model.

    python tools/pack_walkers_gallery.py

Writes reid_hash/models/walkers-gallery.npz: drawn walkers alone.
"""

import tempfile
from pathlib import Path

from reid_hash.app.walkers import make_walkers_gallery
from reid_hash.gallery.sqlite.gallery import Gallery
from reid_hash.models.shipped import WALKERS_GALLERY


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "gallery"
        make_walkers_gallery(folder)
        with Gallery.open(folder, read_only=True) as gallery:
            count = gallery.export(WALKERS_GALLERY)
    print(f"{count} sightings, {WALKERS_GALLERY.stat().st_size:,} bytes: {WALKERS_GALLERY}")


if __name__ == "__main__":
    main()
