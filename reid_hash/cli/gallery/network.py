"""`reid-hash gallery cameras|associate`."""

import time
from pathlib import Path

import click

from reid_hash.app.cameras import LIMIT, answer, give_cameras, known_cameras, learn_cameras
from reid_hash.app.cameras import associate as find_who_is_who
from reid_hash.cli import options, show
from reid_hash.cli.gallery.identities import parse_numbers
from reid_hash.evaluation.describe import write_json
from reid_hash.gallery.network.cameras import CameraNetwork
from reid_hash.gallery.open import Place, open_gallery
from reid_hash.utils.files import write_text
from reid_hash.utils.timestamps import parse_since


@click.command("cameras", short_help="Who goes from which camera to which, and how long it takes")
@click.argument("place", metavar="GALLERY", type=options.GALLERY)
@click.option("--learn", "anew", is_flag=True, help="Learn anew from the gallery's tracklets.")
@click.option(
    "--cameras", "given", type=options.FILE, help="Keep this network, in YAML, in the gallery."
)
@click.option("-o", "--output", type=options.FILE, help="Write the network as YAML, to be edited.")
@click.option("--plot", type=options.FILE, help="Draw the network into a .png, .svg or .pdf file.")
@options.json_option
def cameras(
    place: Place,
    anew: bool,
    given: Path | None,
    output: Path | None,
    plot: Path | None,
    json_file: Path | None,
) -> None:
    """Say what GALLERY knows of its cameras; learn it, without labels, where that is nothing.

    For each camera: the share of all people who come in there, and by how much its clock is ahead.
    For each way: the share of those before the one camera whom the other sees next, and how long
    they take. The result stays in the gallery, where the demo finds it.
    """
    if anew and given is not None:
        raise click.UsageError("give either --learn or --cameras")
    with open_gallery(place) as gallery:
        if given is not None:
            network = give_cameras(gallery, given).network
        elif anew:
            network = learn_cameras(gallery).network
        else:
            network = known_cameras(gallery).network
    print_network(network)
    if output is not None:
        write_text(output, network.to_yaml())
        show.written(output)
    if plot is not None:
        from reid_hash.report.plots.cameras import cameras_plot
        from reid_hash.report.style import save_figure

        save_figure(cameras_plot(network), plot)
        show.written(plot)
    if json_file is not None:
        write_json(json_file, network.to_dict())
        show.written(json_file)


def print_network(network: CameraNetwork) -> None:
    """Print cameras, ways, and what is said of clocks."""
    if network.about:
        show.line(f"cameras: {network.about}")
    rows = [
        [name, f"{network.entries.get(name, 0):.0%}", f"{network.departures.get(name, 0):.0f}"]
        for name in network.cameras
    ]
    columns = [show.Column("camera"), show.Column("come in", right=True)]
    show.table([*columns, show.Column("left", right=True)], rows, keys=1)
    rows = []
    for (start, end), way in sorted(network.ways.items()):
        low, middle, high = (f"{way.seconds[i]:.1f}" for i in (0, 2, 4))
        what = "overlap" if way.overlap and start != end else ""
        rows.append([start, end, f"{way.share:.0%}", low, middle, high, f"{way.count:.0f}", what])
    columns = [show.Column("from"), show.Column("to"), show.Column("share", right=True)]
    columns += [show.Column(text, right=True) for text in ("5 %", "median", "95 %", "seen")]
    if rows:
        show.table([*columns, show.Column("")], rows, keys=2)
    if len(network.cameras) < 2:
        show.line("one camera: there is nowhere else to go")
    elif not rows:
        show.line("no way was seen often enough to be known")
    for start, end in sorted(network.never):
        show.line(f"never: {start} → {end}")
    for name, ahead in network.clocks.items():
        if ahead:
            which = "ahead of" if ahead > 0 else "behind"
            show.line(f"note: the clock of {name} is {abs(ahead):.0f} s {which} the others'")


@click.command("associate", short_help="Second thoughts: all tracklets of a time together")
@click.argument("place", metavar="GALLERY", type=options.GALLERY)
@click.option("--since", help="From a time in ISO 8601 on, or younger than an age such as 2h.")
@click.option("--until", help="Before a time in ISO 8601, or older than an age.")
@click.option(
    "--limit",
    default=LIMIT,
    show_default=True,
    help="Evidence from which changes are made, in nats.",
)
@click.option(
    "--far", default=0.02, show_default=True, help="Share of strangers joined to anybody."
)
@click.option("--accept", callback=parse_numbers, help="Proposals of the last run to apply: 1,3.")
@click.option("--refuse", callback=parse_numbers, help="Proposals never to make again: 2,4-6.")
@options.json_option
def associate(
    place: Place,
    since: str | None,
    until: str | None,
    limit: float,
    far: float,
    accept: tuple[int, ...],
    refuse: tuple[int, ...],
    json_file: Path | None,
) -> None:
    """Decide anew who is who in GALLERY, by looks, places and times of all tracklets together.

    Changes for which the evidence is strong are made; the others are listed, with a number, for a
    person to --accept or --refuse. What people have decided, names included, is never undone.
    """
    with open_gallery(place) as gallery:
        if accept or refuse:
            left = answer(gallery, accept, refuse)
            show.line(f"accepted {len(accept)}, refused {len(refuse)}; {left} proposals are left")
            return
        now = time.time()
        first, last = (None if text is None else parse_since(text, now) for text in (since, until))
        applied, open_ones = find_who_is_who(gallery, first, last, limit, far)
    new = sum(one.kind == "new" for one in applied)
    show.line(f"{len(applied) - new:,} changes made, {new:,} new people")
    rows = [
        [str(i), one.kind, _who(one.other), _who(one.identity), str(len(one.sightings))]
        + [f"{value:+.1f}" for value in (one.evidence, one.appearance, one.place)]
        for i, one in enumerate(open_ones, 1)
    ]
    columns = [show.Column(text) for text in ("no.", "proposal", "of", "to")]
    columns += [
        show.Column(text, right=True) for text in ("sightings", "evidence", "look", "place")
    ]
    if rows:
        show.line(f"{len(rows):,} proposals for a person, --accept or --refuse:")
        show.table(columns, rows, keys=2)
    if json_file is not None:
        write_json(
            json_file,
            {
                "applied": [one.to_dict() for one in applied],
                "open": [one.to_dict() for one in open_ones],
            },
        )
        show.written(json_file)


def _who(identity: int | None) -> str:
    return "somebody new" if identity is None else f"#{identity}"
