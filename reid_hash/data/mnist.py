"""MNIST (LeCun et al. 1998): 70,000 handwritten digits of 28 × 28 grey pixels.

A mirrored digit is not a digit: train with `augment.flip=0` and `model.flip_average=false`, as
`configs/mnist.yaml` does.
"""

from pathlib import Path

from reid_hash.data.class_tree import Parts
from reid_hash.data.dataset import Dataset
from reid_hash.data.protocols import Benchmark, check_protocol, divide
from reid_hash.data.published import Published, find, read

MNIST = Benchmark("mnist", classes=10, train=60_000, test=10_000)
FILES = Published(
    "MNIST",
    "MNIST/raw",
    tuple(
        f"{part}-{what}-ubyte"
        for part in ("train", "t10k")
        for what in ("images-idx3", "labels-idx1")
    ),
    ("mnist",),
)


def mnist(root: Path, protocol: str | None = None, split: int = 0) -> Dataset:
    """Read MNIST.

    Uses the published files in `MNIST/raw/` if present, else class folders `mnist/train/CLASS/` and
    `mnist/test/CLASS/`, else downloads the files into the data root.

    Args:
        root: the data root, or the folder with `train/` and `test/`.
        protocol: "full" (default) or "5k"; see `protocols.divide`.
        split: number of the draw of "5k".

    Returns:
        The data set; labels are the digits, images are RGB.

    Raises:
        ConfigError: the protocol is unknown.
        DataError: the data is missing and cannot be downloaded, or is incomplete or damaged.
    """
    protocol = protocol or "full"
    check_protocol(MNIST.name, protocol)
    found = find(root, MNIST.name, FILES)
    if isinstance(found, Path):
        train, test = read(found, FILES)
        found = Parts(
            train.image_set("train", train.labels),
            test.image_set("test", test.labels),
            tuple("0123456789"),
        )
    return divide(MNIST, found, protocol, split)
