"""Time training steps with and without `keep_freed_memory`, each in processes of its own, in turn.

    python tools/bench_allocator.py                               # configs/cuhk03.yaml, one thread
    python tools/bench_allocator.py --backbone timm:tf_efficientnet_lite0 --threads 2 --rounds 5

A step is the network forward and backward on a batch of random images, without losses. Medians
over the rounds, each after warm-up, and the ratio of the two.
"""

import argparse
import statistics
import subprocess  # nosec B404  # runs this file alone
import sys
import time

import torch

from reid_hash.config.reading import load_config
from reid_hash.nn.hashnet import HashNet
from reid_hash.utils.memory import keep_freed_memory

_STEPS = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--backbone", default="resnet-thin")
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one", choices=["plain", "kept"], help="measure here, print the rate")
    args = parser.parse_args()
    if args.one:
        print(rate(args.backbone, args.batch, args.threads, kept=args.one == "kept"))
        return
    rates: dict[str, list[float]] = {"plain": [], "kept": []}
    for turn in range(args.rounds):
        for kind in sorted(rates, reverse=turn % 2 == 0):
            command = [sys.executable, __file__, *sys.argv[1:], "--one", kind]
            done = subprocess.run(  # nosec B603  # no shell, and the arguments are ours
                command, check=True, capture_output=True, text=True
            )
            rates[kind].append(float(done.stdout))
    plain, kept = (statistics.median(rates[kind]) for kind in ("plain", "kept"))
    print(f"{args.backbone}, batches of {args.batch}, {args.threads} threads, {args.rounds} rounds")
    print(f"as the C library does it  {plain:6.1f} images/s  {sorted(map(round, rates['plain']))}")
    print(f"freed memory kept         {kept:6.1f} images/s  {sorted(map(round, rates['kept']))}")
    print(f"ratio                     {kept / plain:6.2f}")


def rate(backbone: str, batch: int, threads: int, *, kept: bool) -> float:
    """Images a second of a training step: the best of several, after one that warms up."""
    if kept and not keep_freed_memory():
        sys.exit("this C library has no mallopt: nothing to compare")
    torch.set_num_threads(threads)
    config = load_config("cuhk03", [f"model.backbone={backbone}", "model.soft_stripes=false"])
    net = HashNet(config).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    images = torch.randn(batch, 3, config.data.height, config.data.width)
    images = images.to(memory_format=torch.channels_last)
    seconds = []
    for _ in range(_STEPS + 1):
        began = time.perf_counter()
        net(images).outputs.square().mean().backward()
        seconds.append(time.perf_counter() - began)
    return batch / min(seconds[1:])


if __name__ == "__main__":
    main()
