"""Opening and making galleries by where they are: a folder, or an address on Milvus."""

from pathlib import Path

from reid_hash.codes import Codes
from reid_hash.errors import GalleryError
from reid_hash.search.gallery import Gallery
from reid_hash.search.gallery_tables import DATABASE
from reid_hash.search.gallery_types import AnyGallery
from reid_hash.search.milvus_address import MilvusAddress, is_milvus, parse_address

Place = Path | MilvusAddress
"""Where a gallery is."""


def parse_place(text: str) -> Place:
    """A folder, or the address of a gallery on Milvus; see `parse_address`."""
    return parse_address(text) if is_milvus(text) else Path(text)


def open_gallery(place: Place, read_only: bool = False) -> AnyGallery:
    """Open a gallery, to write to it or only to read.

    Raises:
        GalleryError: there is none, it is damaged, or it cannot be reached.
    """
    if isinstance(place, MilvusAddress):
        # folders do without it
        from reid_hash.search.milvus import MilvusGallery

        return MilvusGallery.open(place, read_only)
    return Gallery.open(place, read_only)


def create_gallery(
    place: Place, like: Codes, model_file: str = "", expected: int = 0
) -> AnyGallery:
    """Make an empty gallery for codes of the length, weights and model of `like`, and open it.

    Args:
        place: where.
        like: codes; how many does not matter.
        model_file: where the network's checkpoint is.
        expected: how many sightings there will be; only a server asks.

    Raises:
        GalleryError: there is one already, or it cannot be made.
    """
    if isinstance(place, MilvusAddress):
        from reid_hash.search.milvus import MilvusGallery

        return MilvusGallery.create(
            place, like.bits, like.weights, like.model, model_file, expected
        )
    return Gallery.create(place, like.bits, like.weights, like.model, model_file)


def folder_of(place: Place, command: str) -> Path:
    """The folder of a gallery, for what works on folders alone; GalleryError on Milvus."""
    if isinstance(place, MilvusAddress):
        raise GalleryError(f"{place}: {command} works on a gallery in a folder, not on Milvus")
    return place


def has_gallery(place: Place) -> bool:
    """Whether there is a gallery in a folder; on Milvus only opening it tells."""
    return isinstance(place, Path) and (place / DATABASE).exists()
