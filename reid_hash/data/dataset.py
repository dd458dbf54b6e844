"""The type that every data set reader returns."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from reid_hash.errors import ConfigError

RgbImage = NDArray[np.uint8]
"""An image: [height, width, 3] uint8, RGB."""

Labels = NDArray[np.int64] | NDArray[np.bool_]
"""[n] int64, identity or class; or [n, classes] bool if images may have several classes."""


@dataclass(frozen=True, eq=False, repr=False)
class ImageSet:
    """Images that are read one by one, with their labels and cameras.

    Attributes:
        read: function that returns image i as [height, width, 3] uint8 RGB, of any size. Raises
            DataError with the reason if the image cannot be read. Thread-safe.
        names: [n] readable name of each image, such as a path below the data root.
        labels: [n] int64, identity or class; or [n, classes] bool if an image may have several
            classes, or none. Numbers and columns mean the same in all sets of a data set.
        cameras: [n] int64, camera of each image; zeros if there are no cameras.
    """

    read: Callable[[int], RgbImage]
    names: Sequence[str]
    labels: Labels
    cameras: NDArray[np.int64]

    def __post_init__(self) -> None:
        if not len(self.names) == len(self.labels) == len(self.cameras):
            raise ValueError("names, labels and cameras differ in length")
        if self.labels.ndim != (2 if self.labels.dtype == bool else 1):
            raise ValueError("labels are neither [n] int64 nor [n, classes] bool")

    def __len__(self) -> int:
        return len(self.names)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {described(self.labels, self.cameras)}>"

    def subset(self, rows: NDArray[np.generic]) -> "ImageSet":
        """Select the images of a mask [n] bool or of indices [m] int."""
        index = np.arange(len(self))[rows]
        read = self.read
        return ImageSet(
            lambda i: read(int(index[i])),
            [self.names[i] for i in index],
            self.labels[index],
            self.cameras[index],
        )


def joined(first: ImageSet, second: ImageSet) -> ImageSet:
    """Concatenate two image sets of one data set."""
    here = len(first)
    return ImageSet(
        lambda i: first.read(i) if i < here else second.read(i - here),
        [*first.names, *second.names],
        np.concatenate([first.labels, second.labels]),
        np.concatenate([first.cameras, second.cameras]),
    )


def described(labels: Labels, cameras: NDArray[np.int64]) -> str:
    """Describe in one line how many images, identities (or classes) and cameras there are."""
    if labels.ndim == 2:
        return f"{len(labels):,} images, {labels.shape[1]} classes"
    return (
        f"{len(labels):,} images, {len(np.unique(labels)):,} labels, "
        f"{len(np.unique(cameras))} cameras"
    )


class Trial(NamedTuple):
    """One of several random test draws.

    Attributes:
        query: names of the query images.
        gallery: names of the gallery images.
    """

    query: frozenset[str]
    gallery: frozenset[str]


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """A data set under one protocol.

    Attributes:
        name: name of the data set, as on the command line.
        train: images to train on.
        query: images to search for.
        gallery: images to search among. In re-identification, its identities are not in `train`.
        protocol: name of the split and of its evaluation.
        camera_rule: which gallery images a query ignores: "market" (same identity and same
            camera), "cuhk03" (same camera), "none".
        single_shot: whether the gallery is drawn at random, one image per identity and camera.
        notes: what a reader of the figures must know, such as "camera pair 1 alone".
        classes: class names in the order of the labels; empty if labels are identities.
        trials: parts of query and gallery to evaluate separately, the figures being their mean
            and deviation; empty if all of query and gallery are evaluated at once.
    """

    name: str
    train: ImageSet
    query: ImageSet
    gallery: ImageSet
    protocol: str
    camera_rule: str = "none"
    single_shot: bool = False
    notes: tuple[str, ...] = field(default=())
    classes: tuple[str, ...] = ()
    trials: tuple[Trial, ...] = ()

    def __repr__(self) -> str:
        parts = {"train": self.train, "query": self.query, "gallery": self.gallery}
        counts = ", ".join(f"{len(images):,} {name}" for name, images in parts.items())
        return f"<Dataset {self.name}, {self.protocol}: {counts} images>"

    def of_trial(self, trial: Trial) -> "Dataset":
        """Select the query and gallery of one trial."""
        query, gallery = (
            images.subset(np.array([name in kept for name in images.names], np.bool_))
            for images, kept in ((self.query, trial.query), (self.gallery, trial.gallery))
        )
        return replace(self, query=query, gallery=gallery, trials=())

    @property
    def by_class(self) -> bool:
        """Whether labels are classes, evaluated as image retrieval, rather than identities."""
        return bool(self.classes)

    def with_camera_rule(self, rule: str | None) -> "Dataset":
        """Return the data set under another camera rule; None keeps its own.

        Raises:
            ConfigError: the data set has classes, or its protocol draws query and gallery from the
                same images by camera.
        """
        if rule is None or rule == self.camera_rule:
            return self
        if self.by_class:
            raise ConfigError(f"{self.name} has classes and no cameras: leave the camera rule out")
        if self.single_shot or (self.gallery is self.query and not self.trials):
            raise ConfigError(
                f"{self.name}, {self.protocol} tells queries from the gallery by their cameras: "
                f"its camera rule is {self.camera_rule}, not {rule}; another rule needs a protocol "
                "with query and gallery images of their own, such as market1501's standard"
            )
        return replace(self, camera_rule=rule)

    def with_notes(self, *notes: str) -> "Dataset":
        """Return the data set with more notes."""
        return replace(self, notes=self.notes + notes)
