"""`reid-hash encode IMAGES… -o codes.npz`."""

from pathlib import Path

import click

from reid_hash.app.encode import encode_embeddings, encode_files
from reid_hash.app.runs import RUNS, find_model
from reid_hash.cli import options, show
from reid_hash.codes import save_codes
from reid_hash.utils.progress import counting


@click.command("encode", short_help="Images to packed codes")
@click.argument("images", nargs=-1, type=click.Path(path_type=Path))
@options.embeddings_option
@click.option("-o", "--output", type=options.FILE, required=True, help="File of the codes (.npz).")
@click.option("--bits", type=click.IntRange(1), help="Cut the codes to this length.")
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
    model: Path | None,
    dataset: str,
    device: str,
    skip_unreadable: bool,
) -> None:
    """Encode IMAGES (files, or folders with all images below) to packed codes in one .npz file.

    With --embeddings and a head as --model, vectors are encoded in place of images.
    """
    options.check_either(images, embeddings, "IMAGES", "--embeddings")
    console = options.progress_console()
    file = find_model(model, dataset, RUNS)
    unreadable: tuple[str, ...] = ()
    with counting(console, "encoding", None) as progress:
        if embeddings is not None:
            codes, names = encode_embeddings(embeddings, file, bits, progress)
        else:
            codes, names, unreadable = encode_files(
                images, file, bits, device, skip_unreadable, progress
            )
    if unreadable:
        show.notes([f"{len(unreadable)} images left out:", *unreadable], console)
    save_codes(output, codes, names)
    show.line(f"{len(codes):,} codes of {codes.bits} bits, {codes.packed.nbytes:,} bytes")
    show.written(output)
