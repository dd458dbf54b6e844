"""Where a gallery is: a folder, or an address on Milvus."""

from pathlib import Path

from reid_hash.errors import GalleryError
from reid_hash.gallery.milvus.address import MilvusAddress

Place = Path | MilvusAddress
"""Where a gallery is."""


def folder_of(place: Place, command: str) -> Path:
    """The folder of a gallery, for a command that works on folders alone.

    Raises:
        GalleryError: it is on Milvus.
    """
    if isinstance(place, MilvusAddress):
        raise GalleryError(f"{place}: {command} works on a gallery in a folder, not on Milvus")
    return place
