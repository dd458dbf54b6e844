"""The filter pairing neural network, FPNN (Li, Zhao, Xiao, Wang, "DeepReID", CVPR 2014).

Input is a pair of images, one from each view; output is the log odds that they show one person.
With f_k, g_k the responses of the k-th filter pair, one filter per view,

    f_k = σ(pool(W_k * x + b_k)),   g_k = σ(pool(V_k * y + c_k)),           k = 1 … K,

each a map of M stripes × W patches, the layers are

    patch matching   S_k^m(i, j) = f_k(m, i) · g_k(m, j)                    K·M matrices of W × W
    maxout grouping  Y_t^m(i, j) = max over k in group t of S_k^m(i, j)     T·M matrices
    part matching    Z_c^m = pool(σ(Σ_t U_ct * Y_t^m + d_c))                U is shared by stripes
    pose, identity   p(same | x, y) by a hidden layer and softmax.

A high S_k^m(i, j) says that patch i of stripe m is found at position j: S_k^m is a displacement
matrix. The filters of a group model the different looks of one thing in the two cameras. σ is ReLU,
pooling takes the maximum.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

HEIGHT, WIDTH = 64, 32
"""Size of the input images, in pixels."""

FILTERS, GROUPS, PARTS, HIDDEN = 32, 8, 16, 256
"""K, T, the number of filters c on displacement matrices, and the size of the hidden layer."""

STRIPES, PATCHES = 20, 9
"""M and W: 64 × 32 pixels minus a border of 4 for 5 × 5 filters, pooled by 3 × 3."""


def patch_matching(first: Tensor, second: Tensor) -> Tensor:
    """Multiply responses within stripes: S_k^m(i, j) = f_k(m, i) · g_k(m, j).

    Args:
        first: [b, M, K, W] float, responses f of b images from the first view.
        second: [b, M, K, W] float, responses g of b images from the second view.

    Returns:
        [b, M, K, W, W] float, the displacement matrices.

    Example:
        >>> f, g = torch.tensor([1.0, 2.0]), torch.tensor([3.0, 5.0])
        >>> patch_matching(f.view(1, 1, 1, 2), g.view(1, 1, 1, 2)).view(2, 2)
        tensor([[ 3.,  5.],
                [ 6., 10.]])
    """
    return first[..., :, None] * second[..., None, :]


def maxout_grouping(matrices: Tensor, groups: int) -> Tensor:
    """Take the maximum of each group of neighbouring filters.

    Args:
        matrices: [b, M, K, W, W] float.
        groups: T, a divisor of K.

    Returns:
        [b, M, T, W, W] float.
    """
    b, m, k, *sides = matrices.shape
    return matrices.view(b, m, groups, k // groups, *sides).amax(3)


class FilterPairingNet(nn.Module):
    """FPNN for images of 64 × 32 pixels; the module docstring has the equations.

    Two things differ from the paper. Responses are normalised over the batch before ReLU (to mean 0
    and deviation 1, without learned parameters), since their products grow with the square of their
    scale. And layer sizes that the paper does not state are choices of this toolkit.

    `mean` and `std` ([3] float32) describe the training images, in 0 … 1; they are set before
    training.
    """

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(3))
        self.register_buffer("std", torch.ones(3))
        self.filters = nn.ModuleList(nn.Conv2d(3, FILTERS, 5) for _ in range(2))
        self.norms = nn.ModuleList(nn.BatchNorm2d(FILTERS, affine=False) for _ in range(2))
        self.parts = nn.Conv2d(GROUPS, PARTS, 3, padding=1)
        self.pose = nn.Linear((STRIPES // 2) * PARTS * (PATCHES // 2) ** 2, HIDDEN)
        self.identity = nn.Linear(HIDDEN, 2)
        self.dropout = nn.Dropout(0.5)

    def normalise(self, images: Tensor) -> Tensor:
        """Normalise [n, height, width, 3] uint8 RGB by `mean` and `std` to [n, 3, …] float."""
        return ((images.float() / 255 - self.mean) / self.std).permute(0, 3, 1, 2)

    def responses(self, images: Tensor, view: int) -> Tensor:
        """Compute an image's responses, which all its comparisons share.

        Args:
            images: [n, 3, 64, 32] float, normalised.
            view: 0 for the filters of the first camera, 1 for those of the second.

        Returns:
            [n, M, K, W] float ≥ 0.
        """
        pooled = F.max_pool2d(self.filters[view](images), 3)
        return F.relu(self.norms[view](pooled)).transpose(1, 2)

    def compare(self, first: Tensor, second: Tensor) -> Tensor:
        """Compute the log odds that two images show one person, log p(same) − log p(different).

        Args:
            first: [b, M, K, W] responses of images from the first view.
            second: [b, M, K, W] responses of images from the second view.

        Returns:
            [b] float.
        """
        matched = maxout_grouping(patch_matching(first, second), GROUPS)
        # Stripes share the filters, so each stripe is treated as an image; pooling is several times
        # faster in channels-last format.
        stripes = matched.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        parts = F.relu(F.max_pool2d(self.parts(stripes), 2))
        # People also stand higher or lower: pool neighbouring stripes in pairs.
        pooled = parts.reshape(-1, STRIPES // 2, 2, parts[0].numel()).amax(2)
        hidden = F.relu(self.pose(self.dropout(pooled.flatten(1))))
        scores: Tensor = self.identity(self.dropout(hidden))
        return scores[:, 1] - scores[:, 0]
