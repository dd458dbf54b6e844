"""Galleries: sightings of people with their codes, searched, corrected and forgotten."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reid_hash.gallery.base import AnyGallery
    from reid_hash.gallery.open import Place, create_gallery, has_gallery, open_gallery
    from reid_hash.gallery.sighting import Answer, Filter, Identity, Match, Sighting
    from reid_hash.gallery.sqlite.gallery import Gallery
    from reid_hash.gallery.sqlite.people import People

__all__ = [
    "Answer",
    "AnyGallery",
    "Filter",
    "Gallery",
    "Identity",
    "Match",
    "People",
    "Place",
    "Sighting",
    "create_gallery",
    "has_gallery",
    "open_gallery",
]

_MODULES = {
    "AnyGallery": "base",
    "Gallery": "sqlite.gallery",
    "People": "sqlite.people",
    **dict.fromkeys(("Place", "create_gallery", "has_gallery", "open_gallery"), "open"),
    **dict.fromkeys(("Answer", "Filter", "Identity", "Match", "Sighting"), "sighting"),
}
"""Where each name is: FAISS, OpenCV and the database are imported by who needs them."""


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
