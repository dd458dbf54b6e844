"""Give an exported OSNet its batch norms back, so that it can be trained further.

    python tools/convert_osnet.py osnet_x0_25_msmt17.onnx osnet.safetensors --images FOLDER

An export folds each batch norm into the convolution before it. Here each convolution keeps the
folded weights, and the batch norm after it gets the mean and deviation that its input has on the
images, and the factor and offset that undo them: the network gives what it gave, and in training
its batch norms start from statistics that are true. Needs `pip install onnx`.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from reid_hash.data.images import find_images, read_image, resize
from reid_hash.nn.backbones.osnet import OSNet
from reid_hash.nn.other_weights import torchreid_name


def folded(path: Path) -> OSNet:
    """The network of an ONNX file, with batch norms that add the folded offset alone."""
    import onnx
    from onnx import numpy_helper

    model = onnx.load(str(path))
    given: dict[str, Any] = {
        t.name: torch.tensor(numpy_helper.to_array(t)) for t in model.graph.initializer
    }
    width = given["conv2.0.conv2a.conv1.weight"].shape[0] / 64
    net = OSNet(width)
    state = net.state_dict()
    done = set()
    for name in state:
        theirs = torchreid_name(name)
        if theirs in given:
            state[name] = given[theirs]
            done.add(name)
    fused = [
        (given[node.input[1]], given[node.input[2]])
        for node in model.graph.node
        if node.op_type == "Conv" and node.input[1].startswith("onnx::")
    ]
    convolutions = [name for name, t in state.items() if name not in done and t.ndim == 4]
    for (weight, offset), name in zip(fused, convolutions, strict=True):
        state[name] = weight.reshape(state[name].shape)
        before, number = name.removesuffix(".weight").rsplit(".", 1)
        norm = f"{before}.{int(number) + 1}"
        state[f"{norm}.weight"] = torch.ones(len(offset))
        state[f"{norm}.bias"] = offset
        state[f"{norm}.running_mean"] = torch.zeros(len(offset))
        state[f"{norm}.running_var"] = torch.full((len(offset),), 1 - 1e-5)
    net.load_state_dict(state)
    return net.eval()


@torch.no_grad()
def restore_norms(net: OSNet, images: torch.Tensor) -> None:
    """Set the statistics of all 2-d batch norms from images, without changing what they give."""
    norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
    found: dict[nn.Module, tuple[torch.Tensor, torch.Tensor]] = {}

    def look(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        found[module] = (inputs[0].mean((0, 2, 3)), inputs[0].var((0, 2, 3)))

    hooks = [norm.register_forward_pre_hook(look) for norm in norms]
    net(images)
    for hook in hooks:
        hook.remove()
    for norm in norms:
        mean, variance = found[norm]
        assert norm.running_mean is not None
        assert norm.running_var is not None
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)
        norm.weight.copy_((variance + norm.eps).sqrt())
        norm.bias.add_(mean)


def main() -> None:
    """Convert a file."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--images", type=Path, required=True, help="a folder of some hundred crops")
    asked = parser.parse_args()
    files = find_images([asked.images]).files
    some = [files[i] for i in np.linspace(0, len(files) - 1, 512).astype(int)]
    pictures = np.stack([resize(read_image(f), 256, 128, "linear") for f in some])
    images = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
    images = (images - torch.tensor(OSNet.mean).view(3, 1, 1)) / torch.tensor(OSNet.std).view(
        3, 1, 1
    )
    net = folded(asked.file)
    before = net(images[:16])
    restore_norms(net, images)
    after = net(images[:16])
    print(f"largest difference {(after - before).abs().max():.2g} of {before.abs().max():.2g}")
    save_file({k: v.contiguous() for k, v in net.state_dict().items()}, asked.output)


if __name__ == "__main__":
    main()
