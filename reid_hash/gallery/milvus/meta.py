"""The values of a gallery on Milvus as a whole: a second collection of keys and texts."""

import secrets
import time
import zlib

from reid_hash.errors import GalleryError
from reid_hash.gallery.milvus.link import Columns, Link, quote
from reid_hash.gallery.milvus.numbers import WRITERS, Numbers

_COLUMNS: Columns = {
    "key": ("text", 200),
    "value": ("text", 65_535),
    "unused": ("bits", 8),  # no collection without a vector
}
_PART = 15_000  # characters of a text that one row holds: up to 60,000 bytes
_UNUSED = {"unused": b"\0"}


class Meta:
    """Keys and texts of any length.

    Args:
        link: open.
        name: of the collection.
    """

    def __init__(self, link: Link, name: str) -> None:
        self._link, self._name = link, name

    def create(self) -> None:
        """Make the collection."""
        self._link.create(self._name, _COLUMNS)

    def set(self, key: str, value: str) -> None:
        """Set a text, whole or not at all: its parts go in one request."""
        parts = [value[i : i + _PART] for i in range(0, len(value), _PART)] or [""]
        crc = zlib.crc32(value.encode())
        rows = [
            {"key": f"{key}/{i:06}", "value": f"{len(parts)} {crc} {part}", **_UNUSED}
            for i, part in enumerate(parts)
        ]
        self._link.upsert(self._name, rows)

    def get(self, key: str) -> str | None:
        """A text, or None; GalleryError where it is damaged."""
        found = [value for _, value in self._under(key)]
        if not found:
            return None
        count, crc, _ = found[0].split(" ", 2)
        # parts of a longer text before are left behind
        parts = [value.split(" ", 2) for value in found[: int(count)]]
        text = "".join(part[2] for part in parts)
        if len(parts) != int(count) or zlib.crc32(text.encode()) != int(crc):
            raise GalleryError(f"the gallery's {key} is damaged: its checksum differs")
        return text

    def remove(self, key: str) -> None:
        """Take a text out."""
        self._link.delete(self._name, f'key like "{key}/%"')

    def _under(self, key: str) -> list[tuple[str, str]]:
        where = f'key like "{key}/%"'
        rows = self._link.rows(self._name, where, ["key", "value"], after="")
        return [(row["key"], row["value"]) for row in rows]

    def names(self) -> dict[int, str | None]:
        """Number of each identity → its name, or None."""
        return {int(key.split("/")[1]): name or None for key, name in self._under("identity")}

    def named(self, name: str) -> int | None:
        """The number of the identity of a name, or None; of several the oldest."""
        where = f'key like "identity/%" and value == {quote(name)}'
        for row in self._link.rows(self._name, where, ["key"], 1, after=""):
            return int(row["key"].split("/")[1])
        return None

    def has_identity(self, number: int) -> bool:
        """Whether there is an identity of this number."""
        return self._link.count(self._name, f"key == {quote(_identity(number))}") > 0

    def put_identities(self, named: dict[int, str | None]) -> None:
        """Make identities, or name them anew."""
        rows = [
            {"key": _identity(number), "value": name or "", **_UNUSED}
            for number, name in named.items()
        ]
        if rows:
            self._link.upsert(self._name, rows)

    def drop_identities(self, numbers: list[int]) -> None:
        """Take identities out."""
        if numbers:
            keys = ", ".join(quote(_identity(number)) for number in numbers)
            self._link.delete(self._name, f"key in [{keys}]")

    def claim_numbers(self) -> tuple[Numbers, str]:
        """Numbers of a writer that nobody else is; and the key to `release` at the end."""
        while True:
            writer, token = (
                secrets.randbelow(2**WRITERS),
                f"{time.time():.0f} {secrets.token_hex()}",
            )
            key = f"writer/{writer}"
            if not self._link.count(self._name, f"key == {quote(key)}"):
                self._link.upsert(self._name, [{"key": key, "value": token, **_UNUSED}])
                (row,) = self._link.rows(
                    self._name, f"key == {quote(key)}", ["key", "value"], 1, ""
                )
                if row["value"] == token:
                    return Numbers(writer), key

    def release(self, key: str) -> None:
        """Let go of what `claim_numbers` took."""
        self._link.delete(self._name, f"key in [{quote(key)}]")


def _identity(number: int) -> str:
    return f"identity/{number:019}"  # texts are sorted as texts
