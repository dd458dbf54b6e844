"""Erasing sightings so that nothing of them is left in the gallery's folder.

Deleting a row leaves its bytes in the file. Here the rows go in a transaction, index files are
deleted, the database is written anew without the gaps (VACUUM; `secure_delete` has zeroed what was
freed), and the log is emptied into it and cut off. A note in the database says that this is under
way: what a killed process or a full disk interrupts, the next writer finishes. What a file system
or a disk keeps of blocks that no file has any more is out of reach: that is for disk encryption.
"""

import sqlite3

from reid_hash.errors import GalleryError
from reid_hash.gallery.sighting import Filter
from reid_hash.gallery.sqlite import rows
from reid_hash.gallery.sqlite.database import WAIT, Database, is_full
from reid_hash.gallery.sqlite.index import GalleryIndex
from reid_hash.gallery.sqlite.query import Ids
from reid_hash.gallery.sqlite.tables import get_count, put_meta


def erase(database: Database, index: GalleryIndex, chosen: Filter) -> int:
    """Erase the chosen sightings, and identities of which none is left; gives how many.

    Raises:
        GalleryError: nothing was erased, or the rows are gone but their bytes are not yet; the
            message says which.
    """
    with database.reading() as db:
        index.warm(db)
    try:
        gone, erasures = _remove(database, chosen)
    except GalleryError as error:
        if not is_full(error):
            raise
        index.drop()  # a cache, which frees room: what is erased needs some
        gone, erasures = _remove(database, chosen)
    if len(gone):
        index.remove(gone, erasures)
    finish_erasing(database, index)  # also what an erasure before left to do
    if len(gone):
        with database.reading() as db:  # now, for those who open the gallery meanwhile
            index.write(db)
    return len(gone)


def _remove(database: Database, chosen: Filter) -> tuple[Ids, int]:
    with database.writing() as db:
        gone = rows.remove(db, chosen)
        erasures = get_count(db, "erasures") + 1
        if len(gone):
            put_meta(db, "erasures", erasures)
            put_meta(db, "erasing", 1)
    return gone, erasures


def finish_erasing(database: Database, index: GalleryIndex) -> None:
    """Do what is left to do after rows were removed; nothing where that is nothing."""
    with database.alone() as db:
        if not get_count(db, "erasing"):
            return
        try:
            index.delete()
            try:
                db.execute("VACUUM")
            except sqlite3.Error as error:
                if not is_full(error):
                    raise
                # the index in memory still holds its file, and the log what was deleted
                index.drop()
                db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                db.execute("VACUUM")
            if db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
                raise GalleryError(f"a reader kept the log for {WAIT:.0f} seconds")
        except (sqlite3.Error, GalleryError) as error:
            raise GalleryError(
                f"the sightings are gone from gallery {database.folder}, but their bytes not yet "
                f"from its files ({error}); whoever opens it next to write goes on with that"
            ) from error
        put_meta(db, "erasing", 0)
