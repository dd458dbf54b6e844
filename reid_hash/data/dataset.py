"""What every data set of the toolkit returns."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from reid_hash.errors import ConfigError

RgbImage = NDArray[np.uint8]
"""An image: [height, width, 3] uint8, RGB."""

Labels = NDArray[np.int64] | NDArray[np.bool_]
"""[n] int64: identity or class; or [n, classes] bool: the classes, where there may be several."""


@dataclass(frozen=True, eq=False, repr=False)
class ImageSet:
    """Images that are read one by one, with what is known about each.

    Attributes:
        read: gives image i as [height, width, 3] uint8 RGB, of any size. Raises DataError that
            says why where the image cannot be read. May be called from several threads.
        names: [n] what a person calls each image: a path below the data root, or the like.
        labels: [n] int64, the identity or class; or [n, classes] bool where an image may be of
            several classes, or of none. The numbers and columns mean the same in all sets of one
            data set.
        cameras: [n] int64, the camera; zeros where there is none.
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
        """The images of a mask [n] bool or of indices [m] int."""
        index = np.arange(len(self))[rows]
        read = self.read
        return ImageSet(
            lambda i: read(int(index[i])),
            [self.names[i] for i in index],
            self.labels[index],
            self.cameras[index],
        )


def joined(first: ImageSet, second: ImageSet) -> ImageSet:
    """The images of two sets of one data set, one set after the other."""
    here = len(first)
    return ImageSet(
        lambda i: first.read(i) if i < here else second.read(i - here),
        [*first.names, *second.names],
        np.concatenate([first.labels, second.labels]),
        np.concatenate([first.cameras, second.cameras]),
    )


def described(labels: Labels, cameras: NDArray[np.int64]) -> str:
    """How many images, identities (or classes) and cameras there are, on one line."""
    if labels.ndim == 2:
        return f"{len(labels):,} images, {labels.shape[1]} classes"
    return (
        f"{len(labels):,} images, {len(np.unique(labels)):,} labels, "
        f"{len(np.unique(cameras))} cameras"
    )


class Trial(NamedTuple):
    """One of several draws of a test.

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
        name: as on the command line.
        train: images to learn from.
        query: images to search with.
        gallery: images to be found. Its identities are not those of `train` in re-identification.
        protocol: name of the split and of the way it is evaluated.
        camera_rule: which gallery images a query must not find: "market" (same identity and same
            camera), "cuhk03" (same camera), "none".
        single_shot: whether the gallery is drawn at random, one image an identity and camera.
        notes: what a reader of the figures must know, such as "camera pair 1 alone".
        classes: their names, in the order of the labels; none where the labels are identities.
        trials: parts of query and gallery that are evaluated one by one, of which figures are the
            mean and the deviation; none where all of query and gallery are evaluated at once.
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
        """The query and gallery of one of the trials."""
        query, gallery = (
            images.subset(np.array([name in kept for name in images.names], np.bool_))
            for images, kept in ((self.query, trial.query), (self.gallery, trial.gallery))
        )
        return replace(self, query=query, gallery=gallery, trials=())

    @property
    def by_class(self) -> bool:
        """Whether labels are classes, to be evaluated as image retrieval, and not identities."""
        return bool(self.classes)

    def with_camera_rule(self, rule: str | None) -> "Dataset":
        """The same data set under another camera rule; None for its own.

        Raises:
            ConfigError: it has classes, or its protocol draws queries and gallery from the same
                images by their cameras.
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
        """The same data set with more notes."""
        return replace(self, notes=self.notes + notes)
