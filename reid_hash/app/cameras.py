"""What a gallery tells of its cameras, and second thoughts about who is who."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from reid_hash.errors import GalleryError
from reid_hash.gallery.base import AnyGallery
from reid_hash.gallery.network.cameras import CameraNetwork
from reid_hash.gallery.network.decisions import decide, read_decisions
from reid_hash.gallery.network.kept import Knowledge, keep_cameras, read_cameras
from reid_hash.gallery.network.learn import MOST, first_appearance, learn
from reid_hash.gallery.network.proposals import Proposal, propose
from reid_hash.gallery.network.tracklets import read_tracklets
from reid_hash.gallery.sighting import Filter
from reid_hash.utils.files import json_text


def learn_cameras(gallery: AnyGallery) -> Knowledge:
    """Learn the network of a gallery's cameras from its newest tracklets, and keep it.

    Raises:
        GalleryError: there are too few tracklets.
    """
    found = learn(read_tracklets(gallery, MOST))
    knowledge = Knowledge(found.network, found.appearance)
    keep_cameras(gallery, knowledge)
    return knowledge


def give_cameras(gallery: AnyGallery, file: Path) -> Knowledge:
    """Keep the network of cameras that a person has written; see `CameraNetwork.read`.

    What was learned of distances stays.
    """
    before = read_cameras(gallery)
    network = CameraNetwork.read(file)
    network = replace(network, about=network.about or f"given: {file.name}")
    knowledge = Knowledge(network, None if before is None else before.appearance)
    keep_cameras(gallery, knowledge)
    return knowledge


def known_cameras(gallery: AnyGallery) -> Knowledge:
    """What a gallery knows of its cameras; learned and kept where nothing is.

    Raises:
        GalleryError: nothing is known, and there are too few tracklets.
    """
    found = read_cameras(gallery)
    if found is not None:
        return found
    if gallery.read_only:
        raise GalleryError(f"gallery {gallery.place} knows nothing of its cameras")
    return learn_cameras(gallery)


LIMIT = 6.0
"""Nats from which a proposal is applied without asking."""

_PROPOSALS = "proposals"


def associate(
    gallery: AnyGallery,
    since: float | None = None,
    until: float | None = None,
    limit: float = LIMIT,
    far: float = 0.02,
) -> tuple[list[Proposal], list[Proposal]]:
    """Look at all tracklets of a time together, and give those to others that are theirs.

    What people have decided stays: names, and merges, splits and assignments that
    `gallery.network.decisions` was told of.

    Args:
        gallery: open for writing.
        since: tracklets with a sighting at this time or later, seconds since 1970, UTC.
        until: before this time.
        limit: nats from which a proposal is applied. Tracklets that are nobody's become somebody
            new whatever the evidence.
        far: share of strangers that may be joined to somebody.

    Returns:
        (applied, left to a person). The latter stay in the gallery for `answer`.

    Raises:
        GalleryError: there are too few tracklets to learn from.
    """
    knowledge = known_cameras(gallery)
    where: Filter = {"since": since, "until": until}
    tracklets = read_tracklets(gallery, MOST, **where)
    looks = knowledge.appearance
    if looks is None:
        looks = first_appearance(tracklets, tracklets.distances(), tracklets.together())
    names = {one.id: one.name for one in gallery.people.identities()}
    given = read_decisions(gallery).given(tracklets, names)
    named = {number for number, name in names.items() if name is not None}
    found = propose(tracklets, knowledge.network, looks, given, named, far)
    applied = [one for one in found if one.kind == "new" or one.evidence >= limit]
    left = [one for one in found if one not in applied]
    for one in applied:
        _apply(gallery, one)
    gallery.keep_document(_PROPOSALS, json_text([one.to_dict() for one in left]))
    return applied, left


def open_proposals(gallery: AnyGallery) -> list[Proposal]:
    """What the last `associate` left to a person, by number from 1."""
    text = gallery.document(_PROPOSALS)
    try:
        return [Proposal.from_dict(one) for one in json.loads(text or "[]")]
    except (ValueError, TypeError, KeyError) as error:
        raise GalleryError(
            f"the proposals in gallery {gallery.place} are damaged; make them anew: reid-hash "
            "gallery associate"
        ) from error


def answer(gallery: AnyGallery, accept: Sequence[int], refuse: Sequence[int]) -> int:
    """Apply or drop proposals as a person says; gives how many are left.

    Args:
        gallery: open for writing.
        accept: numbers, from 1, of `open_proposals`.
        refuse: likewise: they are never made again.

    Raises:
        GalleryError: there is no such proposal.
    """
    there = open_proposals(gallery)
    for number in (*accept, *refuse):
        if not 1 <= number <= len(there):
            raise GalleryError(f"there is no proposal {number}; the last run left {len(there)}")
    for number in dict.fromkeys([*accept, *refuse]):
        one, yes = there[number - 1], number in accept
        inside, left = one.beside
        first = one.sightings[0]
        with_new = [(first, inside)] if inside is not None else []
        with_old = [(first, left)] if left is not None else []
        same, two = (with_new, with_old) if yes else (with_old, with_new)
        decide(gallery, same, two)
        if yes:
            _apply(gallery, one)
    kept = [one for i, one in enumerate(there, 1) if i not in (*accept, *refuse)]
    gallery.keep_document(_PROPOSALS, json_text([one.to_dict() for one in kept]))
    return len(kept)


def _apply(gallery: AnyGallery, proposal: Proposal) -> None:
    """Give the sightings that are still there to whom they are."""
    there = [one.id for one in gallery.sightings(ids=proposal.sightings) if one.id is not None]
    identity = proposal.identity
    if identity is not None and not gallery.count(identities=[identity]):
        identity = None  # all of it was given to others meanwhile
    if there:
        gallery.people.assign(there, gallery.new_identity() if identity is None else identity)
