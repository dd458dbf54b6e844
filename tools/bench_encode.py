"""Time a model's way from decoded crops to outputs: torch, onnxruntime, OpenCV's dnn.

    python tools/bench_encode.py                                    # the shipped model, one thread
    python tools/bench_encode.py --model runs/…/model.safetensors --threads 8 --batches 1,32
    python tools/bench_encode.py --device cuda                      # OpenCV stays on the processor

All rows run the same network on the same crops of `walkers`, in one process: normalisation and the
average with the mirror image are part of it, decoding files is not. Each row is warmed up; then the
rows take turns, their order rotated; medians are printed.
"""

import argparse
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

from reid_hash.app.runs import RUNS, find_model
from reid_hash.data.walkers import walkers
from reid_hash.models.onnx_encoder import INPUT, OUTPUTS, OnnxEncoder
from reid_hash.models.onnx_export import export_onnx
from reid_hash.models.torch_encoder import TorchEncoder, pick_device
from reid_hash.nn.checkpoint import load_checkpoint
from reid_hash.training.setup import use_bf16

Images = NDArray[np.uint8]
Run = Callable[[Images], NDArray[np.float32]]
"""[n, height, width, 3] → outputs [n, bits]."""


def by_torch(encoder: TorchEncoder) -> Run:
    return lambda images: encoder.outputs(images)[0]


def by_torch_bf16(encoder: TorchEncoder) -> Run:
    def run(images: Images) -> NDArray[np.float32]:
        with torch.autocast(encoder.device.type, torch.bfloat16):
            return encoder.outputs(images)[0]

    return run


def by_onnxruntime(file: Path, device: str, threads: int) -> Run:
    encoder = OnnxEncoder(file, device, threads)
    return lambda images: encoder.outputs(images)[0]


def by_opencv(file: Path, size: tuple[int, int]) -> Run:
    net = cv2.dnn.readNetFromONNX(str(file))

    def run(images: Images) -> NDArray[np.float32]:
        net.setInput(images, INPUT)
        return net.forward(list(OUTPUTS))[0]

    run(np.zeros((1, *size, 3), np.uint8))  # what it cannot run it says only now
    return run


def runtimes(encoder: TorchEncoder, file: Path, args: argparse.Namespace) -> dict[str, Run]:
    rows = {f"torch {torch.__version__}": by_torch(encoder)}
    if use_bf16("auto", args.device):
        rows[f"torch {torch.__version__}, bf16"] = by_torch_bf16(encoder)
    else:
        print("torch, bf16: left out, the processor does not multiply it in hardware")
    rows[f"onnxruntime {onnxruntime.__version__}"] = by_onnxruntime(file, args.device, args.threads)
    try:
        rows[f"OpenCV {cv2.__version__} dnn"] = by_opencv(file, encoder.size)
    except cv2.error as error:
        print(f"OpenCV dnn: left out, it cannot run this network: {str(error).splitlines()[0]}")
    return rows


def crops(n: int, size: tuple[int, int]) -> Images:
    data = walkers(train_identities=1, test_identities=-(-n // 8), height=size[0], width=size[1])
    return np.stack([data.query.read(i) for i in range(n)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, default=Path("small"), help="as of other commands")
    parser.add_argument("--device", default="cpu", choices=["auto", "cpu", "cuda", "mps"])
    parser.add_argument("--threads", type=int, default=1, help="of the processor")
    parser.add_argument("--batches", default="1,8,64", help="images a call, with commas")
    parser.add_argument("--rounds", type=int, default=15)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(args.threads)
    args.device = pick_device(args.device).type
    batches = [int(part) for part in args.batches.split(",")]
    checkpoint = load_checkpoint(find_model(args.model, "cuhk03", RUNS))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        export_onnx(checkpoint, file)
        encoder = TorchEncoder(checkpoint, args.device)
        rows = runtimes(encoder, file, args)
    size = encoder.size
    images = crops(max(batches), size)
    print(
        f"model {args.model}, {size[0]}×{size[1]}, {args.device}, threads={args.threads}; median "
        f"of {args.rounds} calls; {os.cpu_count()} processors ({platform.machine()})"
    )
    print("processor time hardly depends on what else is running; bits: equal to torch's, of all")
    print(f"{'':24} {'batch':>6} {'ms':>9} {'images/s':>9} {'images/cpu s':>13} {'bits':>9}")
    for batch in batches:
        measure(rows, images[:batch], args.rounds)


def measure(rows: dict[str, Run], images: Images, rounds: int) -> None:
    """Time one batch size and print its rows."""
    signs = {name: run(images) > 0 for name, run in rows.items()}  # the warm-up
    true = next(iter(signs.values()))
    wall: dict[str, list[float]] = {name: [] for name in rows}
    used: dict[str, list[float]] = {name: [] for name in rows}
    names = list(rows)
    for turn in range(rounds):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            start, busy = time.perf_counter(), time.process_time()
            rows[name](images)
            wall[name].append(time.perf_counter() - start)
            used[name].append(time.process_time() - busy)
    for name in names:
        seconds, processor = statistics.median(wall[name]), statistics.median(used[name])
        print(
            f"{name:24} {len(images):6} {1e3 * seconds:9.2f} {len(images) / seconds:9.0f} "
            f"{len(images) / processor:13.0f} {(signs[name] == true).mean():9.3%}"
        )


if __name__ == "__main__":
    main()
