"""`reid-hash export onnx -o model.onnx`."""

from pathlib import Path

import click

from reid_hash.app.runs import RUNS, find_model
from reid_hash.cli import options, show
from reid_hash.errors import CheckpointError
from reid_hash.models.foreign.encoder import ForeignEncoder
from reid_hash.models.foreign.join import export_joined
from reid_hash.models.foreign.network import Network
from reid_hash.models.load import load_model
from reid_hash.models.onnx_encoder import is_onnx
from reid_hash.models.onnx_export import OPSET, export_onnx
from reid_hash.nn.checkpoint import load_checkpoint


@click.group("export", short_help="A model for other programs")
def command() -> None:
    """Write a model as other programs read it."""


@command.command("onnx", short_help="A model as one ONNX file")
@click.option("-o", "--output", type=options.FILE, required=True, help="The ONNX file.")
@options.network_options
@options.model_option
@options.dataset_option
@options.verbosity_options
def onnx(output: Path, model: Path | Network | None, dataset: str) -> None:
    """Write a model as ONNX: pictures in, real outputs and embedding out.

    The input is [n, height, width, 3] uint8 RGB, any n; normalisation and the average with the
    mirror image are in the graph. A bit of the code is 1 where its output is positive. `--model`
    of other commands takes such a file too. Before it is written, the graph is compared with
    torch. Needs pip install 'reid-hash[onnx]'.

    --network with --head joins both into one such file.
    """
    file = find_model(model, dataset, RUNS)
    if isinstance(file, Network):
        pair = load_model(file, "cpu")
        assert isinstance(pair, ForeignEncoder)
        joined = export_joined(pair, output)
        height, width = pair.size
        show.line(
            f"{height}×{width} pictures → {pair.bits} bits, {joined.size / 1e6:.1f} MB; "
            f"{joined.differing} of {joined.bits:,} bits differ from the pair's"
        )
        show.written(output)
        return
    if is_onnx(file):
        raise CheckpointError(f"{file} is an ONNX file already; export a checkpoint")
    checkpoint = load_checkpoint(file)
    exported = export_onnx(checkpoint, output)
    data = checkpoint.net.config.data
    show.line(
        f"{data.height}×{data.width} pictures → {len(checkpoint.bit_weights)} bits, opset {OPSET}, "
        f"{exported.size / 1e6:.1f} MB; outputs within {exported.difference:.1g} of torch's"
    )
    show.written(output)
