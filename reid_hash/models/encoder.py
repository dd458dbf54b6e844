"""What an encoder is, whatever runs its network; nothing here needs torch."""

import contextlib
import functools
import itertools
import os
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sized
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reid_hash.codes import Codes
from reid_hash.config.schema import Config
from reid_hash.data.dataset import RgbImage
from reid_hash.data.images import as_image, resize
from reid_hash.errors import CheckpointError, DataError, ImageError
from reid_hash.utils.progress import counting
from reid_hash.utils.terminal_text import make_console

if TYPE_CHECKING:
    import PIL.Image

OneImage: TypeAlias = "str | os.PathLike[str] | PIL.Image.Image | NDArray[np.uint8]"
"""A path, a PIL image, or an array [height, width, 3] uint8 of any size."""

Images: TypeAlias = "OneImage | Iterable[OneImage]"
"""One image, several, or an array [n, height, width, 3] uint8 of any size."""

Progress: TypeAlias = bool | Callable[[int], object] | None
"""None: a bar on standard error where that is a terminal and the work takes long; True or False: a
bar in any case, or none; a function: called with the number of images of each batch."""

_BLOCK = 512  # images decoded before the network runs: 33 MB of 224×96; four of its batches
_MOST_PIXELS = _BLOCK * 256 * 128  # of the images held at a time: fewer where they are larger
_PATIENCE = 2.0  # seconds after which a bar appears


class Encoder(ABC):
    """Makes codes of images: of a checkpoint a `TorchEncoder`, of an ONNX file an `OnnxEncoder`.

    `reid_hash.load_model` opens either.

    Attributes:
        config: the configuration of the run that trained the network; None for a network of others.
        fingerprint: of the network: codes of two encoders compare where it is the same.
        bit_weights: [bits] float32 ≥ 0, significance of each bit.
        growing: how images are scaled that are smaller than `size`; see `data.images.resize`.
    """

    config: Config | None
    fingerprint: str
    bit_weights: NDArray[np.float32]
    growing: Literal["cubic", "linear"] = "cubic"

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the images that the network takes, in pixels."""
        assert self.config is not None  # encoders without one have their own `size` and `bits`
        return self.config.data.height, self.config.data.width

    @property
    def bits(self) -> int:
        """Length of the codes."""
        assert self.config is not None
        return self.config.model.bits

    def __repr__(self) -> str:
        height, width = self.size
        backbone = self.config.model.backbone if self.config else "a joined network"
        return (
            f"<{type(self).__name__}: {self.bits} bits, images of {height}×{width}, "
            f"{backbone}, fingerprint {self.fingerprint}>"
        )

    def encode(self, images: Images, *, color: str = "rgb", progress: Progress = None) -> Codes:
        """Encode images.

        Args:
            images: one or several: paths, PIL images, or uint8 arrays [height, width, 3]; or an
                array [n, height, width, 3]. They may have any size and are scaled to `size`. Any
                iterable will do; files are read a block at a time.
            color: the order of the channels of arrays: "rgb", or "bgr" for OpenCV's.
            progress: None shows a progress bar on a terminal after two seconds, False never does,
                True always; a function is called with the number of images of each batch.

        Returns:
            A code of `bits` bits for each image, with the network's bit weights and fingerprint;
            one for a single image.

        Raises:
            DataError: a file cannot be read.
            CheckpointError: the network gives NaN or infinity.
            ImageError: an image has a wrong type or shape; it is a ValueError too.

        Example:
            codes = encoder.encode(["ada.jpg", "bob.jpg"])
            codes = encoder.encode(cv2.imread("ada.jpg"), color="bgr")
        """
        blocks = [self.binarise(outputs) for outputs, _ in self._in_blocks(images, color, progress)]
        packed = np.concatenate([block.packed for block in blocks])
        return Codes(packed, self.bits, self.bit_weights, self.fingerprint)

    def outputs(
        self, images: Images, *, color: str = "rgb", progress: Progress = None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Real outputs [n, bits] and float embedding [n, features] of images; see `encode`."""
        blocks = list(self._in_blocks(images, color, progress))
        if len(blocks) == 1:
            return blocks[0]
        outputs, embedding = (np.concatenate(found) for found in zip(*blocks, strict=True))
        return outputs, embedding

    def binarise(self, outputs: ArrayLike) -> Codes:
        """Codes of real outputs [n, bits]."""
        return Codes.from_outputs(outputs, self.bit_weights, self.fingerprint)

    def _in_blocks(
        self, images: Images, color: str, progress: Progress
    ) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        """Outputs and embedding of each block of images; one block at least."""
        if color not in ("rgb", "bgr"):
            raise ImageError(f'color is "rgb" or "bgr", not {color!r}')
        if isinstance(images, np.ndarray) and images.ndim == 4:
            if images.dtype != np.uint8 or images.shape[3] != 3:
                raise ImageError(
                    "images must be uint8 [n, height, width, 3], not "
                    f"{images.dtype} {list(images.shape)}"
                )
            if images.shape[1:3] == self.size:
                ordered = images if color == "rgb" else images[..., ::-1]
                with _counting(progress, len(images)) as count:
                    yield self._checked(ordered, count)
                return
        several = _several(images)
        total = len(several) if isinstance(several, Sized) else None
        with _counting(progress, total) as count:
            found = False
            for block in self._blocks(several, color):
                found = True
                yield self._checked(block, count)
            if not found:
                yield self._outputs(np.empty((0, *self.size, 3), np.uint8), None)

    def _blocks(self, images: Iterable[object], color: str) -> Iterator[NDArray[np.uint8]]:
        """Images of the network's size, [n ≤ `_BLOCK`, height, width, 3] at a time."""

        def one(number: int, given: object) -> RgbImage:
            try:
                return resize(as_image(given, color), *self.size, self.growing)
            except (DataError, ImageError) as error:
                if isinstance(given, str | os.PathLike):
                    raise  # the message names the file
                raise type(error)(f"image {number}: {error}") from error

        numbered = enumerate(images)
        most = fitting_batch(_BLOCK, self.size)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            while block := list(itertools.islice(numbered, most)):
                yield np.stack(list(pool.map(one, *zip(*block, strict=True))))

    def _checked(
        self, images: NDArray[np.uint8], progress: Callable[[int], object] | None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """What `_outputs` gives; CheckpointError where a number is NaN or infinite."""
        outputs, embedding = self._outputs(images, progress)
        fine = np.isfinite(outputs).all(axis=1) & np.isfinite(embedding).all(axis=1)
        bad = len(outputs) - int(np.count_nonzero(fine))
        if bad:
            raise CheckpointError(
                f"the network {self.fingerprint} gives NaN or infinity for {bad:,} of "
                f"{len(outputs):,} images: it diverged in training, or is damaged; take another"
            )
        return outputs, embedding

    @abstractmethod
    def _outputs(
        self, images: NDArray[np.uint8], progress: Callable[[int], object] | None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """What `outputs` gives, of images [n, height, width, 3] of the network's size."""


def _several(images: object) -> Iterable[object]:
    """Images one by one, where one may have been given."""
    if isinstance(images, np.ndarray):
        # a row of paths or of images, as NumPy and pandas make them, else one image
        rows = images.ndim == 4 or (images.ndim == 1 and images.dtype.kind in "UO")
        return images if rows else [images]
    single = isinstance(images, str | bytes | os.PathLike)
    if single or not isinstance(images, Iterable):
        return [images]
    return images


def fitting_batch(most: int, size: tuple[int, int]) -> int:
    """How many images of a size (height, width) to hold at a time: `most`, fewer of large ones."""
    return max(1, min(most, _MOST_PIXELS // (size[0] * size[1])))


@contextlib.contextmanager
def _counting(progress: Progress, total: int | None) -> Iterator[Callable[[int], object] | None]:
    """Give the function that is to be called with the number of images of each batch, if any."""
    if callable(progress):
        yield progress
        return
    if progress is False or (progress is None and not sys.stderr.isatty()):
        yield None
        return
    bar = functools.partial(counting, make_console(stderr=True), "encoding", total)
    with contextlib.ExitStack() as stack:
        advance = stack.enter_context(bar()) if progress else None
        began, waiting = time.monotonic(), 0

        def count(images: int) -> None:
            nonlocal advance, waiting
            waiting += images
            if advance is None and time.monotonic() - began > _PATIENCE and waiting != total:
                advance = stack.enter_context(bar())
            if advance is not None:
                advance(waiting)
                waiting = 0

        yield count
