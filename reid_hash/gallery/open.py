"""Opening, making and copying galleries: in a folder, in ClickHouse, or behind a service."""

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from reid_hash.errors import GalleryError
from reid_hash.gallery.clickhouse.address import ClickHouseAddress
from reid_hash.gallery.service.address import ServiceAddress
from reid_hash.gallery.sqlite.files import DATABASE, ReadableBy

if TYPE_CHECKING:
    from reid_hash.codes import Codes
    from reid_hash.gallery.base import AnyGallery

# The galleries themselves are imported where one is opened: every command's options need `Place`.

Place = Path | ClickHouseAddress | ServiceAddress
"""Where a gallery is."""


def open_gallery(place: Place, read_only: bool = False) -> "AnyGallery":
    """Open a gallery, to write to it or only to read.

    Raises:
        GalleryError: there is none, it is damaged, or it cannot be reached.
    """
    if isinstance(place, ClickHouseAddress):
        from reid_hash.gallery.clickhouse.gallery import ClickHouseGallery

        return ClickHouseGallery.open(place, read_only)
    if isinstance(place, ServiceAddress):
        from reid_hash.gallery.service.gallery import ServiceGallery

        return ServiceGallery.open(place, read_only)
    from reid_hash.gallery.sqlite.gallery import Gallery

    return Gallery.open(place, read_only)


def create_gallery(
    place: Place,
    like: "Codes",
    model_file: str = "",
    cluster: str = "",
    readable_by: ReadableBy = "owner",
) -> "AnyGallery":
    """Make an empty gallery for codes of the length, weights and model of `like`, and open it.

    Args:
        place: where.
        like: codes; how many does not matter.
        model_file: where the network's checkpoint is.
        cluster: name of a server's cluster to spread it over; one node when left out.
        readable_by: who may read a folder's files; on a server its users may.

    Raises:
        GalleryError: there is one already, or it cannot be made.
    """
    if isinstance(place, ClickHouseAddress):
        from reid_hash.gallery.clickhouse.gallery import ClickHouseGallery

        return ClickHouseGallery.create(place, like, model_file, cluster)
    if isinstance(place, ServiceAddress):
        raise GalleryError(f"{place}: make a gallery where the service runs, and serve it")
    if cluster:
        raise GalleryError(f"{place}: a folder is not spread over a cluster")
    from reid_hash.gallery.sqlite.gallery import Gallery

    return Gallery.create(place, like.bits, like.weights, like.model, model_file, readable_by)


def has_gallery(place: Place) -> bool:
    """Whether there is a gallery; GalleryError where its server does not answer."""
    if isinstance(place, ClickHouseAddress):
        from reid_hash.gallery.clickhouse.gallery import ClickHouseGallery

        return ClickHouseGallery.there(place)
    if isinstance(place, ServiceAddress):
        return True  # a service has one, and says itself where it does not answer
    return (place / DATABASE).exists()


def folder_of(place: Place, command: str) -> Path:
    """The folder of a gallery, for a command that works on folders alone.

    Raises:
        GalleryError: it is somewhere else.
    """
    if isinstance(place, ClickHouseAddress):
        raise GalleryError(f"{place}: {command} works on a gallery in a folder, not in ClickHouse")
    if isinstance(place, ServiceAddress):
        raise GalleryError(f"{place}: {command} works on a gallery in a folder; run it there")
    return place


def local_folder(place: Place) -> Path | None:
    """The folder on this machine that holds a gallery; None where a server keeps it."""
    if isinstance(place, ServiceAddress):
        return None
    return place.folder if isinstance(place, ClickHouseAddress) else place


def copy_gallery(source: Place, target: Place) -> int:
    """Add all of one gallery to another, which is made where there is none; gives how many.

    A new gallery is the same as the source, ids included; see `AnyGallery.take_in`.

    Raises:
        CodeError: the target holds codes of another model or length.
        GalleryError: one of them cannot be opened or written, or they are one and the same.
    """
    if _is_same(source, target):
        raise GalleryError(f"{source} and {target} are the same gallery")
    if _is_embedded(source) and _is_embedded(target):  # a process has one engine
        with tempfile.TemporaryDirectory(prefix="reid-hash-") as folder:
            file = Path(folder) / "all.npz"
            with open_gallery(source, read_only=True) as gallery:
                gallery.export(file)
                like, noted = gallery.codes(ids=[])[0], gallery.model_file
            with _open_or_make(target, like, noted) as made:
                return made.import_file(file)
    from reid_hash.gallery.base import check

    with open_gallery(source, read_only=True) as gallery:
        like = gallery.codes(ids=[])[0]
        with _open_or_make(target, like, gallery.model_file) as made:
            check(made.place, made.codes(ids=[])[0], like.bits, like.model)
            with gallery.exported() as exported:
                return made.take_in(exported)


def _open_or_make(place: Place, like: "Codes", model_file: str) -> "AnyGallery":
    return open_gallery(place) if has_gallery(place) else create_gallery(place, like, model_file)


def _is_embedded(place: Place) -> bool:
    return isinstance(place, ClickHouseAddress) and place.folder is not None


def _is_same(one: Place, other: Place) -> bool:
    def key(place: Place) -> object:
        if isinstance(place, ServiceAddress):
            return place.url
        return place.key if isinstance(place, ClickHouseAddress) else os.path.realpath(place)

    return key(one) == key(other)
