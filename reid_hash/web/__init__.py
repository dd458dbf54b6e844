"""The gallery page: search, curves, people and video in a browser; importable without gradio."""

from reid_hash.web.page_gallery import PageGallery
from reid_hash.web.server import Server
from reid_hash.web.settings import Settings

__all__ = ["PageGallery", "Server", "Settings"]
