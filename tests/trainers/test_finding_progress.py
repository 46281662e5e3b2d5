from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nnunet_textguided.errors import UserError
from nnunet_textguided.trainers.finding_progress import FindingProgress


def batch(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    status = rng.integers(-1, 2, (6, 3, 2))
    return rng.normal(size=(6, 3, 2)) + 3 * (status == 1), status, status >= 0


def test_only_decisions_that_were_asked_are_counted(tmp_path: Path):
    progress = FindingProgress(tmp_path, ("a", "b"))
    scores, status, asked = batch()
    asked[0] = False
    progress.add(scores, status, asked)
    rows = progress.finish(0, *progress.decisions()).set_index("finding")
    assert rows.loc["a", "n"] == asked[..., 0].sum()
    assert rows.loc["a", "n_present"] == (status[..., 0][asked[..., 0]] == 1).sum()
    assert rows.loc["all findings", "n"] == asked.sum()
    assert rows.loc["all findings", "auroc"] > 0.9


def test_table_grows_and_a_resumed_epoch_replaces_its_rows(tmp_path: Path):
    progress = FindingProgress(tmp_path, ("a", "b"))
    for epoch, seed in ((0, 0), (1, 1), (2, 2), (1, 3)):
        progress.clear()
        progress.add(*batch(seed))
        last = progress.finish(epoch, *progress.decisions())
    table = pd.read_csv(tmp_path / "findings_progress.csv")
    assert sorted(table.epoch.unique()) == [0, 1]
    assert len(table) == 2 * 3
    assert table[table.epoch == 1].n.tolist() == last.n.tolist()
    assert (tmp_path / "findings_progress.png").stat().st_size > 1000


@pytest.mark.parametrize("present", [0, 1])
def test_an_epoch_that_saw_one_outcome_only_has_no_auroc(tmp_path: Path, present: int):
    progress = FindingProgress(tmp_path, ("a",))
    progress.add(np.zeros((2, 1, 1)), np.full((2, 1, 1), present), np.ones((2, 1, 1), bool))
    assert progress.finish(0, *progress.decisions()).auroc.isna().all()


def test_an_epoch_that_saw_nothing_is_no_error(tmp_path: Path):
    progress = FindingProgress(tmp_path, ("a",))
    assert progress.finish(0, *progress.decisions()).n.tolist() == [0, 0]


def test_a_folder_that_is_gone_is_not_made_anew(tmp_path: Path):
    folder = tmp_path / "fold_0"
    folder.mkdir()
    progress = FindingProgress(folder, ("a", "b"))
    progress.add(*batch())
    folder.rename(tmp_path / "elsewhere")
    with pytest.raises(UserError, match=r"fold_0 is gone, so no findings_progress\.csv was written.*unmounted.*--c"):
        progress.finish(0, *progress.decisions())
    assert [path.name for path in tmp_path.iterdir()] == ["elsewhere"]
