"""Figures of the methods; what was evaluated once is read from where it is kept."""

from collections.abc import Sequence

from reid_hash.evaluation.encoded import Encoded, encode_dataset
from reid_hash.evaluation.retrieval import RetrievalRow, evaluate_retrieval
from reid_hash.models.torch_encoder import TorchEncoder
from reid_hash.nn.checkpoint import Checkpoint
from reid_hash.paper.methods.hash_functions import encoded_by_hashing, evaluated_hashing
from reid_hash.paper.methods.kept import Rows, keep_rows, key_of, read_rows
from reid_hash.paper.methods.networks import Workplace, trained
from reid_hash.paper.methods.sources import Network, Plan, Source, epochs_of
from reid_hash.utils.progress import counting


def method_rows(plan: Plan, place: Workplace) -> list[RetrievalRow]:
    """Rows of each method, length and distance; what is missing is trained or fitted first.

    Args:
        plan: which networks and hash functions; see `plan.plan`.
        place: the data.

    Returns:
        In the order of the plan: for each method, each length by weighted and by plain Hamming
        distance, hash functions by the latter alone. The figures of each row also have `epochs` and
        `full_epochs` of its network's training, where there is one.
    """
    lengths: dict[Source, set[int]] = {}
    for by_length in plan.values():
        for bits, source in by_length.items():
            lengths.setdefault(source, set()).add(bits)
    found = {
        source: _evaluated(source, sorted(of), place)
        if isinstance(source, Network)
        else evaluated_hashing(source, place)
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
    """Query and database encoded by a source, which is trained or fitted first if need be."""
    if isinstance(source, Network):
        return _encode(source, trained(source, place), place)
    return encoded_by_hashing(source, place)


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


def _evaluated(network: Network, lengths: Sequence[int], place: Workplace) -> Rows:
    """Rows that are kept beside the network, else evaluated and kept there."""
    checkpoint = trained(network, place)
    key = key_of(
        place,
        fingerprint=checkpoint.fingerprint,
        weights=[float(weight) for weight in checkpoint.bit_weights],
    )
    rows = read_rows(network.folder, key)
    missing = [bits for bits in lengths if (bits, True) not in rows]
    if missing:
        encoded = _encode(network, checkpoint, place)
        place.say(f"evaluating {network.name} at {', '.join(map(str, missing))} bits …")
        for row in evaluate_retrieval(encoded, place.dataset, missing, method=network.family):
            rows[row.figures["bits"], row.figures["weighted"]] = row
        keep_rows(network.folder, key, rows.values())
    return rows
