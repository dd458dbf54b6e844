"""`reid-hash encode IMAGES… -o codes.npz`."""

from pathlib import Path

import click

from reid_hash.app.encode import embed_files, encode_files, save_embeddings
from reid_hash.app.runs import RUNS, find_model
from reid_hash.cli import options, show
from reid_hash.codes import save_codes
from reid_hash.data.images import find_images
from reid_hash.models.foreign.network import Network
from reid_hash.utils.progress import counting


@click.command("encode", short_help="Images to packed codes")
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
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
    output: Path,
    bits: int | None,
    floats: bool,
    model: Path | Network | None,
    dataset: str,
    device: str,
    skip_unreadable: bool,
) -> None:
    """Encode IMAGES (files, or folders with all images below) to packed codes in one .npz file.

    --float writes `embeddings` [n, features] and `names` instead, which `reid-hash fit` reads.
    """
    if floats and bits is not None:
        raise click.UsageError("--float and --bits: floats have no bits; leave one out")
    console = options.progress_console()
    file = find_model(model, dataset, RUNS)
    found = find_images(images)
    show.notes([found.note] if found.note else [], console)
    if floats:
        with counting(console, "encoding", len(found.files)) as progress:
            made = embed_files(found.files, file, device, skip_unreadable, progress)
        if made.unreadable:
            show.notes([f"{len(made.unreadable)} images left out:", *made.unreadable], console)
        save_embeddings(output, made)
        show.line(f"{len(made.vectors):,} vectors of {made.vectors.shape[1]} floats")
        show.written(output)
        return
    with counting(console, "encoding", len(found.files)) as progress:
        codes, names, unreadable = encode_files(
            found.files, file, bits, device, skip_unreadable, progress
        )
    if unreadable:
        show.notes([f"{len(unreadable)} images left out:", *unreadable], console)
    save_codes(output, codes, names)
    show.line(f"{len(codes):,} codes of {codes.bits} bits, {codes.packed.nbytes:,} bytes")
    show.written(output)
