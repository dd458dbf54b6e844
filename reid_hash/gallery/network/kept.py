"""What a gallery keeps of its cameras: the network, and what distances mean."""

import json
from dataclasses import dataclass

from reid_hash.errors import GalleryError, one_line
from reid_hash.gallery.base import AnyGallery
from reid_hash.gallery.network.appearance import Appearance
from reid_hash.gallery.network.cameras import CameraNetwork
from reid_hash.utils.files import json_text

_NAME = "cameras"


@dataclass(frozen=True)
class Knowledge:
    """What a gallery knows of its cameras.

    Attributes:
        network: the ways between them.
        appearance: what distances between tracklets mean; None where a person has given the
            network and nothing was learned.
    """

    network: CameraNetwork
    appearance: Appearance | None = None


def keep_cameras(gallery: AnyGallery, knowledge: Knowledge) -> None:
    """Keep what is known of the cameras in a gallery, in place of what was there."""
    looks = knowledge.appearance
    value = {
        "network": knowledge.network.to_dict(),
        "appearance": None if looks is None else looks.to_dict(),
    }
    gallery.keep_document(_NAME, json_text(value))


def read_cameras(gallery: AnyGallery) -> Knowledge | None:
    """What a gallery knows of its cameras; None where that is nothing.

    Raises:
        GalleryError: it is damaged.
    """
    text = gallery.document(_NAME)
    if text is None:
        return None
    try:
        value = json.loads(text)
        looks = value["appearance"]
        network = CameraNetwork.from_dict(value["network"])
        return Knowledge(network, None if looks is None else Appearance.from_dict(looks))
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise GalleryError(
            f"the network of cameras of gallery {gallery.place} is damaged ({one_line(error)}); "
            "learn it anew: reid-hash gallery cameras"
        ) from error
