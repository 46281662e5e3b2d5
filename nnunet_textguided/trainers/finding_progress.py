"""How the findings get on from epoch to epoch: a table and a picture beside nnU-Net's progress.png."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from nnunet_textguided.checkpoint_files import check_still_there
from nnunet_textguided.csv_cells import read_table, write_table
from nnunet_textguided.evaluation.finding_metrics import POOLED, score_decisions
from nnunet_textguided.figure_text import literal
from nnunet_textguided.files import atomic_path

TABLE_FILE, PICTURE_FILE = "findings_progress.csv", "findings_progress.png"
CURVES = ("auroc", "balanced_accuracy")


class FindingProgress:
    """Collects the decisions of an epoch's validation patches and keeps the curves.

    nnU-Net's logger takes no keys of others, so the curves have files of their own.

    Args:
        folder: The fold's output folder.
        names: Findings in channel order.
    """

    def __init__(self, folder: Path, names: tuple[str, ...]) -> None:
        self.folder = folder
        self.names = names
        self.clear()

    def clear(self) -> None:
        """Start an epoch's validation."""
        self._truth: list[list[np.ndarray]] = [[] for _ in self.names]
        self._probability: list[list[np.ndarray]] = [[] for _ in self.names]

    def add(self, scores: np.ndarray, status: np.ndarray, asked: np.ndarray) -> None:
        """Add a batch.

        Args:
            scores: (B, S, F) logits.
            status: (B, S, F), 1 present, 0 absent, -1 not assessed.
            asked: (B, S, F) bool, decisions that entered the loss.
        """
        probability = 1 / (1 + np.exp(-scores.astype(float)))
        for column in range(len(self.names)):
            chosen = asked[..., column]
            self._truth[column].append(status[..., column][chosen])
            self._probability[column].append(probability[..., column][chosen])

    def decisions(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Truth and probability of each finding so far, to be gathered over processes."""
        truth, probability = (
            [np.concatenate([np.empty(0), *one]) for one in kind] for kind in (self._truth, self._probability)
        )
        return truth, probability

    def finish(self, epoch: int, truth: list[np.ndarray], probability: list[np.ndarray]) -> pd.DataFrame:
        """Score an epoch, then write table and picture.

        Args:
            epoch: Its number; what the table holds of this or later epochs is replaced (a resumed training).
            truth: For each finding 1 or 0.
            probability: For each finding, of the same decisions.

        Returns:
            The rows of this epoch.

        Raises:
            UserError: The folder is gone, or cannot be written to.
        """
        check_still_there(self.folder, TABLE_FILE)
        parts = dict(zip(self.names, zip(truth, probability, strict=True), strict=True))
        parts[POOLED] = np.concatenate(truth), np.concatenate(probability)
        rows = [{"epoch": epoch, "finding": name, **score_decisions(t, p, p >= 0.5)} for name, (t, p) in parts.items()]
        new = pd.DataFrame(rows)[["epoch", "finding", "n", "n_present", *CURVES]]
        path = self.folder / TABLE_FILE
        old = read_table(path, ["finding"]) if path.is_file() else new.iloc[:0]
        table = pd.concat([part for part in (old[old["epoch"] < epoch], new) if len(part)], ignore_index=True)
        write_table(table, path)
        self._draw(table)
        return new

    def _draw(self, table: pd.DataFrame) -> None:
        figure = Figure(figsize=(10, 8), layout="constrained")
        axes = figure.subplots(2, 1, sharex=True)
        for axis, curve in zip(axes, CURVES, strict=True):
            for name, rows in table.groupby("finding", sort=False):
                pooled = name == POOLED
                style = {"color": "black", "linewidth": 2} if pooled else {"alpha": 0.7, "linewidth": 1}
                axis.plot(rows["epoch"], rows[curve], label=literal(name), **style)
            axis.set_ylabel(curve.replace("_", " "))
            axis.set_ylim(0, 1)
            axis.axhline(0.5, color="grey", linestyle=":")
        axes[0].legend(loc="lower right", fontsize="small")
        axes[1].set_xlabel("epoch (validation patches)")
        with atomic_path(self.folder / PICTURE_FILE) as temporary:
            figure.savefig(temporary, format="png", dpi=80)
