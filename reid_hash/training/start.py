"""A training that starts from another one: weights of a trained network, as far as its bits go."""

from reid_hash.errors import ConfigError
from reid_hash.nn.checkpoint import Checkpoint
from reid_hash.nn.hashnet import HashNet

_OF_BITS = ("head.project.", "head.norm.", "weight.")
"""Tensors with a row for each bit, of which a shorter code takes the first."""

_FORM = ("backbone", "stripes", "output_stride", "batch_norm", "weights")
"""Keys of the section model that decide which tensors a network has, beside `bits`."""


def start_from(net: HashNet, checkpoint: Checkpoint, name: str) -> None:
    """Give a network the weights and the normalisation of a trained one, in place.

    A code of fewer bits starts from the first ones, which are the most significant. The classifiers
    of the training start anew: they are of other identities, and no checkpoint holds them.

    Args:
        net: of the same backbone; its code may be shorter.
        checkpoint: the trained network.
        name: of the trained network, for messages.

    Raises:
        ConfigError: the networks do not fit; it says where they differ.
    """
    there, here = checkpoint.net.config.model, net.config.model
    if here.bits > there.bits:
        raise ConfigError(
            f"train.start: {name} has {there.bits} bits; set model.bits to no more, not {here.bits}"
        )
    tensors = {
        key: tensor[: here.bits]
        if key.startswith(_OF_BITS) and tensor.ndim and len(tensor) == there.bits
        else tensor
        for key, tensor in checkpoint.net.state_dict().items()
    }
    try:
        net.load_state_dict(tensors)
    except RuntimeError as error:
        differing = [
            f"model.{key} is {getattr(there, key)} there and {getattr(here, key)} here"
            for key in _FORM
            if getattr(there, key) != getattr(here, key)
        ]
        reason = "; ".join(differing) or "its input is of another size"
        raise ConfigError(
            f"train.start: {name} is another network: {reason}; `reid-hash train --from` without "
            "--config takes its own configuration"
        ) from error
