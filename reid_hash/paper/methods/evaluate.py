"""Figures of the methods; those evaluated before are read from their folders."""

from collections.abc import Iterator, Sequence
from typing import Any

from reid_hash.evaluation.encoded import Encoded, encode_dataset
from reid_hash.evaluation.retrieval import RADIUS, TOP, RetrievalRow, evaluate_retrieval
from reid_hash.metrics import RETURNED
from reid_hash.models.torch_encoder import TorchEncoder
from reid_hash.nn.checkpoint import Checkpoint
from reid_hash.paper.methods.hash_functions import fitted
from reid_hash.paper.methods.kept import Key, kept_rows, key_of
from reid_hash.paper.methods.networks import Workplace, trained
from reid_hash.paper.methods.sources import Hashing, Network, Plan, Source, epochs_of
from reid_hash.utils.progress import counting

Rows = dict[Key, RetrievalRow]


def method_rows(plan: Plan, place: Workplace) -> list[RetrievalRow]:
    """Evaluate each method, length and distance; missing networks are trained or fitted first.

    Args:
        plan: networks and hash functions, from `plan.plan`.
        place: the data.

    Returns:
        Rows in the order of the plan: for each method and length, one by weighted and one by plain
        Hamming distance; for hash functions only the latter. A row's figures also have `epochs`
        and `full_epochs` of its network's training, if it has a network.
    """
    lengths: dict[Source, set[int]] = {}
    for by_length in plan.values():
        for bits, source in by_length.items():
            lengths.setdefault(source, set()).add(bits)
    found = {
        source: _of_network(source, sorted(of), place)
        if isinstance(source, Network)
        else _of_hashing(source, place)
        for source, of in lengths.items()
    }
    return [
        _of_method(found[source][bits, weighted], name, source)
        for name, by_length in plan.items()
        for bits, source in by_length.items()
        for weighted in (True, False)
        if (bits, weighted) in found[source]
    ]


def encoded_by(source: Source, place: Workplace) -> Encoded:
    """Encode query and database with a source, which is trained or fitted first if needed."""
    if isinstance(source, Network):
        return _encode(source, trained(source, place), place)
    return fitted(source, place)[0]


def _encode(network: Network, checkpoint: Checkpoint, place: Workplace) -> Encoded:
    dataset, data = place.dataset, network.config.data
    pixels = None
    if dataset.gallery is dataset.train:
        pixels = place.train_pixels(data.height, data.width)
    total = len(dataset.query) + len(dataset.gallery)
    with counting(place.console, f"encoding by {network.name}", total) as progress:
        encoder = TorchEncoder(checkpoint, place.device)
        return encode_dataset(encoder, dataset, place.skip_unreadable, progress, pixels)


def _of_method(row: RetrievalRow, method: str, source: Source) -> RetrievalRow:
    return RetrievalRow({**row.figures, "method": method, **epochs_of(source)}, row.curves)


def _of_network(network: Network, lengths: Sequence[int], place: Workplace) -> Rows:
    checkpoint = trained(network, place)

    def measure(missing: Sequence[int]) -> Iterator[RetrievalRow]:
        encoded = _encode(network, checkpoint, place)
        place.say(f"evaluating {network.name} at {', '.join(map(str, missing))} bits …")
        return evaluate_retrieval(encoded, place.dataset, missing, method=network.family)

    weights = [float(weight) for weight in checkpoint.bit_weights]
    key = _key(place, fingerprint=checkpoint.fingerprint, weights=weights)
    return kept_rows(RetrievalRow, network.folder, key, lengths, measure)


def _of_hashing(hashing: Hashing, place: Workplace) -> Rows:
    """Evaluate a hash function; its figures also record its training data and fitting time."""
    network = hashing.network and trained(hashing.network, place)

    def measure(missing: Sequence[int]) -> Iterator[RetrievalRow]:
        encoded, facts = fitted(hashing, place)
        for row in evaluate_retrieval(
            encoded, place.dataset, missing, weightings=[False], method=hashing.method
        ):
            yield RetrievalRow({**row.figures, **facts}, row.curves)

    key = _key(
        place,
        train=len(place.dataset.train),
        network=network.fingerprint if network else "",
        function=hashing.name,
    )
    return kept_rows(RetrievalRow, hashing.folder, key, [hashing.bits], measure)


def _key(place: Workplace, **more: Any) -> dict[str, Any]:
    figures = [TOP, RADIUS, *RETURNED]
    return key_of(place, database=len(place.dataset.gallery), figures=figures, **more)
