"""Make a run's model half as large, to come with the toolkit: its matrices in half precision.

    python tools/pack_model.py runs/cuhk03/TIME reid_hash/models/NAME.safetensors

Its codes can differ in a few bits, so measure the figures of the card with the packed file. Of the
files that the training began with (`model.pretrained`, `loss.teacher`) the names alone are kept.
"""

import sys
from pathlib import Path

from reid_hash.app.runs import find_model
from reid_hash.config.schema import Config
from reid_hash.errors import ReidHashError
from reid_hash.models.torch_encoder import TorchEncoder
from reid_hash.nn.checkpoint import save_checkpoint


def without_folders(config: Config) -> Config:
    """The configuration, with files by their names: where they lay says something of a machine."""

    def name(file: str | None) -> str | None:
        return None if file is None else Path(file).name

    model = config.model.model_copy(update={"pretrained": name(config.model.pretrained)})
    loss = config.loss.model_copy(update={"teacher": name(config.loss.teacher)})
    return config.model_copy(update={"model": model, "loss": loss})


def main() -> None:
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    target = Path(sys.argv[2])
    try:
        source = find_model(Path(sys.argv[1]), "cuhk03")
        checkpoint = TorchEncoder.load(source, "cpu").checkpoint
        checkpoint.net.config = without_folders(checkpoint.net.config)
        save_checkpoint(target, checkpoint, half=True)
        fingerprint = TorchEncoder.load(target, "cpu").fingerprint  # the card names it
    except ReidHashError as error:
        sys.exit(str(error))
    print(f"wrote {target}: {target.stat().st_size / 1e6:.1f} MB, from {source}, {fingerprint=}")


if __name__ == "__main__":
    main()
