"""`reid-hash export onnx -o model.onnx`."""

from pathlib import Path

import click

from reid_hash.app.runs import RUNS, find_model
from reid_hash.cli import options, show
from reid_hash.errors import CheckpointError
from reid_hash.models.onnx_encoder import is_onnx
from reid_hash.models.onnx_export import OPSET, export_onnx
from reid_hash.nn.checkpoint import load_checkpoint


@click.group("export", short_help="A model for other programs")
def command() -> None:
    """Write a model as other programs read it."""


@command.command("onnx", short_help="A model as one ONNX file")
@click.option("-o", "--output", type=options.FILE, required=True, help="The ONNX file.")
@options.model_option
@options.dataset_option
@options.verbosity_options
def onnx(output: Path, model: Path | None, dataset: str) -> None:
    """Write a model as ONNX: pictures in, real outputs and embedding out.

    The input is [n, height, width, 3] uint8 RGB, any n; normalisation and the average with the
    mirror image are in the graph. A bit of the code is 1 where its output is positive. `--model`
    of other commands takes such a file too. Before it is written, the graph is compared with
    torch. Needs pip install 'reid-hash[onnx]'.
    """
    file = find_model(model, dataset, RUNS)
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
