"""What the service's requests share: the gallery, the keys, what was answered and erased."""

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

from reid_hash.errors import BusyError, GalleryError, MissingError
from reid_hash.gallery.base import AnyGallery
from reid_hash.gallery.sqlite.database import is_full
from reid_hash.web.api.answered import Answered
from reid_hash.web.api.audit import Audit
from reid_hash.web.api.events import Events
from reid_hash.web.api.keys import Caller, Keys
from reid_hash.web.api.limits import Rate, Slots
from reid_hash.web.api.metrics import Metrics
from reid_hash.web.api.mqtt import Mqtt
from reid_hash.web.api.problems import Problem
from reid_hash.web.api.receipts import Receipts
from reid_hash.web.api.state import State, state_folder
from reid_hash.web.api.together import Together
from reid_hash.web.api.webhooks import Webhook
from reid_hash.web.inbox import Inbox
from reid_hash.web.served_gallery import ServedGallery
from reid_hash.web.settings import Settings

PREFIX = "/api/v1"
"""Where the service is."""

_LINGERING = 2.0  # seconds that the gallery stays open to write after a change


class Service:
    """A gallery with what is kept about its requests; may be used from several threads.

    Args:
        served: the gallery.
        settings: of the server.
        sent: an empty folder for files that are sent.

    Attributes:
        served, settings: as given.
        keys, answered, receipts, audit, metrics: what is kept.
        rate, working, streams, bodies: limits.
        together: searches that wait at the same time.
        inbox: files that were sent.
        events, webhooks, mqtt: what changed, and whom that is sent to.
        ended: set when the service ends.

    Raises:
        ReidHashError: the state cannot be opened.
    """

    def __init__(self, served: ServedGallery, settings: Settings, sent: Path) -> None:
        self.served, self.settings = served, settings
        limits = settings.limits
        self.state = State(state_folder(settings.gallery, settings.state))
        self.keys, self.answered = Keys(self.state), Answered(self.state)
        self.receipts, self.audit = Receipts(self.state), Audit(self.state.folder)
        self.metrics = Metrics()
        self.rate = Rate(limits.rate)
        self.working = Slots(limits.concurrency, "requests")
        self.streams = Slots(limits.streams, "listeners")
        self.bodies = Slots(limits.bodies, "bytes are sent")
        self.together = Together()
        self.inbox = Inbox(sent)
        self.ended = threading.Event()
        self.events = Events(self.state, served)
        self.webhooks: list[Webhook] = []
        self.mqtt: Mqtt | None = None
        try:
            for url in settings.webhooks:
                secret = settings.webhook_secret or ""
                self.webhooks.append(Webhook(url, secret, self.state, self.events))
            if settings.mqtt is not None:
                self.mqtt = Mqtt(settings.mqtt, settings.mqtt_password, self.state, self.events)
        except BaseException:
            self.close()
            raise

    def __repr__(self) -> str:
        return f"Service({self.served!r})"

    @property
    def needs_key(self) -> bool:
        """Whether a key is asked for: beyond this machine always, on it where there are any."""
        return not self.settings.is_local or len(self.keys) > 0

    def knows(self, caller: Caller) -> bool:
        """Whether a caller may still ask: a key may have been taken back, or the first one made."""
        return self.keys.has(caller) if self.needs_key else True

    @contextlib.contextmanager
    def reading(self) -> Iterator[AnyGallery]:
        """The gallery, to read it; Problem where it is not to be had."""
        with _available():
            yield self.served.gallery

    @contextlib.contextmanager
    def writing(self) -> Iterator[AnyGallery]:
        """The gallery, to change it; Problem where it is not to be had, or the disk is full.

        What the gallery itself refuses stays a GalleryError.
        """
        with contextlib.ExitStack() as stack:
            with _available():
                gallery = stack.enter_context(self.served.writing(_LINGERING))
            try:
                yield gallery
            except GalleryError as error:
                if is_full(error):
                    raise Problem(507, "disk-full", "the disk is full; nothing was kept") from error
                raise

    def close(self) -> None:
        """Close what is kept; the gallery is whose it was."""
        self.ended.set()
        for webhook in self.webhooks:
            webhook.close()
        if self.mqtt is not None:
            self.mqtt.close()
        self.events.close()
        self.audit.close()
        self.state.close()


@contextlib.contextmanager
def _available() -> Iterator[None]:
    try:
        yield
    except (MissingError, BusyError):
        raise
    except GalleryError as error:
        why = "the gallery cannot be read: it is gone, damaged, or its server does not answer"
        raise Problem(503, "no-gallery", why) from error
