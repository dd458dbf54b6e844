"""Make a run's model small enough to come with the toolkit: its matrices in half precision.

    python tools/pack_model.py runs/train/cuhk03 reid_hash/models/NAME.safetensors

Batch norm keeps single precision: its variances can be too large or too small for half. A network
is always loaded in single precision, so it is as fast as before; its codes can differ in a few
bits, so measure the figures of the card with the packed file.
"""

import sys
from pathlib import Path

import torch

from reid_hash.encoder import Encoder
from reid_hash.experiments.runs import find_model
from reid_hash.nn.checkpoint import FORMAT, metadata_of, write_tensors


def main() -> None:
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    source, target = find_model(Path(sys.argv[1]), "persons"), Path(sys.argv[2])
    checkpoint = Encoder.load(source, "cpu").checkpoint
    tensors = {
        name: tensor.half() if tensor.is_floating_point() and tensor.ndim > 1 else tensor
        for name, tensor in checkpoint.net.state_dict().items()
    }
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            sys.exit(f"{name} does not fit into half precision")
    write_tensors(target, tensors, {"format": FORMAT} | metadata_of(checkpoint))
    print(f"wrote {target}: {target.stat().st_size / 1e6:.1f} MB, from {source}")


if __name__ == "__main__":
    main()
