"""What an encoder is, whatever runs its network; nothing here needs torch."""

from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reid_hash.codes import Codes
from reid_hash.config.schema import Config


class Encoder(ABC):
    """Makes codes of images: an `Encoder` from a checkpoint, an `OnnxEncoder` from an ONNX file.

    Attributes:
        config: the configuration of the run that trained the network.
        fingerprint: of the network: codes of two encoders compare where it is the same.
        bit_weights: [bits] float32 ≥ 0, significance of each bit.
    """

    config: Config
    fingerprint: str
    bit_weights: NDArray[np.float32]

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the images that the network takes, in pixels."""
        return self.config.data.height, self.config.data.width

    @property
    def bits(self) -> int:
        """Length of the codes."""
        return self.config.model.bits

    def encode(
        self, images: NDArray[np.uint8], progress: Callable[[int], object] | None = None
    ) -> Codes:
        """Codes of images.

        Args:
            images: [n, height, width, 3] uint8 RGB, of `size`.
            progress: called with the number of images of each batch.

        Returns:
            n codes of `bits` bits with the network's bit weights and fingerprint.

        Raises:
            ValueError: the images have another shape or type.
        """
        return self.binarise(self.outputs(images, progress)[0])

    def outputs(
        self, images: NDArray[np.uint8], progress: Callable[[int], object] | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Real outputs [n, bits] and float embedding [n, features] of images; see `encode`."""
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != (*self.size, 3):
            height, width = self.size
            raise ValueError(
                f"images must be uint8 [n, {height}, {width}, 3], not {images.dtype} "
                f"{list(images.shape)}"
            )
        return self._outputs(images, progress)

    def binarise(self, outputs: ArrayLike) -> Codes:
        """Codes of real outputs [n, bits]."""
        return Codes.from_outputs(outputs, self.bit_weights, self.fingerprint)

    @abstractmethod
    def _outputs(
        self, images: NDArray[np.uint8], progress: Callable[[int], object] | None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """What `outputs` gives, of images of the right shape."""
