"""Hash functions fitted to image features: the baselines of the networks."""

import time
from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from reid_hash.baselines import HASH_FUNCTIONS, SAMPLES, FeatureHash
from reid_hash.baselines.blocks import block_features
from reid_hash.baselines.features import (
    hog_features,
    is_grey,
    network_features,
    pixel_features,
)
from reid_hash.data.images import decode
from reid_hash.evaluation.encoded import Encoded
from reid_hash.models.torch_encoder import pick_device
from reid_hash.paper.methods.networks import Features, Workplace, trained
from reid_hash.paper.methods.sources import FEATURES, Hashing, OnFeatures
from reid_hash.utils.progress import counting

Extractor = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
_EXTRACTORS: dict[str, Extractor] = {"hog": hog_features, "blocks": block_features}


def fitted(hashing: Hashing, place: Workplace) -> tuple[Encoded, dict[str, object]]:
    """Encode with a hash function; also return facts about its fit."""
    features = features_of(hashing, place)
    function: FeatureHash = HASH_FUNCTIONS[hashing.method](hashing.bits)
    samples = len(features.train)
    if function.needs_labels:
        samples = min(samples, SAMPLES)
    place.say(f"fitting {hashing.name} to {samples:,} training samples …")
    began = time.monotonic()
    function.fit(features.train, features.train_pixels.labels, hashing.seed)
    seconds = time.monotonic() - began
    began = time.monotonic()
    query = function.encode(features.query)
    encoding = time.monotonic() - began
    gallery = query
    if features.gallery is not features.query:
        gallery = function.encode(features.gallery)
    encoded = Encoded(
        query,
        gallery,
        features.query_pixels,
        features.gallery_pixels,
        features.query,
        features.gallery,
    )
    facts = {
        "features": hashing.features,
        "train_samples": samples,
        "fit_seconds": round(seconds, 1),
        "encode_ms": 1000 * (features.query_seconds + encoding) / len(query),
    }
    return encoded, facts


def features_of(hashing: OnFeatures, place: Workplace) -> Features:
    """Compute the features of a workplace's images, once for all hash functions on them."""
    network = hashing.network
    kind = (hashing.features, network.folder.name if network else "")
    if kind not in place.features:
        # free the memory of other kinds of features
        place.features.clear()
        place.features[kind] = _extract(hashing, place)
    return place.features[kind]


def _extract(hashing: OnFeatures, place: Workplace) -> Features:
    dataset, data = place.dataset, hashing.data
    train = place.train_pixels(data.height, data.width)
    query = decode(dataset.query, data.height, data.width, place.skip_unreadable)
    if dataset.gallery is dataset.train:
        gallery = train
    elif dataset.gallery is dataset.query:
        gallery = query
    else:
        gallery = decode(dataset.gallery, data.height, data.width, place.skip_unreadable)
    network = hashing.network and trained(hashing.network, place)
    sets = {id(pixels): pixels for pixels in (train, query, gallery)}
    total = sum(len(pixels) for pixels in sets.values())
    place.say(f"computing {FEATURES[hashing.features]} …")
    # only a network takes long enough for a progress bar
    with counting(place.console if network else None, "features", total) as progress:
        if network:
            net, device = network.net, pick_device(place.device)
            extract: Extractor = partial(network_features, net, device=device, progress=progress)
        elif hashing.features in _EXTRACTORS:
            extract = _EXTRACTORS[hashing.features]
        else:
            extract = partial(pixel_features, grey=is_grey(train.images))
        found, seconds = {}, {}
        for key, pixels in sets.items():
            began = time.monotonic()
            found[key] = extract(pixels.images)
            seconds[key] = time.monotonic() - began
    return Features(
        found[id(train)],
        found[id(query)],
        found[id(gallery)],
        train,
        query,
        gallery,
        seconds[id(query)],
    )
