"""Make a run's model half as large, to come with the toolkit: its matrices in half precision.

    python tools/pack_model.py runs/cuhk03/TIME reid_hash/models/NAME.safetensors

Its codes can differ in a few bits, so measure the figures of the card with the packed file.
"""

import sys
from pathlib import Path

from reid_hash.app.runs import find_model
from reid_hash.errors import ReidHashError
from reid_hash.models.torch_encoder import TorchEncoder
from reid_hash.nn.checkpoint import save_checkpoint


def main() -> None:
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    target = Path(sys.argv[2])
    try:
        source = find_model(Path(sys.argv[1]), "cuhk03")
        save_checkpoint(target, TorchEncoder.load(source, "cpu").checkpoint, half=True)
        fingerprint = TorchEncoder.load(target, "cpu").fingerprint  # the card names it
    except ReidHashError as error:
        sys.exit(str(error))
    print(f"wrote {target}: {target.stat().st_size / 1e6:.1f} MB, from {source}, {fingerprint=}")


if __name__ == "__main__":
    main()
