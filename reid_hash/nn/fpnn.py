"""The filter pairing neural network, FPNN (Li, Zhao, Xiao, Wang, "DeepReID", CVPR 2014).

Two images, one of each view, go in; the log odds that they show one person come out. With f_k, g_k
the responses of the k-th filter pair, one filter for each view,

    f_k = σ(pool(W_k * x + b_k)),   g_k = σ(pool(V_k * y + c_k)),           k = 1 … K,

each a map of M stripes × W patches, the layers are

    patch matching   S_k^m(i, j) = f_k(m, i) · g_k(m, j)                    K·M matrices of W × W
    maxout grouping  Y_t^m(i, j) = max over k in group t of S_k^m(i, j)     T·M matrices
    part matching    Z_c^m = pool(σ(Σ_t U_ct * Y_t^m + d_c))                U is shared by stripes
    pose, identity   p(same | x, y) by a hidden layer and softmax.

A high S_k^m(i, j) says that patch i of stripe m is found at place j: S_k^m is a displacement
matrix. The filters of a group stand for the looks that one thing has before the two cameras. σ is
ReLU, pooling takes the largest value.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

HEIGHT, WIDTH = 64, 32
"""Size of the input images, in pixels."""

FILTERS, GROUPS, PARTS, HIDDEN = 32, 8, 16, 256
"""K, T, the number of filters c on displacement matrices, and the units of the hidden layer."""

STRIPES, PATCHES = 20, 9
"""M and W: 64 × 32 pixels less a border of 4 for filters of 5 × 5, pooled by 3 × 3."""


def patch_matching(first: Tensor, second: Tensor) -> Tensor:
    """The products of responses within stripes, S_k^m(i, j) = f_k(m, i) · g_k(m, j).

    Args:
        first: [b, M, K, W] float, responses f of b images of the first view.
        second: [b, M, K, W] likewise, g of the second view.

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
    """The largest value of each group of neighbouring filters.

    Args:
        matrices: [b, M, K, W, W] float.
        groups: T, a divisor of K.

    Returns:
        [b, M, T, W, W] float.
    """
    b, m, k, *sides = matrices.shape
    return matrices.view(b, m, groups, k // groups, *sides).amax(3)


class FilterPairingNet(nn.Module):
    """FPNN for images of 64 × 32 pixels; the module's docstring has the equations.

    Two things are not the paper's. Responses are normalised over the batch before ReLU (to mean 0
    and deviation 1, with nothing learned): their products grow with the square of their scale. And
    the sizes of the layers are choices of this toolkit, where the paper's were not at hand.

    `mean` and `std` ([3] float32) are those of the training images, in 0 … 1; they are set before
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
        """[n, height, width, 3] uint8 RGB → [n, 3, height, width] float, by `mean` and `std`."""
        return ((images.float() / 255 - self.mean) / self.std).permute(0, 3, 1, 2)

    def responses(self, images: Tensor, view: int) -> Tensor:
        """What one image contributes to all its comparisons.

        Args:
            images: [n, 3, 64, 32] float, normalised.
            view: 0 for the filters of the first camera, 1 for those of the second.

        Returns:
            [n, M, K, W] float ≥ 0.
        """
        pooled = F.max_pool2d(self.filters[view](images), 3)
        return F.relu(self.norms[view](pooled)).transpose(1, 2)

    def compare(self, first: Tensor, second: Tensor) -> Tensor:
        """Log odds that two images show one person, log p(same) − log p(different).

        Args:
            first: [b, M, K, W] responses of images of the first view.
            second: [b, M, K, W] of the second view.

        Returns:
            [b] float.
        """
        matched = maxout_grouping(patch_matching(first, second), GROUPS)
        # to the filters, which all stripes share, a stripe is an image of its own; pooling is
        # several times as quick with its channels last
        stripes = matched.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        parts = F.relu(F.max_pool2d(self.parts(stripes), 2))
        # people stand higher or lower, too: neighbouring stripes are pooled by twos
        pooled = parts.reshape(-1, STRIPES // 2, 2, parts[0].numel()).amax(2)
        hidden = F.relu(self.pose(self.dropout(pooled.flatten(1))))
        scores: Tensor = self.identity(self.dropout(hidden))
        return scores[:, 1] - scores[:, 0]
