"""Serving page and service: where they listen, and what they never do."""

import contextlib
import importlib
import inspect
import os
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from reid_hash.errors import ConfigError, ReidHashError
from reid_hash.gallery.open import local_folder
from reid_hash.web.page_gallery import PageGallery
from reid_hash.web.served_gallery import ServedGallery
from reid_hash.web.settings import MOST_PIXELS, MOST_VIDEO_BYTES, Settings

if TYPE_CHECKING:  # they need what comes with the extra
    from reid_hash.web.api.guard import Guard
    from reid_hash.web.api.service import Service
    from reid_hash.web.request_filter import Gate

_SWEPT = 20.0  # seconds between two looks for files that nobody used
_SESSIONS = 200  # visits whose state Gradio keeps: .2 MiB each
_CONNECTIONS = 500  # at a time
# Seconds that a connection waits for its next request: longer than the 5 that clients keep one, or
# the server would close some just as a request is sent, which then may or may not have been done.
_KEPT_ALIVE = 60


class Server:
    """Page and service of a gallery, served.

    A context manager; `wait` blocks until it ends.

    Args:
        settings: what and where.

    Attributes:
        url: where the page is.
        gate: what every request for the page passes; None without a page.
        service: what requests for the service share.

    Raises:
        ReidHashError: the gallery, the port or Gradio is not to be had.
        ConfigError: more than this machine reaches it, and there is no key.
    """

    def __init__(self, settings: Settings) -> None:
        with contextlib.ExitStack() as stack:
            # pictures that visitors send lie here, and go with the server
            sent = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="reid-hash-")))
            self._gallery = _open(settings)
            stack.callback(self._gallery.close)
            self.service = _service(self._gallery, settings, sent)
            stack.callback(self.service.close)
            self.gate: Gate | None = None
            if isinstance(self._gallery, PageGallery):
                (sent / "page").mkdir(mode=0o700)
                stack.enter_context(_files_of_gradio(str(sent / "page")))
                self.gate = _application(self._gallery, sent / "page")
            door = _Door(_api(self.service), self.gate)
            self._server, listening, self.url = _listen(door, settings)
            stack.callback(listening.close)
            self._kept = stack.pop_all()
        self._thread = threading.Thread(
            target=self._server.run, args=([listening],), name="page", daemon=True
        )
        self._thread.start()
        # neither the first picture nor the curves should wait for torch and Matplotlib
        self._warming = threading.Thread(target=self._warm, name="warm", daemon=True)
        self._warming.start()
        self._ended = threading.Event()
        threading.Thread(target=self._sweep, name="sweep", daemon=True).start()

    def __repr__(self) -> str:
        return f"Server({self.url}, {self._gallery!r})"

    def _sweep(self) -> None:
        while not self._ended.wait(_SWEPT):
            self.service.inbox.sweep()
            if self.gate is not None:
                self.gate.inbox.sweep()

    def _warm(self) -> None:
        with contextlib.suppress(Exception):  # whoever sends a picture is told why
            self._gallery.encode(np.zeros((8, 4, 3), np.uint8))
        if self.gate is None:
            return
        with contextlib.suppress(Exception):
            importlib.import_module("reid_hash.metrics")
            importlib.import_module("reid_hash.report.plots.cmc_curves")

    def wait(self, stopped: Callable[[], bool]) -> None:
        """Block until the server ends, or what is asked several times a second is true."""
        while self._thread.is_alive() and not stopped():
            self._thread.join(0.3)

    def close(self) -> None:
        """End, and delete what visitors sent."""
        self._ended.set()
        self._server.should_exit = True
        self._warming.join()  # torch ends the process badly where it is interrupted
        self._thread.join(5)
        self._kept.close()

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Door:
    """Sends requests below /api to the service, all others to the page."""

    def __init__(self, api: Any, page: Any) -> None:
        self._api, self._page = api, page

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        path = scope.get("path", "")
        if self._page is None or path == "/api" or path.startswith("/api/"):
            await self._api(scope, receive, send)
        else:  # Gradio also wants to know when the server starts and ends
            await self._page(scope, receive, send)


def _open(settings: Settings) -> ServedGallery:
    if settings.page:
        return PageGallery(settings)
    return ServedGallery(
        *(settings.gallery, settings.model, settings.dataset, settings.device, settings.runs)
    )


def _service(served: ServedGallery, settings: Settings, sent: Path) -> "Service":
    try:
        from reid_hash.web.api.service import Service
    except ImportError as error:
        raise ReidHashError(
            f"the service needs another package ({error}); install it with "
            "`pip install 'reid-hash[service]'`"
        ) from error
    (sent / "service").mkdir(mode=0o700)
    try:
        service = Service(served, settings, sent / "service")
    except ReidHashError:
        if not settings.page or settings.state is not None:
            raise
        # a page of a gallery where nothing may be written: its service keeps nothing
        service = Service(served, replace(settings, state=sent / "state"), sent / "service")
    if not settings.page and not settings.is_local and not len(service.keys):
        service.close()
        raise ConfigError(
            "whoever reaches the service could see and change the gallery: make a key with "
            "`reid-hash serve key add NAME --role read`, or leave out --host and --url"
        )
    return service


def _api(service: "Service") -> "Guard":
    from reid_hash.web.api.application import make_api

    return make_api(service)


@contextlib.contextmanager
def _files_of_gradio(folder: str) -> Iterator[None]:
    """Have Gradio take files from this folder alone, as long as the server lives.

    Gradio reads the variable at every upload: a server that ended inside the life of another one
    must leave it the other's.
    """
    before = os.environ.get("GRADIO_TEMP_DIR")
    os.environ["GRADIO_TEMP_DIR"] = folder
    try:
        yield
    finally:
        if before is None:
            del os.environ["GRADIO_TEMP_DIR"]
        else:
            os.environ["GRADIO_TEMP_DIR"] = before


def _application(page_gallery: PageGallery, sent: Path) -> "Gate":
    settings, place = page_gallery.settings, page_gallery.place
    folder = local_folder(place)
    # read when gradio is imported, or a page is made
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["GRADIO_RUN_HISTORY"] = "False"
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    try:
        with without_stubs_of("gradio"):
            import gradio as gr
        from fastapi import FastAPI
    except ImportError as error:
        raise ReidHashError(
            f"the page needs gradio ({error}); install it with `pip install 'reid-hash[web]'`"
        ) from error
    from PIL import Image as Pillow

    from reid_hash.web.inbox import Inbox
    from reid_hash.web.inputs import kinds_of
    from reid_hash.web.page import CSS, TITLE, make_page, theme
    from reid_hash.web.request_filter import Gate

    Pillow.MAX_IMAGE_PIXELS = MOST_PIXELS // 2  # Pillow refuses twice as many, whoever calls it
    inbox = Inbox(sent)
    page = make_page(page_gallery, inbox)
    page.state_session_capacity = _SESSIONS
    app = gr.mount_gradio_app(
        FastAPI(openapi_url=None),
        page,
        path="/",
        server_name=settings.host,
        server_port=settings.port,
        allowed_paths=[],
        blocked_paths=[] if folder is None else [str(folder.resolve())],
        max_file_size=MOST_VIDEO_BYTES,
        show_error=False,
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
        enable_monitoring=False,
        footer_links=[],
        theme=theme(),
        css=CSS,
    )
    # a mounted page counts as not launched, and Gradio then takes and gives out any file; the gate
    # lets no request for one through, but there shall be two doors
    page.has_launched = page.is_running = True
    return Gate(app, settings, kinds_of(page), inbox, TITLE)


@contextlib.contextmanager
def without_stubs_of(package: str) -> Iterator[None]:
    """Keep Gradio from writing type stubs of its components beside them while it is imported.

    That takes half of the time of the import. It makes none of classes that are in no file.
    """
    getfile = inspect.getfile

    def of_no_file(object: Any) -> str:
        if isinstance(object, type) and object.__module__.startswith(f"{package}."):
            raise OSError(f"{object.__name__} is to have no stub")
        return getfile(object)

    inspect.getfile = of_no_file
    try:
        yield
    finally:
        inspect.getfile = getfile


def _listen(app: Any, settings: Settings) -> tuple[Any, socket.socket, str]:
    """A server for the application, the socket that it is to listen at, and the page's address."""
    import uvicorn

    host = settings.host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, settings.port), family=family)
    except OSError as error:
        raise ReidHashError(
            f"cannot listen at {settings.host}, port {settings.port}: {error.strerror or error}; "
            "choose another with --port, or 0 for any that is free"
        ) from error
    everywhere = host == "0.0.0.0"  # nosec B104  # asked for, with a password
    shown = "127.0.0.1" if everywhere else f"[{host}]" if ":" in host else host
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            http="h11",  # httptools, taken where it is installed, reads headers without end
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=2,
            limit_concurrency=_CONNECTIONS,
            timeout_keep_alive=_KEPT_ALIVE,
            proxy_headers=False,  # the gate knows which proxies are believed
            server_header=False,
        )
    )
    return server, listening, f"http://{shown}:{listening.getsockname()[1]}"
