"""The order of the literature on MNIST, where its archive is at hand."""

import gzip
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest

from reid_hash.baselines import BRE, ITQ, KSH, LSH
from reid_hash.metrics.retrieval_benchmark import retrieval

SHARED = Path(os.environ.get("REID_HASH_SHARED", Path(__file__).parents[3] / "shared"))
ARCHIVE = SHARED / "data" / "mnist.tar.gz"


def read(archive, name):
    """An array of an IDX file in the archive, whether it is compressed once more or not."""
    member = next(m for m in archive.getmembers() if Path(m.name).name.startswith(name))
    data = archive.extractfile(member).read()
    data = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    shape = np.frombuffer(data, ">i4", data[3], 4)
    return np.frombuffer(data, np.uint8, offset=4 + 4 * data[3]).reshape(shape)


@pytest.fixture(scope="module")
def digits():
    """2,000 training images and 1,000 queries: raw pixels and labels."""
    if not ARCHIVE.is_file():
        pytest.skip(f"{ARCHIVE.name} is not in {ARCHIVE.parent}; set REID_HASH_SHARED")
    parts = []
    with tarfile.open(ARCHIVE) as archive:
        for part, count in (("train", 2000), ("t10k", 1000)):
            images = read(archive, f"{part}-images")[:count].reshape(count, -1)
            labels = read(archive, f"{part}-labels")[:count].astype(np.int64)
            parts += [(images / np.float32(255)).astype(np.float32), labels]
    return parts


def test_order_of_the_methods(digits):
    train, train_labels, query, query_labels = digits
    functions = {
        "lsh": LSH(24),
        "itq": ITQ(24),
        "bre": BRE(24, sweeps=1),
        "ksh": KSH(24, anchors=200, iterations=60),
    }
    found = {}
    for name, function in functions.items():
        function.fit(train, train_labels)
        codes = function.encode(query), function.encode(train)
        found[name] = retrieval(*codes, query_labels, train_labels).map
    assert list(found) == sorted(found, key=found.get)
    assert found["lsh"] < 0.32
    assert found["ksh"] > 0.8
