"""Open-set figures of a re-identification benchmark."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from reid_hash.data.dataset import Dataset
from reid_hash.data.images import Pixels
from reid_hash.metrics import open_set_draws


def open_set_line(draws: int) -> str:
    """Describe `tpir_at_fpir_1` in one line."""
    return (
        f"in each of {draws} draws a random half of the test identities is enrolled, the others "
        "are strangers; TPIR at 1 % FPIR is the share of enrolled people's queries whose nearest "
        "image is right and within the threshold at which at most 1 % of strangers' queries are "
        "answered (ISO/IEC 19795-1)"
    )


@dataclass(frozen=True, eq=False)
class OpenSetDraws:
    """Random choices of who is enrolled, the same for every row of a result.

    Attributes:
        dataset: data set, which determines camera rule and protocol.
        query: labels and cameras of the queries.
        gallery: labels and cameras of the gallery.
        draws: number of draws.
        seed: seed of the draws.
    """

    dataset: Dataset
    query: Pixels
    gallery: Pixels
    draws: int
    seed: int

    def figures(self, blocks: Iterable[tuple[slice, ArrayLike]]) -> dict[str, float]:
        """Compute `tpir_at_fpir_1`, the mean over the draws, and its standard deviation.

        Args:
            blocks: (rows, [rows, gallery] distances); a single block if single-shot.
        """
        drawn = open_set_draws(
            blocks,
            self.query.labels,
            self.gallery.labels,
            self.query.cameras,
            self.gallery.cameras,
            self.dataset.camera_rule,
            single_shot=self.dataset.single_shot,
            draws=self.draws,
            seed=self.seed,
            fpir=0.01,
        )
        tpir = np.array([one.tpir for one in drawn])
        return {"tpir_at_fpir_1": float(tpir.mean()), "tpir_at_fpir_1_std": float(tpir.std())}
