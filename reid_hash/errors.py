"""The exceptions a user meets; the command line prints each as one line and exits with its code.

Those that mean a wrong value are `ValueError`s as well; those that mean a file or a folder are not.
"""

from collections.abc import Sequence


class ReidHashError(Exception):
    """Something went wrong that the user can mend; the message says what and how.

    Attributes:
        exit_code: what the command line exits with: 1 for a failure, 2 for wrong usage.
    """

    exit_code = 1


class ImageError(ReidHashError, ValueError):
    """What was given as an image is none: a wrong type, shape or range of numbers."""


class DataError(ReidHashError):
    """A data set is missing, incomplete, or holds files that cannot be read."""


class UnreadableError(DataError):
    """Images of a set cannot be read; the command that read them adds what to do."""


class NoImageError(DataError):
    """No image of a set can be read.

    Attributes:
        reasons: why, "name: reason" for each.
    """

    def __init__(self, message: str, reasons: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.reasons = reasons


class CodeError(ReidHashError, ValueError):
    """Codes that do not fit together: other length, other model, or too few bits."""


class MetricError(ReidHashError, ValueError):
    """Distances, labels or cameras that cannot be evaluated."""


class GalleryError(ReidHashError):
    """A gallery is missing, damaged, written to by somebody else, or cannot be written to."""


class MissingError(GalleryError):
    """A sighting or an identity is not in the gallery."""


class BusyError(GalleryError):
    """Another process writes to the gallery, or kept it locked; trying again may help."""


class CheckpointError(ReidHashError):
    """A file is no checkpoint of this toolkit, or does not fit the configuration."""


class ConfigError(ReidHashError, ValueError):
    """A configuration has an unknown key or a value out of range."""

    exit_code = 2


def one_line(error: BaseException) -> str:
    """What another library's error says, in one line."""
    return " ".join(str(error).split())
