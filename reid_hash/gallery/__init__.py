"""Galleries: sightings of people with their codes, searched, corrected and forgotten."""

from reid_hash.gallery.base import AnyGallery
from reid_hash.gallery.open import Place, create_gallery, has_gallery, open_gallery
from reid_hash.gallery.sighting import Answer, Filter, Identity, Match, Sighting, parse_identity
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
    "parse_identity",
]
