"""The table of models: each shipped one, and networks of others, on each test set that is there.

    python tools/zoo.py --test market1501=DIR --test cuhk03=DIR --test viper=DIR
    python tools/zoo.py --test market1501=DIR --network osnet.onnx --preset torchreid

Prints Markdown: rank-1 / mAP in per cent, weighted codes at each length, real-valued queries
against the whole code, and float embeddings; images a second, files read and decoded; megabytes. A
model that lacks a length has a dash there. Figures of models that were trained on the persons of a
test set would be worth nothing: cards say what each was trained on.
"""

import argparse
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import reid_hash
from reid_hash.errors import ReidHashError
from reid_hash.models.foreign.network import Network
from reid_hash.models.shipped import list_models, shipped_model
from reid_hash.utils.files import write_text

LENGTHS = (32, 64, 128, 256)
COLUMNS = [*(f"{bits} bits" for bits in LENGTHS), "asymmetric", "floats"]
HEADER = f"| model | {' | '.join(COLUMNS)} | images/s | MB |"


def cells(records: Iterable[Mapping[str, Any]], longest: int) -> list[str]:
    """rank-1 / mAP of each of `COLUMNS`.

    Args:
        records: of an evaluation.
        longest: length of the model's codes; 0 where it has none.
    """
    found: dict[str, str] = {}
    for record in records:
        text = f"{100 * record['rank1']:.1f} / {100 * record['map']:.1f}"
        if record["method"] == "float embedding":
            found["floats"] = text
        elif record.get("asymmetric") and record.get("weighted") and record["bits"] == longest:
            found["asymmetric"] = text
        elif record.get("weighted") and not record.get("asymmetric"):
            found[f"{record['bits']} bits"] = text
    return [found.get(column, "–") for column in COLUMNS]


def row(name: str, model: str | Network, test: str, root: str) -> str:
    """A line of the table; what went wrong where it could not be made."""
    try:
        encoder = reid_hash.load_model(model)
        codes = bool(encoder.bits)
        found = reid_hash.evaluate(
            test,
            model=model,
            data=root,
            protocol="single-shot" if test == "cuhk03" else None,
            bits=[bits for bits in LENGTHS if bits <= encoder.bits] or None,
            asymmetric=codes,
            embedding=True,
        )
    except ReidHashError as error:
        print(f"{name} on {test}: {error}", file=sys.stderr)
        return f"| {name} |{' – |' * (len(COLUMNS) + 2)}"
    images = len(found.dataset.query)
    if found.dataset.gallery is not found.dataset.query:
        images += len(found.dataset.gallery)
    shipped = None if isinstance(model, Network) else shipped_model(model)
    file = Path(model.file) if isinstance(model, Network) else shipped and shipped.file
    size = file.stat().st_size / 1e6 if file and file.is_file() else 0.0
    speed = images / found.seconds["encode"]
    figures = " | ".join(cells(found.records, encoder.bits))
    return f"| {name} | {figures} | {speed:.0f} | {size:.1f} |"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--test", action="append", required=True, metavar="DATASET=DIR")
    parser.add_argument("--model", action="append", help="shipped names or files; all shipped ones")
    parser.add_argument("--network", action="append", default=[], help="a network of others")
    parser.add_argument("--preset", help="of these networks")
    parser.add_argument("--output", type=Path, help="also write the Markdown here")
    asked = parser.parse_args()
    models: dict[str, str | Network] = {m: m for m in asked.model or list_models()}
    models |= {Path(file).stem: Network(file, preset=asked.preset) for file in asked.network}
    lines: list[str] = []
    for test, _, root in (one.partition("=") for one in asked.test):
        lines += ["", f"**{test}**", "", HEADER, "|---|" + "---:|" * (len(COLUMNS) + 2)]
        for name, model in models.items():
            lines.append(row(name, model, test, root))
            print(lines[-1], flush=True)
    text = "\n".join(lines).strip() + "\n"
    print("\n" + text)
    if asked.output:
        write_text(asked.output, text)


if __name__ == "__main__":
    main()
