"""Figures about the service, for Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

CONTENT_TYPE = CONTENT_TYPE_LATEST
_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)


class Metrics:
    """Counts requests and what they did.

    Attributes:
        added, erased, searched: sightings that were added and erased, queries that were answered.
        sightings: in the gallery, when the figures were last asked for.
        working: requests that are worked on.
    """

    def __init__(self) -> None:
        self._registry = CollectorRegistry()  # not the process's: there may be several services
        named = {"registry": self._registry, "namespace": "reid_hash"}
        self._requests = Counter(
            "requests", "Requests, by what was asked.", ["method", "route", "status"], **named
        )
        self._seconds = Histogram(
            *("request_seconds", "How long requests took, their arrival included."),
            *(["method", "route"],),
            buckets=_SECONDS,
            **named,
        )
        self.added = Counter("sightings_added", "Sightings that were added.", **named)
        self.erased = Counter("sightings_erased", "Sightings that were erased.", **named)
        self.searched = Counter("queries", "Queries that were answered.", **named)
        self.sightings = Gauge("sightings", "Sightings in the gallery.", **named)
        self.working = Gauge("working", "Requests that are worked on.", **named)

    def count(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request.

        Args:
            method: of the request; any that HTTP does not know is one.
            route: the name of what was asked for.
            status: of the answer.
            seconds: from its first byte to the end of the answer.
        """
        known = method if method in ("GET", "POST", "PUT", "DELETE") else "other"
        self._requests.labels(known, route, str(status)).inc()
        self._seconds.labels(known, route).observe(seconds)

    def text(self) -> bytes:
        """All figures, as Prometheus reads them."""
        text: bytes = generate_latest(self._registry)
        return text
