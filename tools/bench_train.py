"""Time a step of training: images a second, where the time goes, and torchreid's loop beside it.

    python tools/bench_train.py                            # the recipe of `base`, random weights
    python tools/bench_train.py --config market1501 --set model.backbone=osnet-x0.25 --steps 20
    python tools/bench_train.py --torchreid CHECKOUT       # of KaiyangZhou/deep-person-reid

The images are drawn (`walkers`), in batches as the recipe has them. With `--torchreid` the same
images, written as JPEG files, are trained on by torchreid's own data manager and engine: OSNet, the
softmax loss with smoothed labels, AMSGrad, two processes that decode. All rows are warmed up, take
turns, and medians of a step are printed. The toolkit decodes all images once, before it begins,
torchreid in each epoch anew; so torchreid has a second row, with one batch that is decoded before.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import cv2
import numpy as np
import torch

from reid_hash.config.reading import load_config
from reid_hash.config.schema import Config
from reid_hash.data.images import Pixels, decode
from reid_hash.data.walkers import walkers
from reid_hash.training import loop
from reid_hash.training.loop import Training, build_sampler, training_targets


@contextmanager
def clocks(seconds: dict[str, float]) -> Iterator[None]:
    """Add up where a step's time goes, by wrapping what `Training.step` calls."""

    def timed(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def run(*given: Any, **named: Any) -> Any:
            began = time.perf_counter()
            try:
                return call(*given, **named)
            finally:
                seconds[name] += time.perf_counter() - began

        return run

    with (
        mock.patch.object(loop, "objective", timed("losses", loop.objective)),
        mock.patch.object(torch.Tensor, "backward", timed("backward", torch.Tensor.backward)),
        mock.patch.object(loop.Augment, "light", timed("augment", loop.Augment.light)),
        mock.patch.object(loop.Augment, "__call__", timed("augment", loop.Augment.__call__)),
    ):
        yield


class Ours:
    """A step of the toolkit's training, with its phases.

    Args:
        config: the recipe.
        pixels: what it trains on.
        small: a step of the first part, on images of .7 the size.
    """

    def __init__(self, config: Config, pixels: Pixels, small: bool) -> None:
        classes, self.labels = training_targets(pixels.labels)
        sampler = build_sampler(config, pixels.labels, pixels.cameras)
        self.batch = sampler.identities * sampler.images
        place = torch.device("cpu")
        self.training = Training(
            config, pixels.images, classes, place, slice(0, self.batch), self.batch
        )
        self.pixels, self.step = pixels, 0
        self.batches = [b for epoch in range(50) for b in sampler.epoch(epoch)]
        self.progress = 0.0 if small else 0.999
        self.phases: dict[str, list[float]] = defaultdict(list)
        model, optimiser = self.training.model, self.training.optimiser
        self._seconds: dict[str, float] = defaultdict(float)
        self._wrap(model, "forward", "forward")
        self._wrap(optimiser, "step", "optimiser")

    def _wrap(self, owner: Any, method: str, name: str) -> None:
        call = getattr(owner, method)

        def run(*given: Any, **named: Any) -> Any:
            began = time.perf_counter()
            try:
                return call(*given, **named)
            finally:
                self._seconds[name] += time.perf_counter() - began

        setattr(owner, method, run)

    def __call__(self) -> None:
        """Do the next step, and note how long each of its phases takes."""
        chosen = self.batches[self.step % len(self.batches)]
        self._seconds.clear()
        began = time.perf_counter()
        with clocks(self._seconds):
            self.training.step(
                self.step, self.progress, self.pixels.images[chosen], self.labels[chosen]
            )
        whole = time.perf_counter() - began
        for name, part in self._seconds.items():
            self.phases[name].append(part)
        self.phases["other"].append(whole - sum(self._seconds.values()))
        self.step += 1


class Torchreid:
    """A step of torchreid's ImageSoftmaxEngine.

    Args:
        checkout: of KaiyangZhou/deep-person-reid.
        folder: of JPEG files in Market-1501's naming, below `market1501/bounding_box_train`.
        network: as torchreid calls it.
        size: height and width of the input.
        batch: images in a step.
        decoded: hand over the same batch in each step, so that no image is decoded.
    """

    def __init__(
        self,
        checkout: Path,
        folder: Path,
        network: str,
        size: tuple[int, int],
        batch: int,
        decoded: bool,
    ) -> None:
        sys.path.insert(0, str(checkout))
        import torchreid

        self.batch = batch
        manager = torchreid.data.ImageDataManager(
            root=str(folder),
            sources="market1501",
            height=size[0],
            width=size[1],
            batch_size_train=batch,
            workers=2,
            transforms=["random_flip", "random_crop"],
            use_gpu=False,
        )
        model = torchreid.models.build_model(
            network, num_classes=manager.num_train_pids, loss="softmax", pretrained=False
        )
        optimiser = torchreid.optim.build_optimizer(model, optim="amsgrad", lr=0.0015)
        self.engine = torchreid.engine.ImageSoftmaxEngine(
            manager, model, optimiser, use_gpu=False, label_smooth=True
        )
        self.engine.set_model_mode("train")
        self.loader = manager.train_loader
        self.waiting = iter(self.loader)
        self.ready = next(self.waiting) if decoded else None

    def __call__(self) -> None:
        """Do the next step."""
        batch = self.ready
        if batch is None:
            batch = next(self.waiting, None)
            if batch is None:
                self.waiting = iter(self.loader)
                batch = next(self.waiting)
        self.engine.forward_backward(batch)


def write_market(pixels: Pixels, folder: Path) -> None:
    """Write images in Market-1501's naming, a few of them as the queries and gallery it wants."""
    for part in ("bounding_box_train", "query", "bounding_box_test"):
        (folder / "market1501" / part).mkdir(parents=True)
    for number, image in enumerate(pixels.images):
        identity = int(pixels.labels[number]) % 9000 + 1
        name = f"{identity:04d}_c{number % 6 + 1}s1_{number:06d}_00.jpg"
        parts = ["bounding_box_train"]
        if number < 8:
            parts += ["query", "bounding_box_test"]
        for part in parts:
            file = folder / "market1501" / part / name
            cv2.imwrite(str(file), np.ascontiguousarray(image[..., ::-1]))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--config", default="base")
    parser.add_argument("--set", action="append", default=[], metavar="A.B=V")
    parser.add_argument("--steps", type=int, default=7, help="timed steps of each row")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--torchreid", type=Path, help="a checkout of torchreid")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)

    settings = ["data.shares=[]", "loss.teacher=null", "loss.distillation=0"]
    if "model.pretrained" not in " ".join(args.set):
        settings.append("model.pretrained=null")
    config = load_config(args.config, [*settings, *args.set])
    height, width = config.data.height, config.data.width
    drawn = decode(walkers(train_identities=60).train, height, width)
    rows: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        rows["reid_hash"] = Ours(config, drawn, small=False)
        if config.train.small_images:
            rows["reid_hash, small images"] = Ours(config, drawn, small=True)
        if args.torchreid:
            write_market(drawn, Path(folder))
            network = config.model.backbone.replace("-x", "_x").replace(".", "_")
            size, batch = (height, width), rows["reid_hash"].batch
            for name, decoded in (("torchreid", False), ("torchreid, decoded before", True)):
                rows[name] = Torchreid(args.torchreid, Path(folder), network, size, batch, decoded)
        measure(
            rows, args.steps, f"{config.model.backbone}, {height}×{width}, {args.threads} threads"
        )


def measure(rows: dict[str, Any], steps: int, title: str) -> None:
    """Warm all rows up, let them take turns, and print medians."""
    for row in rows.values():
        row(), row()
        if isinstance(row, Ours):
            row.phases.clear()
    seconds: dict[str, list[float]] = {name: [] for name in rows}
    for turn in range(steps):
        names = list(rows)
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            began = time.perf_counter()
            rows[name]()
            seconds[name].append(time.perf_counter() - began)
    print(title)
    peer = statistics.median(seconds["torchreid"]) if "torchreid" in seconds else None
    for name, of_row in seconds.items():
        median = statistics.median(of_row)
        ratio = f"   {peer / median:.2f} × torchreid" if peer else ""
        print(f"{name:28}{rows[name].batch / median:7.0f} images/s{ratio}")
        if isinstance(rows[name], Ours):
            parts = {p: statistics.median(v) for p, v in rows[name].phases.items()}
            shares = ", ".join(
                f"{p} {v / median:.0%}" for p, v in sorted(parts.items(), key=lambda i: -i[1])
            )
            print(f"{'':28}  {shares}")


if __name__ == "__main__":
    main()
