"""Where a gallery on Milvus is: `milvus://HOST[:PORT]/NAME`, or a file: `milvus:FILE.db/NAME`."""

import re
from pathlib import Path
from typing import NamedTuple

from reid_hash.errors import GalleryError

_PORT = 19530  # Milvus's own
_SERVER = re.compile(r"milvus(\+tls)?://([^/:@?#\s]+)(?::(\d{1,5}))?/([^/]+)")
_FILE = re.compile(r"milvus:(?://(?=/))?(.+\.db)/([^/]+)")
_FORM = "milvus://HOST:PORT/NAME, or milvus:FILE.db/NAME for a file"


class MilvusAddress(NamedTuple):
    """Where a gallery on Milvus is.

    Attributes:
        text: as people write it.
        uri: what pymilvus connects to: an address, or the path of a file.
        name: of the collection of sightings; `NAME_meta` is beside it.
        file: of milvus-lite, or None for a server.
    """

    text: str
    uri: str
    name: str
    file: Path | None

    def __str__(self) -> str:
        return self.text


def is_milvus(text: str) -> bool:
    """Whether a text names a gallery on Milvus, and no folder.

    Example:
        >>> is_milvus("milvus://db:19530/people"), is_milvus("people")
        (True, False)
    """
    return re.match(r"milvus(\+tls)?:", text) is not None


def parse_address(text: str) -> MilvusAddress:
    """Read the address of a gallery on Milvus.

    Args:
        text: `milvus://HOST[:PORT]/NAME` (`milvus+tls://` with TLS), or `milvus:FILE.db/NAME`.

    Raises:
        GalleryError: it is no such address.

    Example:
        >>> parse_address("milvus://db.example/people").uri
        'http://db.example:19530'
        >>> parse_address("milvus:data/people.db/people")[1:3]
        ('data/people.db', 'people')
    """
    if server := _SERVER.fullmatch(text):
        tls, host, port, name = server.groups()
        if int(port or _PORT) > 65535:
            raise GalleryError(f"{text}: a port is at most 65535")
        scheme = "https" if tls else "http"
        return MilvusAddress(text, f"{scheme}://{host}:{port or _PORT}", _checked(text, name), None)
    if text.startswith("milvus://") and not text.startswith("milvus:///"):
        raise GalleryError(f"{text} is no address of a gallery: write {_FORM}")
    if found := _FILE.fullmatch(text):
        file = Path(found[1])
        # milvus-lite's own rule
        if not re.fullmatch(r"[A-Za-z0-9._-]{1,36}", file.name):
            raise GalleryError(
                f"{text}: a file of milvus-lite has a name of up to 36 letters, digits, '.', '-', "
                "'_'"
            )
        return MilvusAddress(text, str(file), _checked(text, found[2]), file)
    raise GalleryError(f"{text} is no address of a gallery: write {_FORM}")


def _checked(text: str, name: str) -> str:
    # Milvus's rule for collections, with room for _meta
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,199}", name):
        raise GalleryError(
            f"{text}: a gallery's name on Milvus is up to 200 letters, digits and '_', and begins "
            "with no digit"
        )
    return name
