"""A reproduced figure or table of the paper, and the files it is written to."""

import csv
import dataclasses
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from reid_hash import __version__
from reid_hash.data.dataset import Dataset
from reid_hash.evaluation import describe
from reid_hash.models.run_files import MODEL_FILE
from reid_hash.nn.checkpoint import load_checkpoint
from reid_hash.paper.methods.sources import Network
from reid_hash.report.pages.html import Report, write_report
from reid_hash.report.style import save_figure
from reid_hash.utils.files import write_text


@dataclass(frozen=True, eq=False)
class Result:
    """A reproduced figure or table of the paper.

    Attributes:
        name: name on the command line and of the files, such as "fig2".
        dataset: the evaluated data set.
        split: number of the split or draw.
        seed: seed of the trainings, or of the gallery draws.
        records: flat result records; published ones are marked `reported`.
        networks: facts about each network behind it, see `network_facts`.
        scaled_down: by how much trainings are scaled down; empty if they are not.
        picture: the complete picture.
        page: content of the HTML page, with its heading, notes, pictures and table. `write` adds
            the protocol and the command to its facts.
        more: further keys of the JSON object.
        lists: one record per image in the ranking lists of figure 6, for the CSV file.
    """

    name: str
    dataset: Dataset
    split: int
    seed: int
    records: Sequence[Mapping[str, Any]]
    networks: Sequence[Mapping[str, Any]]
    scaled_down: str
    picture: Figure
    page: Report
    more: Mapping[str, Any]
    lists: Sequence[Mapping[str, Any]] = ()

    @property
    def protocol(self) -> str:
        """One line on how the figures are computed."""
        line = describe.protocol_line(self.dataset, describe.DRAWS)
        return f"{line} (split {self.split})"

    def write(self, folder: Path, command: str = "") -> list[Path]:
        """Write NAME.png, .svg, .csv, .json and .html.

        Args:
            folder: destination folder, created if missing.
            command: command line of the run, for the page.

        Returns:
            The files.
        """
        png, svg, table, numbers, page = (
            folder / f"{self.name}.{suffix}" for suffix in ("png", "svg", "csv", "json", "html")
        )
        save_figure(self.picture, png)
        save_figure(self.picture, svg)
        write_text(table, _csv(self.lists or self.records))
        describe.write_json(numbers, self._as_object())
        write_report(page, self._report(command))
        return [png, svg, table, numbers, page]

    def _as_object(self) -> dict[str, Any]:
        value = describe.result_object(
            self.dataset,
            f"{len(self.networks)} networks, see `networks`",
            self.seed,
            self.records,
            describe.DRAWS,
            split=self.split,
            queries=len(self.dataset.query),
            scaled_down=self.scaled_down or None,
            networks=list(self.networks),
            **self.more,
        )
        return {**value, "notes": list(self.page.notes)}

    def _report(self, command: str) -> Report:
        scaled = self.scaled_down
        summary = self.page.summary
        return dataclasses.replace(
            self.page,
            summary=f"{summary} {scaled[:1].upper()}{scaled[1:]}." if scaled else summary,
            facts=[
                ("command", command),
                ("data set", self.protocol),
                *describe.rules(self.dataset),
                ("ties", describe.TIES),
                *self.page.facts,
                ("version", f"reid_hash {__version__}"),
            ],
        )


def network_facts(networks: Iterable[Network]) -> list[dict[str, Any]]:
    """Collect a result's facts about the networks behind it, which must be trained."""
    return [
        {
            "network": network.name,
            "folder": str(network.folder),
            "fingerprint": checkpoint.fingerprint,
            "bits": network.config.model.bits,
            "epochs": network.config.train.epochs,
            "full_epochs": network.full_epochs,
            "seed": network.config.seed,
            "training_seconds": checkpoint.trained_on.get("seconds"),
        }
        for network in networks
        for checkpoint in [load_checkpoint(network.folder / MODEL_FILE)]
    ]


def network_lines(facts: Iterable[Mapping[str, Any]]) -> str:
    """Put network facts into words, one line per network."""
    lines = []
    for of in facts:
        seconds = of["training_seconds"]
        took = f" in {seconds:.0f} s" if seconds is not None else ""
        epochs = f"{of['epochs']} of {of['full_epochs']} epochs"
        lines.append(f"{of['folder']}: {epochs}{took}, seed {of['seed']}, {of['fingerprint']}")
    return "\n".join(lines)


def without(record: Mapping[str, Any], left_out: tuple[str, ...]) -> dict[str, Any]:
    """Drop the figures of a record whose names start with one of `left_out`."""
    return {key: value for key, value in record.items() if not key.startswith(left_out)}


def _csv(records: Sequence[Mapping[str, Any]]) -> str:
    """Write flat records as CSV, with a column for every key and blanks for None."""
    columns = list(dict.fromkeys(key for record in records for key in record))
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return buffer.getvalue()
