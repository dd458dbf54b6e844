"""A gallery of walkers, and the page that serves it."""

import shutil

import pytest

from reid_hash.app.walkers import make_walkers_gallery
from reid_hash.web.page_gallery import Desk
from reid_hash.web.settings import Settings


@pytest.fixture(scope="session")
def walkers(tmp_path_factory):
    """12 walkers before two cameras; walker 08 has no identity."""
    folder = tmp_path_factory.mktemp("walkers") / "gallery"
    make_walkers_gallery(folder, people=12, images=2)
    return folder


@pytest.fixture
def folder(walkers, tmp_path):
    """A copy of the gallery that may be changed."""
    return shutil.copytree(walkers, tmp_path / "gallery")


@pytest.fixture
def desk(folder):
    """The open gallery of a page."""
    desk = Desk(Settings(folder, detector="motion"))
    yield desk
    desk.close()


@pytest.fixture(scope="session")
def crop(walkers, tmp_path_factory):
    """A picture of walker 03 that is not in the gallery, as a file."""
    import cv2

    from reid_hash.data.walkers import walkers as dataset

    shown = dataset(0, train_identities=1, test_identities=3, images_per_camera=3).gallery
    file = tmp_path_factory.mktemp("crop") / "walker.png"
    cv2.imwrite(str(file), shown.read(14)[:, :, ::-1])
    return file
