"""Make several processes compute the same as one process with the whole batch.

Two parts of a training step depend on the whole batch: batch norm and the pairwise losses. Batch
norm averages its statistics over the processes here, and `gather_batch` gives the losses the
outputs of all processes. Both are exact in value and gradient. (PyTorch's SyncBatchNorm does not
run on CPUs.)
"""

from collections.abc import Iterable

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce

from reid_hash.errors import ConfigError


def world_size() -> int:
    """Return the number of processes that train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def gather_batch(part: Tensor) -> Tensor:
    """Gather [b, …] from every process into [b · processes, …], in the order of their ranks.

    Only this process's rows carry a gradient. A loss computed from the result, multiplied by
    `world_size()`, therefore has the gradient of the whole batch once gradients are averaged over
    the processes, as DistributedDataParallel does.
    """
    if world_size() == 1:
        return part
    parts = [torch.empty_like(part) for _ in range(world_size())]
    dist.all_gather(parts, part.detach().contiguous())
    parts[dist.get_rank()] = part
    return torch.cat(parts)


def convert_batch_norm(module: nn.Module) -> nn.Module:
    """Make every batch norm inside `module` share its statistics between processes, in place.

    timm's batch norms often include the layer's activation, which is kept.

    Raises:
        ConfigError: a batch norm also computes something else, unknown here.
    """
    for name, child in module.named_children():
        if isinstance(child, nn.modules.batchnorm._BatchNorm):
            after = [getattr(child, part) for part in ("drop", "act") if hasattr(child, part)]
            if not after and type(child) not in _PLAIN:
                raise ConfigError(
                    f"the network's {type(child).__name__} cannot share its statistics between "
                    "processes; train in one process"
                )
            shared = SharedBatchNorm(
                child.num_features, child.eps, child.momentum, child.affine, after
            )
            shared.load_state_dict(child.state_dict())
            shared.train(child.training)
            setattr(module, name, shared)
        else:
            convert_batch_norm(child)
    return module


_PLAIN = (nn.BatchNorm1d, nn.BatchNorm2d)


class SharedBatchNorm(nn.modules.batchnorm._BatchNorm):
    """Batch norm over the batches of all processes, which must have equal sizes.

    Args:
        features: number of channels.
        eps: added to the variance.
        momentum: momentum of the running statistics.
        affine: whether a factor and an offset are learned.
        after: modules without parameters to apply afterwards, such as the activation.
    """

    def __init__(
        self,
        features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        after: Iterable[nn.Module] = (),
    ) -> None:
        super().__init__(features, eps, momentum, affine)
        self.after = nn.Sequential(*after)

    def _check_input_dim(self, input: Tensor) -> None:
        pass  # accepts 2-d and 4-d

    def forward(self, input: Tensor) -> Tensor:
        """Normalise over every axis but the second, then apply `after`."""
        out: Tensor = self.after(self._normalise(input))
        return out

    def _normalise(self, input: Tensor) -> Tensor:
        if not self.training or world_size() == 1:
            plain: Tensor = super().forward(input)
            return plain
        axes = [0, *range(2, input.ndim)]
        shape = [1, -1] + [1] * (input.ndim - 2)
        values = input.float()  # sums in bfloat16 would lose the variance
        mean = values.mean(axes)
        square = values.square().mean(axes)
        sums: Tensor = all_reduce(torch.stack([mean, square]))  # type: ignore[no-untyped-call]
        mean, square = sums / world_size()
        variance = square - mean.square()
        count = input.numel() / input.shape[1] * world_size()
        with torch.no_grad():
            assert self.running_mean is not None
            assert self.running_var is not None
            assert self.num_batches_tracked is not None
            momentum = self.momentum if self.momentum is not None else 0.1
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean, momentum)
            self.running_var.lerp_(variance * count / (count - 1), momentum)
        scale = torch.rsqrt(variance + self.eps)
        if self.affine:
            scale = scale * self.weight
        out: Tensor = (values - mean.view(shape)) * scale.view(shape)
        if self.affine:
            out = out + self.bias.view(shape)
        return out.to(input.dtype)
