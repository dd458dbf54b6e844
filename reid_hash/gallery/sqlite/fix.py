"""Mending what can be mended in a gallery's folder."""

from collections.abc import Callable
from pathlib import Path

from reid_hash.errors import GalleryError, ReidHashError
from reid_hash.gallery.sqlite.cache import remove_leftovers
from reid_hash.gallery.sqlite.database import WAIT, Database
from reid_hash.gallery.sqlite.facts import read_facts
from reid_hash.gallery.sqlite.log import find_log_damage, log_of
from reid_hash.gallery.sqlite.modes import narrow
from reid_hash.gallery.sqlite.verify import damaged_indexes


def fix(folder: Path, tell: Callable[[str], object] | None = None) -> list[str]:
    """Mend a gallery as far as that is possible; what is left to find is for `verify`.

    A damaged log is cut off where SQLite stops reading it, which loses what was committed after
    that. Damaged index files are deleted: they are made anew. Files that more people may read than
    the gallery's own setting says are theirs no more. Rows are never touched.

    Args:
        folder: of the gallery.
        tell: called with each line before the next step.

    Returns:
        A line for each thing that was done.

    Raises:
        GalleryError: there is no gallery, or somebody else writes to it.
    """
    done: list[str] = []

    def say(line: str) -> None:
        done.append(line)
        if tell is not None:
            tell(line)

    database = Database(folder, read_only=False, salvage=True)
    try:
        if database.log_damage is not None:
            say(f"{database.log_damage}; going on without that")
            _cut_log(database)
            say("the log was brought into the database as far as it is whole, and emptied")
        remove_leftovers(folder)
        readers = "owner"
        try:
            with database.reading() as db:
                damaged = list(damaged_indexes(db, folder))
                readers = read_facts(db).readable_by
        except ReidHashError:
            damaged = []  # of a database that is damaged itself nothing can be said
        for path, text in damaged:
            path.unlink(missing_ok=True)
            say(f"index: {text.split(';')[0]}; deleted")
    finally:
        database.close()
    for line in narrow(folder, readers):  # now that SQLite's own files are gone
        say(line)
    return done


def _cut_log(database: Database) -> None:
    with database.alone() as db:
        busy = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    if busy or find_log_damage(log_of(database.path)) is not None:
        raise GalleryError(
            f"cannot empty the log of gallery {database.folder}: a reader kept it for "
            f"{WAIT:.0f} seconds; close those that have the gallery open, and try again"
        )
