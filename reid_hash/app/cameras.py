"""What a gallery tells of its cameras, and second thoughts about who is who."""

from dataclasses import replace
from pathlib import Path

from reid_hash.errors import GalleryError
from reid_hash.gallery.base import AnyGallery
from reid_hash.gallery.network.cameras import CameraNetwork
from reid_hash.gallery.network.kept import Knowledge, keep_cameras, read_cameras
from reid_hash.gallery.network.learn import MOST, learn
from reid_hash.gallery.network.tracklets import read_tracklets


def learn_cameras(gallery: AnyGallery) -> Knowledge:
    """Learn the network of a gallery's cameras from its newest tracklets, and keep it.

    Raises:
        GalleryError: there are too few tracklets.
    """
    found = learn(read_tracklets(gallery, MOST))
    knowledge = Knowledge(found.network, found.appearance)
    keep_cameras(gallery, knowledge)
    return knowledge


def give_cameras(gallery: AnyGallery, file: Path) -> Knowledge:
    """Keep the network of cameras that a person has written; see `CameraNetwork.read`.

    What was learned of distances stays.
    """
    before = read_cameras(gallery)
    network = CameraNetwork.read(file)
    network = replace(network, about=network.about or f"given: {file.name}")
    knowledge = Knowledge(network, None if before is None else before.appearance)
    keep_cameras(gallery, knowledge)
    return knowledge


def known_cameras(gallery: AnyGallery) -> Knowledge:
    """What a gallery knows of its cameras; learned and kept where nothing is.

    Raises:
        GalleryError: nothing is known, and there are too few tracklets.
    """
    found = read_cameras(gallery)
    if found is not None:
        return found
    if gallery.read_only:
        raise GalleryError(f"gallery {gallery.place} knows nothing of its cameras")
    return learn_cameras(gallery)
