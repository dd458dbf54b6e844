"""`reid-hash encode IMAGES… -o codes.npz`."""

from pathlib import Path

import click

from reid_hash.app.encode import (
    embed_files,
    encode_embeddings,
    encode_files,
    save_embeddings,
)
from reid_hash.app.runs import RUNS, find_model
from reid_hash.cli import options, show
from reid_hash.codes import save_codes
from reid_hash.data.images import find_images
from reid_hash.models.foreign.network import Network
from reid_hash.utils.progress import counting


@click.command("encode", short_help="Images to packed codes")
@click.argument("images", nargs=-1, type=click.Path(path_type=Path))
@options.embeddings_option
@click.option("-o", "--output", type=options.FILE, required=True, help="File of the codes (.npz).")
@click.option("--bits", type=click.IntRange(1), help="Cut the codes to this length.")
@click.option(
    "--float", "floats", is_flag=True, help="The float embedding in place of codes (.npz or .npy)."
)
@options.network_options
@options.model_option
@options.dataset_option
@options.device_option
@options.skip_option
@options.verbosity_options
def command(
    images: tuple[Path, ...],
    embeddings: Path | None,
    output: Path,
    bits: int | None,
    floats: bool,
    model: Path | Network | None,
    dataset: str,
    device: str,
    skip_unreadable: bool,
) -> None:
    """Encode IMAGES (files, or folders with all images below) to packed codes in one .npz file.

    --float writes `embeddings` [n, features] and `names` instead, which `reid-hash fit` reads. With
    --embeddings and a head as --model, vectors are encoded in place of images.
    """
    options.check_either(images, embeddings, "IMAGES", "--embeddings")
    if floats and (bits is not None or embeddings is not None):
        raise click.UsageError("--float is of images, and has no bits: leave the other option out")
    console = options.progress_console()
    file = find_model(model, dataset, RUNS)
    unreadable: tuple[str, ...] = ()
    if embeddings is not None:
        with counting(console, "encoding", None) as progress:
            codes, names = encode_embeddings(embeddings, file, bits, progress)
    else:
        found = find_images(images)
        show.notes([found.note] if found.note else [], console)
        with counting(console, "encoding", len(found.files)) as progress:
            if floats:
                made = embed_files(found.files, file, device, skip_unreadable, progress)
                unreadable = made.unreadable
            else:
                codes, names, unreadable = encode_files(
                    found.files, file, bits, device, skip_unreadable, progress
                )
    if unreadable:
        show.notes([f"{len(unreadable)} images left out:", *unreadable], console)
    if floats:
        save_embeddings(output, made)
        vectors = made.embeddings.vectors
        show.line(f"{len(vectors):,} vectors of {vectors.shape[1]} floats")
    else:
        save_codes(output, codes, names or None)
        show.line(f"{len(codes):,} codes of {codes.bits} bits, {codes.packed.nbytes:,} bytes")
    show.written(output)
