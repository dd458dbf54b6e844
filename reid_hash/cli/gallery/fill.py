"""`reid-hash gallery create|add|export|import`."""

from functools import partial
from pathlib import Path
from typing import Any

import click

from reid_hash.app.gallery import (
    CODES,
    AddOptions,
    add_codes,
    add_embeddings,
    add_images,
    checkpoint_codes,
    gallery_encoder,
)
from reid_hash.app.runs import RUNS, USUAL_DATASET
from reid_hash.cli import options, show
from reid_hash.codes import Codes, load_codes
from reid_hash.data.images import find_images
from reid_hash.data.listing import counted
from reid_hash.gallery.clickhouse.address import ClickHouseAddress
from reid_hash.gallery.export.io import read_file
from reid_hash.gallery.open import (
    Place,
    copy_gallery,
    create_gallery,
    has_gallery,
    open_gallery,
)
from reid_hash.gallery.sqlite.files import READERS, ReadableBy
from reid_hash.gallery.sqlite.gallery import Gallery
from reid_hash.models.foreign.network import Network
from reid_hash.utils.progress import counting
from reid_hash.utils.timestamps import parse_time

option = partial(options.option, AddOptions)

dataset_option = click.option(
    "--dataset",
    default=USUAL_DATASET,
    show_default=True,
    help="Whose newest run to use where no model is named or known.",
)

gallery_model_option = click.option(
    "--model",
    type=options.MODEL,
    help="The model that makes the gallery's codes: checkpoint, ONNX file, folder of a run, or "
    "name of a shipped model; else the file that the gallery was made with.",
)


@click.command("create", short_help="Make an empty gallery")
@click.argument("place", metavar="GALLERY", type=options.GALLERY)
@options.network_options
@options.model_option
@dataset_option
@click.option("--codes", type=options.FILE, help="Take length and model from a file of codes.")
@click.option("--bits", type=click.IntRange(1), help="Keep only the first bits of each code.")
@click.option(
    "--cluster",
    default="",
    help="Of a ClickHouse server: the cluster in its configuration to spread the gallery over.",
)
@click.option(
    "--readable-by",
    type=click.Choice(READERS),
    default="owner",
    show_default=True,
    help="Who may read the files of a folder.",
)
@options.verbosity_options
def create(
    place: Place,
    model: Path | Network | None,
    dataset: str,
    codes: Path | None,
    bits: int | None,
    cluster: str,
    readable_by: ReadableBy,
) -> None:
    """Make an empty GALLERY for the codes of one model: a folder, or clickhouse://HOST/DATABASE."""
    if isinstance(place, ClickHouseAddress) and readable_by != "owner":
        raise click.UsageError(
            "--readable-by is of files that a folder's gallery makes, not ClickHouse"
        )
    if codes is not None:
        like, file = load_codes(codes)[0], ""
    else:
        like, file = checkpoint_codes(model, dataset, RUNS)
    like = like.prefix(bits or like.bits)
    with create_gallery(place, like, file, cluster, readable_by):
        of = f"model {like.model}" if like.model else "an unknown model"
        show.line(f"gallery {place} for codes of {like.bits} bits of {of}")


@click.command("add", short_help="Encode images and add them")
@click.argument("place", metavar="GALLERY", type=options.GALLERY)
@click.argument("images", nargs=-1, type=click.Path(path_type=Path))
@options.embeddings_option
@options.network_options
@gallery_model_option
@dataset_option
@option("--camera", help="Name of the camera.")
@click.option("--time", "moment", help="When, in ISO 8601; now when left out.")
@option("--source", help="What they come from; each file's path when left out.")
@option(
    "--names",
    type=click.Choice(["market1501"]),
    help="Read identity, camera and frame from names such as 0002_c1s1_000451_03.jpg.",
)
@option("--thumbnails/--no-thumbnails", help="Keep a small JPEG of each.")
@options.device_option
@options.skip_option
@options.verbosity_options
def add(
    place: Place,
    images: tuple[Path, ...],
    embeddings: Path | None,
    model: Path | Network | None,
    dataset: str,
    moment: str | None,
    device: str,
    **given: Any,
) -> None:
    """Encode IMAGES (files, or folders with all images below) and add them to the gallery.

    Files of codes (.npz) are added as they are. An image file that is in the gallery already, by
    whatever path, is passed over unless its content has changed, so that an interrupted command
    can be given again. With --embeddings, vectors are encoded by the gallery's head, and their
    names, cameras and identities noted.
    """
    options.check_either(images, embeddings, "IMAGES", "--embeddings")
    console = options.progress_console()
    noted = AddOptions(time=None if moment is None else parse_time(moment), **given)
    codes = [path for path in images if path.suffix.lower() == CODES]
    pictures, left_out = find_images([path for path in images if path not in codes])
    show.notes([left_out] if left_out else [], console)
    with open_gallery(place) as gallery:
        added = sum(add_codes(gallery, path, noted).sightings for path in codes)
        if embeddings is not None:
            encoder = gallery_encoder(gallery, model, dataset, device, RUNS)
            with counting(console, "encoding", None) as progress:
                added += add_embeddings(gallery, encoder, embeddings, noted, progress).sightings
        if pictures:
            encoder = gallery_encoder(gallery, model, dataset, device, RUNS)
            with counting(console, "encoding", len(pictures)) as progress:
                result = add_images(gallery, encoder, pictures, noted, progress)
            added += result.sightings
            if result.known:
                known = counted(result.known, "file is", "files are")
                show.notes([f"{known} in the gallery already"], console)
            if result.changed:
                changed = f"added again, the content has changed: {counted(result.changed, 'file')}"
                show.notes([changed], console)
            if result.unreadable:
                unreadable = f"{counted(len(result.unreadable), 'image')} left out:"
                show.notes([unreadable, *result.unreadable], console)
        show.line(f"added {added:,} sightings; gallery {place} has {len(gallery):,}")


@click.command("export", short_help="Write all to one file")
@click.argument("place", metavar="GALLERY", type=options.GALLERY)
@click.argument("file", type=options.FILE)
def export(place: Place, file: Path) -> None:
    """Write all sightings, identities and thumbnails to FILE (.parquet or .npz), lossless."""
    with open_gallery(place, read_only=True) as gallery:
        number = gallery.export(file)
    show.line(f"{number:,} sightings")
    show.written(file)


@click.command("import", short_help="Read what export wrote")
@click.argument("place", metavar="GALLERY", type=options.GALLERY)
@click.argument("file", type=options.FILE)
def import_(place: Place, file: Path) -> None:
    """Read FILE, which `export` wrote, into a new gallery, or add it to the one that is there.

    A new gallery is the same as the exported one. In one that is there already sightings get new
    numbers, and identities of the same name are the same.
    """
    if has_gallery(place):
        with open_gallery(place) as gallery:
            number = gallery.import_file(file)
    elif isinstance(place, Path):
        with Gallery.load(place, file) as loaded:
            number = len(loaded)
    else:
        header = read_file(file).header
        like = Codes.empty(header["bits"], header["weights"], header["model"])
        with create_gallery(place, like) as made:
            number = made.import_file(file)
    show.line(f"{number:,} sightings imported into gallery {place}")


@click.command("copy", short_help="Copy all to another place")
@click.argument("source", metavar="FROM", type=options.GALLERY)
@click.argument("target", metavar="TO", type=options.GALLERY)
def copy(source: Place, target: Place) -> None:
    """Copy all of gallery FROM to TO, each a folder or an address in ClickHouse.

    A TO that is not there is made, and is then the same as FROM, numbers included. One that is
    there gets all that FROM holds, as by `import`.
    """
    number = copy_gallery(source, target)
    show.line(f"{number:,} sightings copied from {source} to gallery {target}")
