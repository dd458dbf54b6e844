"""`reid-hash data info|prepare`."""

from pathlib import Path

import click
import numpy as np

from reid_hash.app.walkers import write_walkers
from reid_hash.cli import options, show
from reid_hash.config.reading import load_config
from reid_hash.data import DATASETS, load_dataset
from reid_hash.data.dataset import ImageSet
from reid_hash.data.shapes import PARTS, write_shapes
from reid_hash.data.walkers.site import Site
from reid_hash.utils.progress import counting


@click.group("data", short_help="What a data set holds; write the built-in one to files")
def command() -> None:
    """Look at data sets."""


@command.command("info")
@click.argument("dataset", required=False)
@options.data_option
@click.option("--protocol", help="Such as single-shot or new (cuhk03); else the usual one.")
@click.option("--split", type=click.IntRange(0), default=0, help="Which of several splits.")
@click.option("--boxes", type=click.Choice(["labeled", "detected"]), default="labeled")
def info(
    dataset: str | None, data: Path | None, protocol: str | None, split: int, boxes: str
) -> None:
    """Say what DATASET holds here, or list the data sets when none is named."""
    if dataset is None:
        for name, text in DATASETS.items():
            show.line(f"{name:12}{text}")
        return
    settings = [f"data.dataset={dataset}", f"data.split={split}", f"data.boxes={boxes}"]
    if protocol is not None:
        settings.append(f"data.protocol={protocol}")
    found = load_dataset(load_config(None, settings).data, data)
    rule = "" if found.by_class else f", camera rule {found.camera_rule}"
    show.line(f"{found.name}, protocol {found.protocol}{rule}")
    for name, images in (
        ("train", found.train),
        ("query", found.query),
        ("gallery", found.gallery),
    ):
        show.line(f"{name:8} {_described(images, found.by_class)}")
    for note in found.notes:
        show.line(f"note: {note}")


@command.command("prepare")
@click.argument("dataset", type=click.Choice(["walkers", "shapes", "site"]))
@click.argument("folder", type=options.FOLDER)
@click.option("--cameras", default=6, show_default=True, help="Of a site.")
@click.option("--people", default=100, show_default=True, help="Of a site.")
@click.option("--minutes", default=30.0, show_default=True, help="Length of a site's time.")
@click.option("--films", callback=options.parse_bits, help="Cameras of a site to film: 1,3.")
@options.seed_option
@options.verbosity_options
def prepare(
    dataset: str,
    folder: Path,
    cameras: int,
    people: int,
    minutes: float,
    films: list[int] | None,
    seed: int | None,
) -> None:
    """Write a drawn data set to FOLDER.

    walkers: pedestrians, as images in Market-1501's naming and two videos. shapes: pictures of
    coloured shapes with several labels each, in the layout of nuswide. site: people who walk
    through a site of several cameras: the crops of their tracklets, a gallery of them without
    identities, the truth, the plan, and films of a minute.
    """
    console = options.progress_console()
    if dataset == "walkers":
        written = write_walkers(folder, seed or 0, console)
    elif dataset == "shapes":
        with counting(console, "drawing", sum(PARTS.values()) - PARTS["train"]) as advance:
            written = write_shapes(folder, seed or 0, progress=advance)
    else:
        from reid_hash.app.site import write_site

        site = Site(seed or 0, cameras, people, 60 * minutes)
        written = write_site(folder, site, films or (), console=console)
    for path in written:
        show.written(path)


def _described(images: ImageSet, by_class: bool) -> str:
    """How many images a set has, of how many classes, or identities and cameras."""
    if by_class:
        used = images.labels.any(0).sum() if images.labels.ndim == 2 else len(set(images.labels))
        return f"{len(images):6,} images of {used} classes"
    identities, cameras = len(np.unique(images.labels)), len(np.unique(images.cameras))
    return f"{len(images):6,} images, {identities:5,} identities, {cameras} cameras"
