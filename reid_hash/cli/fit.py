"""`reid-hash fit EMBEDDINGS -o head.safetensors`."""

from pathlib import Path

import click

from reid_hash.cli import options, show
from reid_hash.evaluation.describe import write_json
from reid_hash.utils.progress import counting


@click.command("fit", short_help="Codes for embeddings that others made")
@click.argument("embeddings", type=options.FILE)
@click.option(
    "-o",
    "--output",
    type=options.FILE,
    default=Path("head.safetensors"),
    show_default=True,
    help="File of the head.",
)
@click.option(
    "--bits", type=click.IntRange(1), default=256, show_default=True, help="Length of the codes."
)
@click.option("--no-certificate", is_flag=True, help="Do not measure what the codes lose.")
@options.seed_option
@options.json_option
@options.verbosity_options
def command(
    embeddings: Path,
    output: Path,
    bits: int,
    no_certificate: bool,
    seed: int | None,
    json_file: Path | None,
) -> None:
    """Fit a head, which makes codes of vectors, on EMBEDDINGS: .npy, .npz or .parquet.

    Arrays or columns are `embeddings` [n, d] and, where known, `identities` and `cameras`. With
    identities codes learn to find them in other cameras; without, they keep neighbours. At the end
    stands the certificate: what codes lose on identities that were held out.
    """
    from reid_hash.app.fit import fit_file, steps  # torch takes seconds to import

    console = options.progress_console()
    certified = not no_certificate
    with counting(console, "fitting", steps(certified)) as progress:
        encoder = fit_file(embeddings, bits, seed or 0, certified, progress)
    encoder.save(output)
    show.head(encoder.head, output.name)
    show.written(output)
    if json_file is not None:
        write_json(json_file, dict(encoder.certificate))
        show.written(json_file)
