"""`reid-hash gallery …`: an index of its commands."""

import click

from reid_hash.cli.gallery import fill, identities, maintain, network


@click.group("gallery", short_help="Sightings with their codes, to be searched")
def command() -> None:
    """Keep sightings of people with their codes in a folder, or in ClickHouse.

    GALLERY is a folder, clickhouse://USER@HOST:PORT/DATABASE on a server, or chdb:FOLDER for an
    engine of its own, which one process has open at a time.
    A folder is safe against crashes: what a command has reported is on the disk. One command
    writes at a time; `search`, `info`, `verify` and `export` go on meanwhile. An identity is given
    by its name, or by its number as #12.
    """


for subcommand in (
    *(fill.create, fill.add, maintain.info, maintain.verify),
    *(maintain.forget, maintain.prune, fill.export, fill.import_, fill.copy),
    *(identities.assign, identities.merge, identities.split, identities.name),
    *(maintain.calibrate, network.cameras, network.associate),
):
    command.add_command(subcommand)
