"""A site of several cameras as files: crops, a gallery of its tracklets, the truth, and films."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import yaml
from rich.console import Console

from reid_hash.app.gallery import noted_model
from reid_hash.app.runs import find_model
from reid_hash.app.walkers import MODEL
from reid_hash.codes import Codes
from reid_hash.data.images import resize, thumbnail
from reid_hash.data.walkers.film import write_film
from reid_hash.data.walkers.site import Site, Tracklet
from reid_hash.errors import ReidHashError
from reid_hash.gallery.sighting import Sighting
from reid_hash.gallery.sqlite.gallery import Gallery
from reid_hash.models.encoder import Encoder
from reid_hash.models.foreign.network import Network
from reid_hash.models.load import open_model
from reid_hash.utils.files import check_space, replacing, write_text
from reid_hash.utils.progress import counting
from reid_hash.utils.timestamps import parse_time

BEGIN = "2026-03-02T08:00:00Z"
"""When a site's clock begins."""

_BLOCK = 64  # tracklets that are drawn and encoded at a time


def write_site(
    folder: Path,
    site: Site,
    films: Sequence[int] = (),
    seconds: float = 60.0,
    model: Path | Network | None = None,
    console: Console | None = None,
) -> list[Path]:
    """Write the crops of a site's tracklets, a gallery of them without identities, and the truth.

    Args:
        folder: gets `crops`, `gallery`, `truth.csv` (a row for each tracklet: camera, track,
            identity, first and last second), `plan.yaml`, and `films`.
        site: what to draw.
        films: cameras to film as well.
        seconds: length of the films.
        model: the network of the gallery; None for the shipped one.
        console: for progress.

    Returns:
        What was written.

    Raises:
        GalleryError: there is a gallery already, or it cannot be written.
        ReidHashError: a file cannot be written.
    """
    file = find_model(Path(MODEL) if model is None else model, "walkers")
    encoder = open_model(file, "cpu")
    like = encoder.binarise(np.zeros((0, encoder.bits)))
    tracklets = site.tracklets
    made = (like.bits, like.weights, like.model, noted_model(file))
    (folder / "crops").mkdir(parents=True, exist_ok=True)
    with (
        Gallery.create(folder / "gallery", *made) as gallery,
        counting(console, "drawing the site", len(tracklets)) as progress,
    ):
        for start in range(0, len(tracklets), _BLOCK):
            block = tracklets[start : start + _BLOCK]
            gallery.add(*_draw(folder / "crops", site, block, encoder))
            if progress is not None:
                progress(len(block))
    truth = "".join(
        f"{one.camera},{one.track},{one.identity},{one.first:.3f},{one.last:.3f}\n"
        for one in tracklets
    )
    write_text(folder / "truth.csv", "camera,track,identity,first,last\n" + truth)
    plan = yaml.safe_dump(_described(site), sort_keys=False, width=100)
    write_text(folder / "plan.yaml", plan)
    written = [folder / name for name in ("crops", "gallery", "truth.csv", "plan.yaml")]
    for camera in films:
        filmed = write_film(site.film(camera, seconds=seconds), folder / "films")
        written += [filmed.video, filmed.truth]
    return written


def name_of(camera: int) -> str:
    """The name of a site's camera in galleries."""
    return f"camera{camera}"


def _draw(
    folder: Path, site: Site, tracklets: Sequence[Tracklet], encoder: Encoder
) -> tuple[Codes, list[Sighting]]:
    """Draw and encode the crops of some tracklets, and write them as images."""
    begin, pictures, sightings = parse_time(BEGIN), [], []
    for one in tracklets:
        for i, moment in enumerate(one.moments):
            picture = site.crop(one, i)
            path = folder / f"{one.identity:04d}_c{one.camera}_t{one.track:04d}_{i:02d}.jpg"
            with replacing(path) as temporary:
                if not cv2.imwrite(str(temporary), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)):
                    check_space(path)
                    raise ReidHashError(f"cannot write {path}: OpenCV cannot write such a file")
            pictures.append(resize(picture, *encoder.size, encoder.growing))
            # a gallery of tracklets knows first and last times by its sightings
            time = (one.first, moment, moment, one.last)[i]
            sightings.append(
                Sighting(
                    camera=name_of(one.camera),
                    time=round(begin + time, 3),
                    source=f"site, seed {site.seed}: {name_of(one.camera)}",
                    track=one.track,
                    frame=i,
                    thumbnail=thumbnail(picture),
                )
            )
    return encoder.encode(np.stack(pictures), progress=False), sightings


def _described(site: Site) -> dict[str, object]:
    """The plan as a person reads it."""
    return {
        "seed": site.seed,
        "people": site.people,
        "seconds": site.seconds,
        "doors": list(site.plan.doors),
        "cameras": {
            number: [round(float(value), 1) for value in place]
            for number, place in enumerate(site.plan.places, 1)
        },
        "ways": [
            {
                "from": way.start,
                "to": way.end,
                "seconds": round(way.seconds, 1),
                "share": round(way.share, 3),
                "overlap": way.overlap,
            }
            for way in site.plan.ways.values()
        ],
    }
