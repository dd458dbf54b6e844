"""Opening and making galleries by where they are: a folder, or the address of a server."""

from pathlib import Path
from typing import TYPE_CHECKING

from reid_hash.errors import GalleryError
from reid_hash.gallery.milvus.address import MilvusAddress
from reid_hash.gallery.service.address import ServiceAddress
from reid_hash.gallery.sqlite.files import DATABASE, ReadableBy

if TYPE_CHECKING:
    from reid_hash.codes import Codes
    from reid_hash.gallery.base import AnyGallery

# The galleries themselves are imported where one is opened: every command's options need `Place`.

Place = Path | MilvusAddress | ServiceAddress
"""Where a gallery is."""


def open_gallery(place: Place, read_only: bool = False) -> "AnyGallery":
    """Open a gallery, to write to it or only to read.

    Raises:
        GalleryError: there is none, it is damaged, or it cannot be reached.
    """
    if isinstance(place, MilvusAddress):
        from reid_hash.gallery.milvus.milvus_gallery import MilvusGallery

        return MilvusGallery.open(place, read_only)
    if isinstance(place, ServiceAddress):
        from reid_hash.gallery.service.gallery import ServiceGallery

        return ServiceGallery.open(place, read_only)
    from reid_hash.gallery.sqlite.gallery import Gallery

    return Gallery.open(place, read_only)


def create_gallery(
    place: Place,
    like: "Codes",
    model_file: str = "",
    expected: int = 0,
    readable_by: ReadableBy = "owner",
) -> "AnyGallery":
    """Make an empty gallery for codes of the length, weights and model of `like`, and open it.

    Args:
        place: where.
        like: codes; how many does not matter.
        model_file: where the network's checkpoint is.
        expected: how many sightings there will be; only a Milvus server asks.
        readable_by: who may read a folder's files; on Milvus the server's users may.

    Raises:
        GalleryError: there is one already, or it cannot be made.
    """
    made = (like.bits, like.weights, like.model, model_file)
    if isinstance(place, MilvusAddress):
        from reid_hash.gallery.milvus.milvus_gallery import MilvusGallery

        return MilvusGallery.create(place, *made, expected)
    if isinstance(place, ServiceAddress):
        raise GalleryError(f"{place}: make a gallery where the service runs, and serve it")
    from reid_hash.gallery.sqlite.gallery import Gallery

    return Gallery.create(place, *made, readable_by)


def has_gallery(place: Place) -> bool:
    """Whether there is a gallery; GalleryError where its server does not answer."""
    if isinstance(place, MilvusAddress):
        from reid_hash.gallery.milvus.milvus_gallery import MilvusGallery

        return MilvusGallery.there(place)
    if isinstance(place, ServiceAddress):
        return True  # a service has one, and says itself where it does not answer
    return (place / DATABASE).exists()


def folder_of(place: Place, command: str) -> Path:
    """The folder of a gallery, for a command that works on folders alone.

    Raises:
        GalleryError: it is somewhere else.
    """
    if isinstance(place, MilvusAddress):
        raise GalleryError(f"{place}: {command} works on a gallery in a folder, not on Milvus")
    if isinstance(place, ServiceAddress):
        raise GalleryError(f"{place}: {command} works on a gallery in a folder; run it there")
    return place
