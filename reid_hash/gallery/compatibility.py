"""Whether codes and queries fit a gallery, wherever it is kept."""

import numpy as np
from numpy.typing import NDArray

from reid_hash.codes import Codes
from reid_hash.errors import CodeError


def check(place: str, like: Codes, bits: int, model: str) -> None:
    """Raise CodeError unless codes of that length and model belong to a gallery.

    Args:
        place: where the gallery is.
        like: codes of its length and model.
        bits: length of the codes.
        model: theirs; "" is unknown.
    """
    if bits != like.bits:
        raise CodeError(
            f"codes of {bits} bits do not fit gallery {place}, which holds {like.bits} bits"
        )
    if model and model != like.model:
        raise CodeError(
            f"codes of model {model} do not fit gallery {place}, which holds codes of "
            f"{'model ' + like.model if like.model else 'an unknown model'}; encode them with "
            "the gallery's model"
        )


def check_added(place: str, like: Codes, codes: Codes, sightings: int) -> None:
    """Raise CodeError unless codes can be added as those of so many sightings; see `check`."""
    check(place, like, codes.bits, codes.model)
    if codes.model != like.model:
        raise CodeError(
            f"the codes do not say which model made them; gallery {place} takes those of model "
            f"{like.model}"
        )
    if len(codes) != sightings:
        raise CodeError(f"{len(codes)} codes for {sightings} sightings")


def cut(
    place: str, like: Codes, query: Codes | NDArray[np.floating], bits: int | None
) -> Codes | NDArray[np.floating]:
    """A query at the length that is compared.

    Args:
        place: where the gallery is.
        like: codes of its length and model.
        query: codes, or real values [queries, bits], of the gallery's length or of `bits`.
        bits: compare the first so many only; all when left out.

    Raises:
        CodeError: the query is of another length or model.
    """
    length = like.bits if bits is None else like.prefix(bits).bits
    if not isinstance(query, Codes):
        values = np.asarray(query)
        if values.ndim != 2 or values.shape[1] not in (like.bits, length):
            raise CodeError(
                f"real values of shape {list(values.shape)} do not fit gallery {place}, which "
                f"holds {like.bits} bits"
            )
        return values[:, :length]
    if query.bits < like.bits and query.bits != length:
        raise CodeError(
            f"codes of {query.bits} bits do not fit gallery {place}, which holds {like.bits} bits; "
            f"compare their length alone with --bits {query.bits}"
        )
    # who asks for a length may come with codes that are cut to it already
    check(place, like, like.bits if query.bits == length else query.bits, query.model)
    return query.prefix(length)
