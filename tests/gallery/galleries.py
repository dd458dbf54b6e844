"""Small galleries that several tests share."""

import numpy as np

from reid_hash.codes import Codes
from reid_hash.gallery.sighting import Sighting
from reid_hash.gallery.sqlite.gallery import Gallery

BITS = 44  # no multiple of 8: the last byte has padding


def some_codes(n=60, bits=BITS, seed=0, model="net"):
    """Random codes with weights that differ."""
    random = np.random.default_rng(seed)
    weights = np.random.default_rng(99).random(bits) + 0.1
    return Codes.from_outputs(random.normal(size=(n, bits)), weights, model)


def some_sightings(n=60, **more):
    """Three cameras, two sources, tracks of four images, one image a second."""
    return [
        Sighting(
            camera=f"cam{i % 3}",
            time=1000.0 + i,
            source=f"video{i % 2}.mp4",
            track=i // 4,
            frame=i,
            box=(i, 0.5, 64, 128),
            **more,
        )
        for i in range(n)
    ]


def make(folder, n=60, readable_by="owner", **more):
    """A new gallery with n sightings, open for writing."""
    codes = some_codes(n)
    made = (codes.bits, codes.weights, codes.model)
    gallery = Gallery.create(folder, *made, readable_by=readable_by)
    gallery.add(codes, some_sightings(n, **more))
    return gallery


def contents(gallery):
    """All that a gallery holds, to be compared."""
    codes, ids = gallery.codes()
    return (
        gallery.sightings(thumbnails=True),
        codes.packed.tobytes(),
        ids.tolist(),
        gallery.people.identities(),
        gallery.weights.tolist(),
        (gallery.bits, gallery.model),
    )


def everything_in(folder):
    """The bytes of all files of a folder, names included."""
    return {
        path: path.read_bytes() + path.name.encode()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
