"""Galleries in files of milvus-lite that several tests share."""

import pytest

from reid_hash.gallery.milvus.address import parse_address
from tests.gallery.galleries import some_codes, some_sightings


def require_milvus():
    """Skip, with the reason, where the extra `milvus` is not installed."""
    for module in ("pymilvus", "milvus_lite.server_manager"):
        pytest.importorskip(
            module,
            reason="needs the extra milvus: pip install 'reid-hash[milvus]'",
            exc_type=ImportError,
        )


def address_in(folder, name="people"):
    return parse_address(f"milvus:{folder}/m.db/{name}")


def make(folder, n=60, **more):
    """A new gallery with n sightings, open for writing."""
    from reid_hash.gallery.milvus.milvus_gallery import MilvusGallery

    codes = some_codes(n)
    gallery = MilvusGallery.create(address_in(folder), codes.bits, codes.weights, codes.model)
    gallery.add(codes, some_sightings(n, **more))
    return gallery
