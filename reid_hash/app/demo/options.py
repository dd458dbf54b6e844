"""What a run over videos is made of."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from reid_hash.gallery.open import Place
from reid_hash.video.identity.identify import IdentifyOptions


@dataclass(frozen=True)
class DemoOptions:
    """What a run is made of.

    Attributes:
        sources: files, folders, numbers of cameras, addresses.
        folder: where what has no other place goes.
        names: of the cameras, one a source; none to take those of the files and hosts.
        detector: see `open_detector`.
        gallery: where it is; a new one in `folder` where it is None.
        model: see `find_model`; None for the gallery's.
        dataset: whose newest run is used where no model is named.
        bits: how many bits are compared; all where it is None.
        far: share of strangers that may be taken for somebody.
        watch: images of people who are looked for.
        start: time of the first frame of files, seconds since 1970, UTC; None for now.
        fps: of the sources, in place of what they say.
        max_frames: of each source.
        patience: seconds that a live source may be away.
        video: file of the drawn frames; None to write none.
        window: show them in a window.
        events: file of the events; None to write none.
        device: where networks compute.
        identify: how people are followed and told apart.
    """

    sources: Sequence[str]
    folder: Path
    names: Sequence[str] = ()
    detector: str = "auto"
    gallery: Place | None = None
    model: Path | None = None
    dataset: str = "cuhk03"
    bits: int | None = None
    far: float = 0.01
    watch: Sequence[Path] = ()
    start: float | None = None
    fps: float | None = None
    max_frames: int | None = None
    patience: float = 60.0
    video: Path | None = None
    window: bool = False
    events: Path | None = None
    device: str = "auto"
    identify: IdentifyOptions = field(default_factory=IdentifyOptions)
