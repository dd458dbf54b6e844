"""Train a hash network on the built-in walkers, then search packed codes with FAISS.

The library without its command line, in about a minute on two cores:

    python demo/train_and_search.py
"""

from pathlib import Path

import faiss
import numpy as np
from rich.console import Console

from reid_hash.config.reading import load_config
from reid_hash.data import load_dataset
from reid_hash.data.images import decode
from reid_hash.metrics import rank_codes, summarise
from reid_hash.models.torch_encoder import TorchEncoder
from reid_hash.training.loop import train


def main() -> None:
    config = load_config("walkers", ["train.epochs=4"])
    dataset = load_dataset(config.data, root=None)
    height, width = config.data.height, config.data.width

    # images → network
    pixels = decode(dataset.train, height, width)
    checkpoint = train(config, pixels, Path("runs/demo/train_and_search"), console=Console())

    # images → codes; any prefix of a code is a code
    encoder = TorchEncoder(checkpoint)
    people = decode(dataset.query, height, width)
    codes = encoder.encode(people.images)
    for bits in (16, 64, 128):
        groups = rank_codes(
            codes.prefix(bits),
            codes.prefix(bits),
            *(people.labels, people.labels, people.cameras, people.cameras),
            dataset.camera_rule,
            weighted=True,
        )
        figures = summarise(groups)
        print(f"{bits:4} bits: rank-1 {figures['rank1']:.3f}, mAP {figures['map']:.3f}")

    # packed codes are what FAISS's binary indexes hold
    seen_by_2 = people.cameras == 2
    gallery, identities = codes[seen_by_2], people.labels[seen_by_2]
    index = faiss.IndexBinaryFlat(codes.bits)
    index.add(gallery.packed)
    query = np.flatnonzero(people.cameras == 1)[0]
    distances, found = index.search(codes[[query]].packed, 5)
    print(f"query: identity {people.labels[query]}, camera 1")
    for distance, row in zip(distances[0], found[0], strict=True):
        print(f"  identity {identities[row]}, camera 2, {distance} bits differ")


if __name__ == "__main__":
    main()
