"""FAISS without its type stubs, which lack constructors and attributes that are used here."""

from typing import Any

import faiss as _faiss

faiss: Any = _faiss
