"""`reid-hash gallery …`: an index of its commands."""

import click

from reid_hash.cli import gallery_fill, gallery_keep, gallery_people


@click.group("gallery", short_help="Sightings with their codes, to be searched")
def command() -> None:
    """Keep sightings of people with their codes in a folder, or on Milvus.

    GALLERY is a folder, milvus://HOST:PORT/NAME on a server, or milvus:FILE.db/NAME in a file.
    A folder is safe against crashes: what a command has reported is on the disk. One command
    writes at a time; `search`, `info`, `verify` and `export` go on meanwhile. An identity is given
    by its name, or by its number as #12.
    """


for subcommand in (
    *(gallery_fill.create, gallery_fill.add, gallery_keep.info, gallery_keep.verify),
    *(gallery_keep.forget, gallery_keep.prune, gallery_fill.export, gallery_fill.import_),
    *(gallery_people.assign, gallery_people.merge, gallery_people.split, gallery_people.name),
    gallery_keep.calibrate,
):
    command.add_command(subcommand)
