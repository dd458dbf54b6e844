"""Galleries in embedded engines that several tests share."""

import pytest

from reid_hash.gallery.clickhouse.address import parse_address
from tests.gallery.galleries import some_codes, some_sightings


def require_clickhouse():
    """Skip, with the reason, where the extra `clickhouse` is not installed."""
    for module in ("clickhouse_connect", "chdb"):
        pytest.importorskip(
            module,
            reason="needs the extra: pip install 'reid-hash[clickhouse]'",
            exc_type=ImportError,
        )


def address_in(folder, name="g"):
    return parse_address(f"chdb:{folder}/{name}")


def make(folder, n=60, **more):
    """A new gallery with n sightings, open for writing."""
    from reid_hash.gallery.clickhouse.gallery import ClickHouseGallery

    codes = some_codes(n)
    gallery = ClickHouseGallery.create(address_in(folder), codes[:0])
    gallery.add(codes, some_sightings(n, **more))
    return gallery
