"""`reid-hash gallery assign|merge|split|name`."""

import re

import click

from reid_hash.cli import options, show
from reid_hash.gallery.network.decisions import person_assigns, person_merges, person_splits
from reid_hash.gallery.open import Place, open_gallery
from reid_hash.gallery.sighting import parse_identity

_MOST = 1_000_000
"""Numbers of sightings that one command takes."""


def parse_numbers(
    _: click.Context, parameter: click.Parameter, value: str | None
) -> tuple[int, ...]:
    """Read "3,4,10-12" as numbers."""
    numbers: list[int] = []
    for part in (value or "").split(",") if value else ():
        match = re.fullmatch(r"\s*(\d{1,19})(?:-(\d{1,19}))?\s*", part)
        if match is None or int(match[2] or match[1]) - int(match[1]) not in range(_MOST):
            raise click.BadParameter(f"{value!r} is no list of numbers, such as 3,4,10-12")
        numbers += range(int(match[1]), int(match[2] or match[1]) + 1)
        if len(numbers) > _MOST:
            raise click.BadParameter(f"more than {_MOST:,} numbers; give them in several commands")
    return tuple(numbers)


ids_option = click.option("--ids", callback=parse_numbers, help="Numbers of sightings: 3,4,10-12.")


@click.command("assign", short_help="Say of whom sightings are")
@click.argument("place", metavar="GALLERY", type=options.GALLERY)
@click.argument("identity")
@click.option("--ids", callback=parse_numbers, required=True, help="Of sightings: 3,4,10-12.")
def assign(place: Place, identity: str, ids: tuple[int, ...]) -> None:
    """Say that sightings are of IDENTITY: a name, which may be new, or a number as #12."""
    with open_gallery(place) as gallery:
        number = person_assigns(gallery, ids, parse_identity(identity))
    show.line(f"{len(ids):,} sightings are of identity #{number}")


@click.command("merge", short_help="Make two identities one")
@click.argument("place", metavar="GALLERY", type=options.GALLERY)
@click.argument("kept")
@click.argument("other")
def merge(place: Place, kept: str, other: str) -> None:
    """Give all sightings of OTHER to KEPT."""
    with open_gallery(place) as gallery:
        number = person_merges(gallery, parse_identity(kept), parse_identity(other))
        has = gallery.count(identities=[number])
    show.line(f"identity #{number} has {has:,} sightings")


@click.command("split", short_help="Take sightings of an identity out into a new one")
@click.argument("place", metavar="GALLERY", type=options.GALLERY)
@click.argument("identity")
@ids_option
@click.option("--tracks", callback=parse_numbers, help="Numbers of tracks: 3,4,10-12.")
@click.option("--to", "new", help="Name of the new identity.")
def split(
    place: Place, identity: str, ids: tuple[int, ...], tracks: tuple[int, ...], new: str | None
) -> None:
    """Take sightings or tracks of IDENTITY out into a new identity."""
    with open_gallery(place) as gallery:
        number = person_splits(gallery, parse_identity(identity), ids, tracks, new)
        has = gallery.count(identities=[number])
    show.line(f"new identity #{number} has {has:,} sightings")


@click.command("name", short_help="Name an identity")
@click.argument("place", metavar="GALLERY", type=options.GALLERY)
@click.argument("identity")
@click.argument("new")
def name(place: Place, identity: str, new: str) -> None:
    """Give IDENTITY (a name, or a number as #12) the name NEW."""
    with open_gallery(place) as gallery:
        number = gallery.people.name(parse_identity(identity), new)
    show.line(f"identity #{number} is {new}")
