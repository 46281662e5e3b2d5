"""A system can be scored with the names of its predictions in order, from the same training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from toy import SPACING_MM, ToyDataset, write_mask, write_toy_dataset

from nnunet_textguided.cli.main import main
from nnunet_textguided.comparison.comparison import CompareOptions
from nnunet_textguided.comparison.fairness import check_fair
from nnunet_textguided.comparison.gather import gather
from nnunet_textguided.comparison.grid import Grid, System
from nnunet_textguided.comparison.jobs import jobs_of
from nnunet_textguided.comparison.report import compare_grid
from nnunet_textguided.errors import UserError

LABELS = {"L5": 1, "L4": 2, "L3": 3, "L2": 4, "L5/S": 5, "L4/L5": 6, "L2/L3": 8, "L1/L2": 7, "L3/L4": 9}


def tall(names: tuple[str, ...]) -> np.ndarray:
    """Boxes from below upwards, bodies of 24 mm and discs of 9 mm."""
    labels = np.zeros((4, 110, 30), np.uint8)
    row = 108
    for name in names:
        rows = 6 if "/" in name else 16
        labels[1:3, row - rows : row, 5:25] = LABELS[name]
        row -= rows
    return labels


WHOLE = ("L5/S", "L5", "L4/L5", "L4", "L3/L4", "L3", "L2/L3", "L2")


@pytest.fixture
def toy(tmp_path: Path) -> ToyDataset:
    """Every prediction calls the upper two thirds of L4 L3, and is perfect otherwise."""
    toy = write_toy_dataset(tmp_path, cases=4, labels={"background": 0, **LABELS})
    for case in toy.truths:
        toy.truths[case] = tall(WHOLE)
        write_mask(toy.folders.truth(toy.name) / f"{case}.nii.gz", toy.truths[case])
    for run in grid_of(toy).runs():
        if run.names_in_order:
            continue
        toy.write_model(run, quality=1.0, weights={"w": torch.zeros(4)})
        for case in toy.folds[run.fold]:
            wrong = tall(WHOLE)
            rows = np.flatnonzero((wrong == LABELS["L4"]).any((0, 2)))
            wrong[:, rows[0] : rows[0] + 11][wrong[:, rows[0] : rows[0] + 11] == LABELS["L4"]] = LABELS["L3"]
            write_mask(run.predictions(toy.folders.results) / f"{case}.nii.gz", wrong)
    return toy


def grid_of(toy: ToyDataset) -> Grid:
    plain, ordered = (System.parse(f"{label}=nnUNetTrainer:nnUNetPlans{end}") for label, end in ENDS.items())
    return Grid(toy.name, "2d", (0, 1), (plain, ordered))


ENDS = {"plain": "", "in order": ":names_in_order"}


def test_both_are_scored_from_one_training(toy: ToyDataset, tmp_path: Path):
    grid, records = grid_of(toy), tmp_path / "records"
    made = gather(grid, toy.folders, records)
    plain, ordered = [r for r in made if not r.run.names_in_order], [r for r in made if r.run.names_in_order]
    assert len(plain) == len(ordered) == 2
    assert check_fair(grid, made) == []
    for record in plain:
        l4 = record.structures.query("structure == 'L4'")["iou"]
        assert l4.to_numpy() == pytest.approx(5 / 16)  # 5 of 16 rows have the right name
    for record in ordered:
        assert record.structures["iou"].dropna().to_numpy() == pytest.approx(1.0)
        assert (record.run.predictions(toy.folders.results) / f"{record.cases[0]}.nii.gz").is_file()
    again = gather(grid, toy.folders, records)
    assert [record.provenance for record in again] == [record.provenance for record in made]


def test_the_network_s_own_predictions_stay(toy: ToyDataset, tmp_path: Path):
    grid = grid_of(toy)
    files = [
        run.predictions(toy.folders.results) / f"{case}.nii.gz"
        for run in grid.runs()
        if not run.names_in_order
        for case in toy.folds[run.fold]
    ]
    before = [file.read_bytes() for file in files]
    gather(grid, toy.folders, tmp_path / "records")
    assert [file.read_bytes() for file in files] == before
    ordered = next(run for run in grid.runs() if run.names_in_order)
    image = sitk.ReadImage(str(next(ordered.predictions(toy.folders.results).glob("*.nii.gz"))))
    assert image.GetSpacing()[::-1] == pytest.approx(SPACING_MM)


def test_nothing_is_trained_twice(toy: ToyDataset, tmp_path: Path):
    jobs = jobs_of([grid_of(toy)], toy.folders, tmp_path / "records", costs=False)
    assert len(jobs) == 2
    assert not any(job.run.names_in_order for job in jobs)


def test_the_page_says_whose_names_are_in_order(toy: ToyDataset, tmp_path: Path):
    comparison = compare_grid(grid_of(toy), toy.folders, tmp_path / "records", CompareOptions())
    assert any(note.startswith("Names in order: in order.") for note in comparison.notes)
    means = comparison.overall.set_index("system")["miou_mean"]
    assert means["in order"] > means["plain"]


def test_a_system_reads_as_it_is_typed():
    assert System.parse("A=T:P,Q:names_in_order") == System("A", "T", ("P", "Q"), names_in_order=True)
    assert System.parse("T:P:names_in_order").label == "T (P, names in order)"
    with pytest.raises(UserError, match="names_in_order"):
        System.parse("A=T:P:in_order")


def test_labels_without_an_order_are_refused_before_anything_is_run(tmp_path: Path, monkeypatch, capsys):
    toy = write_toy_dataset(tmp_path, cases=4, labels={"background": 0, "head": 1, "tail": 2})
    for name in ("raw", "preprocessed", "results"):
        monkeypatch.setenv(f"nnUNet_{name}", str(getattr(toy.folders, name)))
    command = ["compare", "-d", toy.name, "--systems", "A=nnUNetTrainer:nnUNetPlans:names_in_order", "--run"]
    assert main(command) == 2
    assert "discs" in capsys.readouterr().err
