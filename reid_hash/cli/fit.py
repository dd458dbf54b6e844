"""`reid-hash fit EMBEDDINGS -o head.safetensors`."""

from pathlib import Path

import click

from reid_hash.cli import options, show
from reid_hash.data import DATASETS
from reid_hash.data.embeddings import read_embeddings
from reid_hash.evaluation.describe import write_json
from reid_hash.models.foreign.network import Network
from reid_hash.utils.progress import counting


@click.command("fit", short_help="Codes for embeddings that others made")
@click.argument("embeddings", nargs=-1, required=True)
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
@options.network_options
@options.model_option
@options.data_option
@options.device_option
@options.skip_option
@options.seed_option
@options.json_option
@options.verbosity_options
def command(
    embeddings: tuple[str, ...],
    output: Path,
    bits: int,
    no_certificate: bool,
    model: Path | Network | None,
    data: Path | None,
    device: str,
    skip_unreadable: bool,
    seed: int | None,
    json_file: Path | None,
) -> None:
    """Fit a head, which makes codes of vectors, on EMBEDDINGS: .npy, .npz or .parquet.

    Arrays or columns are `embeddings` [n, d] and, where known, `identities` and `cameras`. With
    identities codes learn to find them in other cameras; without, they keep neighbours. At the end
    stands the certificate: what codes lose on identities that were held out.

    With --network (or --model) EMBEDDINGS are images and folders, or the name of a data set whose
    training images, identities and cameras are taken; the network makes the floats first.
    """
    # here: torch takes seconds to import
    from reid_hash.app.fit import MOST, embed_for_fit, fit_embeddings, steps

    console = options.progress_console()
    certified = not no_certificate
    if model is None:
        if len(embeddings) > 1 or embeddings[0] in DATASETS:
            raise click.UsageError("name one file of embeddings; images need --network or --model")
        if data is not None:
            raise click.UsageError("--data is of a data set, which needs --network or --model")
        given = read_embeddings(Path(embeddings[0]), MOST, seed or 0)
    else:
        with counting(console, "encoding", None) as progress:
            given, notes = embed_for_fit(embeddings, model, data, device, skip_unreadable, progress)
        show.notes(notes, console)
    with counting(console, "fitting", steps(certified)) as progress:
        encoder = fit_embeddings(given, bits, seed or 0, certified, progress)
    encoder.save(output)
    show.head(encoder.head, output.name)
    show.written(output)
    if json_file is not None:
        write_json(json_file, dict(encoder.certificate))
        show.written(json_file)
