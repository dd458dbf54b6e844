"""Serving the page: who may see it, and what it never does."""

import contextlib
import hmac
import importlib
import inspect
import os
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from reid_hash.errors import ReidHashError
from reid_hash.web.desk import Desk
from reid_hash.web.settings import MOST_PIXELS, MOST_VIDEO_BYTES, Settings, is_loopback

_POLICY = (
    "default-src 'self' data: blob: 'unsafe-inline' 'unsafe-eval'; "
    "frame-ancestors 'none'; form-action 'self'; base-uri 'self'"
)
"""What a browser may load: from this server alone, so that no other learns of a visit."""


class Server:
    """The page, served.

    A context manager; `wait` blocks until it ends.

    Args:
        settings: what and where.

    Attributes:
        url: where the page is.

    Raises:
        ReidHashError: the gallery, the port or Gradio is not to be had.
    """

    def __init__(self, settings: Settings) -> None:
        with contextlib.ExitStack() as stack:
            # pictures that visitors send lie here, and go with the server
            sent = stack.enter_context(tempfile.TemporaryDirectory(prefix="reid-hash-"))
            self.desk = Desk(settings)
            stack.callback(self.desk.close)
            app = _application(self.desk, Path(sent))
            self._server, listening, self.url = _listen(app, settings)
            stack.callback(listening.close)
            self._kept = stack.pop_all()
        self._thread = threading.Thread(
            target=self._server.run, args=([listening],), name="page", daemon=True
        )
        self._thread.start()
        # neither the first picture nor the curves should wait for torch and Matplotlib
        self._warming = threading.Thread(target=self._warm, name="warm", daemon=True)
        self._warming.start()

    def _warm(self) -> None:
        with contextlib.suppress(Exception):  # whoever sends a picture is told why
            self.desk.encode(np.zeros((8, 4, 3), np.uint8))
        with contextlib.suppress(Exception):
            importlib.import_module("reid_hash.web.curves")

    def wait(self, stopped: Callable[[], bool]) -> None:
        """Block until the server ends, or what is asked several times a second is true."""
        while self._thread.is_alive() and not stopped():
            self._thread.join(0.3)

    def close(self) -> None:
        """End, and delete what visitors sent."""
        self._server.should_exit = True
        self._warming.join()  # torch ends the process badly where it is interrupted
        self._thread.join(5)
        self._kept.close()

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _application(desk: Desk, sent: Path) -> Any:
    settings = desk.settings
    # read when gradio is imported, or a page is made
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["GRADIO_TEMP_DIR"] = str(sent)
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    try:
        with _no_stubs_of("gradio"):
            import gradio as gr
        from fastapi import FastAPI
    except ImportError as error:
        raise ReidHashError(
            f"the page needs gradio ({error}); install it with `pip install 'reid-hash[web]'`"
        ) from error
    from PIL import Image as Pillow
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    from reid_hash.web.page import make_page
    from reid_hash.web.style import CSS, theme

    Pillow.MAX_IMAGE_PIXELS = MOST_PIXELS // 2  # Pillow refuses twice as many, whoever calls it
    app = FastAPI(openapi_url=None)
    app.add_middleware(_Headers)
    if is_loopback(settings.host):
        # a page elsewhere whose name was made to mean this machine gets no answer
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=["localhost", "127.0.0.1", "[::1]"])
    return gr.mount_gradio_app(
        app,
        make_page(desk),
        path="/",
        server_name=settings.host,
        server_port=settings.port,
        auth=_asking(settings.password),
        auth_message="Any user name; the password is that of reid-hash serve.",
        allowed_paths=[],
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


@contextlib.contextmanager
def _no_stubs_of(package: str) -> Iterator[None]:
    """Keep Gradio from writing type stubs of its components beside them while it is imported.

    That takes half of the time of the import. It makes none of classes that are in no file.
    """
    getfile = inspect.getfile

    def of_no_file(thing: Any) -> str:
        if isinstance(thing, type) and thing.__module__.startswith(f"{package}."):
            raise OSError(f"{thing.__name__} is to have no stub")
        return getfile(thing)

    with mock.patch.object(inspect, "getfile", of_no_file):
        yield


def _asking(password: str | None) -> Callable[[str, str], bool] | None:
    if password is None:
        return None
    wanted = password.encode()
    return lambda _, given: hmac.compare_digest(given.encode(), wanted)


class _Headers:
    """Adds the policy to every answer."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def sending(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message["headers"],
                    (b"content-security-policy", _POLICY.encode()),
                    (b"referrer-policy", b"no-referrer"),
                    (b"x-content-type-options", b"nosniff"),
                ]
            await send(message)

        await self.app(scope, receive, sending)


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
    shown = "127.0.0.1" if host == "0.0.0.0" else f"[{host}]" if ":" in host else host
    server = uvicorn.Server(
        uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=2)
    )
    return server, listening, f"http://{shown}:{listening.getsockname()[1]}"
