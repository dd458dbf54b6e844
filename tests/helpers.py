"""Small inputs that several tests share."""

import os
import subprocess

import numpy as np
import pytest

from reid_hash.cli import main
from reid_hash.config.reading import load_config
from reid_hash.config.schema import Config
from reid_hash.data.images import Pixels


def coloured_pixels(identities=8, images=6, height=32, width=16, seed=0, noise=25.0) -> Pixels:
    """Images of identities that differ in a random pattern, from two cameras."""
    random = np.random.default_rng(seed)
    looks = random.integers(0, 256, (identities, height // 8, width // 8, 3))
    labels = np.repeat(np.arange(identities), images)
    pattern = looks.repeat(8, axis=1).repeat(8, axis=2)[labels]
    pictures = pattern + random.normal(0, noise, pattern.shape)
    return Pixels(
        np.clip(pictures, 0, 255).astype(np.uint8),
        labels,
        np.tile([1, 2], len(labels) // 2),
        [f"{i:04d}" for i in range(len(labels))],
    )


def tiny_config(*settings: str) -> Config:
    """A configuration that trains in about a second."""
    return load_config(
        settings=[
            "data.height=32",
            "data.width=16",
            "model.backbone=paper",
            "model.bits=16",
            "train.epochs=4",
            "train.identities_per_batch=4",
            "train.images_per_identity=4",
            # alike on every processor; `make test-matrix` sets the variable
            f"train.precision={os.environ.get('REID_HASH_PRECISION', 'fp32')}",
            *settings,
        ]
    )


def run_cli(capsys, *arguments):
    """Run a command in this process; gives (exit code, standard output, standard error)."""
    with pytest.raises(SystemExit) as stopped:
        main([str(a) for a in arguments])
    out, err = capsys.readouterr()
    return stopped.value.code, out, err


def on_terminal(command, columns, errors=False, **options):
    """Run a command on a pseudo terminal of some columns; gives (exit code, what it wrote there).

    Standard error goes there too with `errors`, else nowhere. Options are those of Popen.
    """
    pytest.importorskip("termios", reason="Windows has no pseudo terminals")
    import fcntl
    import pty
    import struct
    import termios

    first, second = pty.openpty()
    fcntl.ioctl(second, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    other = second if errors else subprocess.DEVNULL
    process = subprocess.Popen(command, stdout=second, stderr=other, **options)
    os.close(second)
    data = b""
    while True:
        try:
            more = os.read(first, 65536)
        except OSError:  # the other end is closed
            break
        if not more:
            break
        data += more
    os.close(first)
    return process.wait(), data
