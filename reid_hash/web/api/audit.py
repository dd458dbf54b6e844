"""The audit log: who asked for what. One JSON object a line, in the service's folder.

Values of addresses and bodies are not in it, so that it holds no name of anybody who is forgotten.
"""

import contextlib
import os
import threading
import time
from pathlib import Path
from typing import Any

from reid_hash.utils.files import json_text

_MOST = 64 * 2**20  # bytes of a file
_FILES = 8  # older ones that are kept


class Audit:
    """Appends to `audit.jsonl`; may be used from several threads.

    Args:
        folder: where it is.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "audit.jsonl"
        self._turn = threading.Lock()
        self._file = self._open()

    def _open(self) -> int:
        file = os.open(self._path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
        self._size = os.fstat(file).st_size
        return file

    def write(self, told: dict[str, Any], safe: bool) -> None:
        """Add a line; a disk that is full does not stop the service.

        Args:
            told: what happened.
            safe: have it on the disk when this returns.
        """
        line = json_text({"time": round(time.time(), 3), **told}) + "\n"
        with self._turn, contextlib.suppress(OSError):
            self._size += os.write(self._file, line.encode())
            if safe:
                os.fsync(self._file)
            if self._size > _MOST:
                self._turn_over()

    def _turn_over(self) -> None:
        for number in range(_FILES - 1, 0, -1):
            older = self._path.with_suffix(f".jsonl.{number}")
            if older.exists():
                os.replace(older, self._path.with_suffix(f".jsonl.{number + 1}"))
        os.replace(self._path, self._path.with_suffix(".jsonl.1"))
        os.close(self._file)
        self._file = self._open()

    def close(self) -> None:
        """Close it."""
        with self._turn:
            os.close(self._file)
