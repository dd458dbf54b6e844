"""What people have decided about identities, which no program undoes."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from reid_hash.errors import GalleryError, one_line
from reid_hash.gallery.base import AnyGallery
from reid_hash.gallery.network.associate import Given
from reid_hash.gallery.network.tracklets import Tracklets
from reid_hash.utils.files import json_text

_NAME = "decisions"


@dataclass
class Decisions:
    """Pairs of sightings of which a person has said whether they are of one person.

    Attributes:
        same: ids of two sightings of one person.
        two: ids of two sightings of two people.
    """

    same: list[tuple[int, int]] = field(default_factory=list)
    two: list[tuple[int, int]] = field(default_factory=list)

    def given(self, tracklets: Tracklets, names: dict[int, str | None]) -> Given:
        """What this says of tracklets.

        People with names were named by a person: their tracklets are theirs, and two with two
        names are two.

        Args:
            tracklets: n of them.
            names: number of each identity → its name, or None.
        """
        row_of = {number: row for row, ids in enumerate(tracklets.ids) for number in ids}
        count = len(tracklets)
        two = np.zeros((count, count), bool)
        named = np.array(
            [one if names.get(one) is not None else -1 for one in tracklets.identities.tolist()]
        )
        two |= (named[:, None] != named) & (named[:, None] >= 0) & (named >= 0)
        pairs = [(row_of[a], row_of[b]) for a, b in self.two if a in row_of and b in row_of]
        for a, b in pairs:
            two[a, b] = two[b, a] = a != b
        same = [(row_of[a], row_of[b]) for a, b in self.same if a in row_of and b in row_of]
        first: dict[int, int] = {}
        for row, one in enumerate(named.tolist()):
            if one >= 0:
                same.append((first.setdefault(one, row), row))
        kept = [(a, b) for a, b in same if not two[a, b]]
        return Given(two, np.array(kept, np.int64).reshape(-1, 2))


def read_decisions(gallery: AnyGallery) -> Decisions:
    """What people have decided in a gallery.

    Raises:
        GalleryError: it is damaged.
    """
    text = gallery.document(_NAME)
    if text is None:
        return Decisions()
    try:
        value = json.loads(text)
        return Decisions(
            [(int(a), int(b)) for a, b in value["same"]],
            [(int(a), int(b)) for a, b in value["two"]],
        )
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise GalleryError(
            f"what people have decided in gallery {gallery.place} is damaged: {one_line(error)}"
        ) from error


def decide(
    gallery: AnyGallery,
    same: Sequence[tuple[int, int]] = (),
    two: Sequence[tuple[int, int]] = (),
) -> None:
    """Note what a person has decided; what they said before of the same sightings gives way."""
    found = read_decisions(gallery)
    new = {frozenset(pair) for pair in (*same, *two)}
    found.same = [pair for pair in found.same if frozenset(pair) not in new] + list(same)
    found.two = [pair for pair in found.two if frozenset(pair) not in new] + list(two)
    gallery.keep_document(_NAME, json_text({"same": found.same, "two": found.two}))


def person_assigns(gallery: AnyGallery, ids: Sequence[int], identity: int | str | None) -> int:
    """Say, as a person, of whom sightings are; as `people.assign`, and never undone by a program.

    Returns:
        The identity's number; 0 for nobody's.
    """
    number = gallery.people.assign(ids, identity)
    if number is None:
        return 0
    beside = gallery.sightings(identities=[number], exclude_ids=list(ids), limit=1)
    _together(gallery, [*ids, *(one.id for one in beside if one.id is not None)])
    return number


def person_merges(gallery: AnyGallery, kept: int | str, other: int | str) -> int:
    """Make, as a person, two identities one; as `people.merge`, and never undone by a program."""
    each = [gallery.sightings(identities=[one], limit=1) for one in (kept, other)]
    number = gallery.people.merge(kept, other)
    _together(gallery, [one.id for found in each for one in found if one.id is not None])
    return number


def person_splits(
    gallery: AnyGallery,
    identity: int | str,
    ids: Sequence[int] = (),
    tracks: Sequence[int] = (),
    name: str | None = None,
) -> int:
    """Take, as a person, sightings of an identity out; as `people.split`, and never undone."""
    number = gallery.people.split(identity, ids, tracks, name)
    each = [gallery.sightings(identities=[one], limit=1) for one in (identity, number)]
    pair = [one.id for found in each for one in found if one.id is not None]
    if len(pair) == 2 and gallery.keeps_documents:
        decide(gallery, two=[(pair[0], pair[1])])
    return number


def _together(gallery: AnyGallery, ids: Sequence[int]) -> None:
    pairs = [(ids[0], one) for one in ids[1:]]
    if pairs and gallery.keeps_documents:
        decide(gallery, same=pairs)
