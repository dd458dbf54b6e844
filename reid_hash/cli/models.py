"""`reid-hash models`."""

from pathlib import Path

import click

from reid_hash.cli import show
from reid_hash.errors import CheckpointError
from reid_hash.models.head_encoder import is_head, load_head
from reid_hash.models.shipped import ShippedModel, default_model, shipped_model, shipped_models
from reid_hash.utils.terminal_text import echo, visible


@click.command("models", short_help="The models that come with the toolkit")
@click.argument("name", required=False)
def command(name: str | None) -> None:
    """List the shipped models, or print the card of the one called NAME.

    NAME may also be the file of a head that `reid-hash fit` wrote: its certificate is printed.

    `--model NAME` of other commands picks one; one of them is used where a command has no model
    and there is no trained one for the data set.
    """
    if name is not None:
        if is_head(name):
            show.head(load_head(name), Path(name).name)
            return
        found = shipped_model(name)
        if found is None:
            known = ", ".join(model.name for model in shipped_models())
            raise CheckpointError(f"no shipped model is called {name!r}; there are: {known}")
        _, _, text = found.card.read_text(encoding="utf-8").split("---\n", 2)
        echo(visible(text.strip(), keep="\n"))
        return
    _print_table(shipped_models())


def _print_table(models: list[ShippedModel]) -> None:
    names = ("name", "parameters", "size", "input", "bits", "rank-1 by bits", "trained on")
    columns = [
        show.Column(name, name in ("parameters", "size"), name in ("rank-1 by bits", "trained on"))
        for name in names
    ]
    chosen, rows = default_model(), []
    for model in models:
        facts = model.facts
        rates = " · ".join(f"{100 * rate:.0f} @{bits}" for bits, rate in facts["rank1"].items())
        rows.append(
            [
                model.name + (" (default)" if model == chosen else ""),
                f"{facts['parameters']:,}",
                f"{model.file.stat().st_size / 1e6:.1f} MB",
                str(facts["input"]),
                str(facts["bits"]),
                rates,
                str(facts["trained_on"]),
            ]
        )
    show.table(columns, rows)
    show.line(
        "rank-1 in percent, weighted Hamming distance, by the test that the card names: "
        "reid-hash models NAME"
    )
