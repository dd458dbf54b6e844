"""A network of others as an encoder: pictures → floats, and by a head → codes."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reid_hash.codes import Codes
from reid_hash.errors import CheckpointError
from reid_hash.models.encoder import Encoder, Images, Progress
from reid_hash.models.foreign.network import FloatNetwork, Network
from reid_hash.models.kinds import Kind, kind_of


class ForeignEncoder(Encoder):
    """Makes floats of images with anybody's network, and codes where there is a head.

    Args:
        network: what makes the floats.
        head: an encoder of vectors, as `reid_hash.fit` gives one: its `outputs` takes vectors
            [n, features]. None for the floats alone: then `bits` is 0, `outputs` gives the
            embedding, and `encode` says that a head is missing.

    Attributes:
        network: likewise.
        head: likewise.
    """

    config = None

    def __init__(self, network: FloatNetwork, head: Encoder | None = None) -> None:
        self.network, self.head = network, head
        self.growing = network.inputs.growing
        if head is None:
            self.fingerprint = network.fingerprint
            self.bit_weights = np.zeros(0, np.float32)
        else:
            pair = f"{network.fingerprint} {head.fingerprint}".encode()
            self.fingerprint = hashlib.sha256(pair).hexdigest()[:16]
            self.bit_weights = head.bit_weights
            head.outputs(np.zeros((0, network.features), np.float32))  # another length is told now

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the images that the network takes, in pixels."""
        return self.network.size

    @property
    def bits(self) -> int:
        """Length of the codes; 0 where there is no head."""
        return 0 if self.head is None else self.head.bits

    def __repr__(self) -> str:
        height, width = self.size
        made = f"{self.bits} bits" if self.head else f"{self.network.features} floats, no codes"
        return (
            f"<{type(self).__name__}: {made}, images of {height}×{width}, {self.network.name}, "
            f"fingerprint {self.fingerprint}>"
        )

    def encode(self, images: Images, *, color: str = "rgb", progress: Progress = None) -> Codes:
        """Encode images; see `Encoder.encode`.

        Raises:
            CheckpointError: there is no head.
        """
        if self.head is None:
            self._need_head()
        return super().encode(images, color=color, progress=progress)

    def binarise(self, outputs: ArrayLike) -> Codes:
        """Codes of real outputs [n, bits]."""
        if self.head is None:
            self._need_head()
        return super().binarise(outputs)

    def _need_head(self) -> NoReturn:
        raise CheckpointError(
            f"{self.network.name} gives {self.network.features} floats for a picture, and no "
            "codes: fit a head with `reid-hash fit --network` and name it with --head, or ask for "
            "the floats with --float"
        )

    def _outputs(
        self, images: NDArray[np.uint8], progress: Callable[[int], object] | None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        floats = self.network.floats(images, progress)
        if self.head is None:
            return np.empty((len(floats), 0), np.float32), floats
        if not np.isfinite(floats).all():  # the caller's message is about the network
            return np.zeros((len(floats), self.bits), np.float32), floats
        outputs, _ = self.head.outputs(floats, progress=False)
        return outputs, floats


def open_foreign(network: Network, device: str = "auto", head: Encoder | None = None) -> Encoder:
    """Open anybody's network.

    Args:
        network: what was named; its `head` is opened by the caller.
        device: where to compute.
        head: the opened head.

    Raises:
        CheckpointError: the file is missing, damaged, or none that can be run.
        ConfigError: an option does not fit it, or this machine does not have the device.
    """
    return ForeignEncoder(_open_floats(network, device), head)


def _open_floats(network: Network, device: str) -> FloatNetwork:
    if network.file.startswith("timm:"):
        from reid_hash.models.foreign.torch_network import TorchNetwork

        return TorchNetwork(network, device)
    kind = kind_of(Path(network.file))
    if kind is Kind.OWN:
        raise CheckpointError(
            f"{network.file} is a file of this toolkit: name it with --model in place of --network"
        )
    if kind is Kind.ONNX:
        from reid_hash.models.foreign.onnx_network import OnnxNetwork

        return OnnxNetwork(network, device)
    if kind is Kind.OPENVINO:
        from reid_hash.models.foreign.openvino_network import OpenvinoNetwork

        return OpenvinoNetwork(network, device)
    if kind in (Kind.TORCH, Kind.SAFETENSORS):
        from reid_hash.models.foreign.torch_network import TorchNetwork

        return TorchNetwork(network, device)
    raise CheckpointError(
        f"{network.file} is no network that can be read: neither ONNX, OpenVINO (.xml), nor a "
        "file of tensors (.pth)"
    )
