"""`nnunet_textguided compare`: what is wrong with the words is said before anything runs; jobs come before tables."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from nnunet_textguided.cli.main import main
from nnunet_textguided.comparison import report
from nnunet_textguided.comparison.grid import Run
from nnunet_textguided.comparison.jobs import Job
from nnunet_textguided.comparison.run_grid import GridRunner
from nnunet_textguided.comparison.submission import JobOutcome
from nnunet_textguided.nnunet_paths import PURPOSES

DATASET = "Dataset900_Tiny"
SYSTEMS = ["--systems", "A=nnUNetTrainer:P,Q", "B=TextGuidedTrainer:P"]
WORDS = ["compare", "-d", DATASET, *SYSTEMS, "-device", "cpu"]


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    for name in PURPOSES:
        (tmp_path / name / DATASET).mkdir(parents=True)
        monkeypatch.setenv(name, str(tmp_path / name))
    preprocessed = tmp_path / "nnUNet_preprocessed" / DATASET
    splits = [{"train": ["b"], "val": ["a"]}, {"train": ["a"], "val": ["b"]}]
    (preprocessed / "splits_final.json").write_text(json.dumps(splits))
    (preprocessed / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "L5": 1}}))
    for plans in ("P", "Q"):
        (preprocessed / f"{plans}.json").write_text(json.dumps({"configurations": {"2d": {}}}))
    return preprocessed


@pytest.fixture
def tables(monkeypatch):
    """Stand in for scoring and writing; notes what was asked for."""
    asked = []

    def compare_grid(grid, folders, records, options, different_plans, processes):
        asked.append(SimpleNamespace(grid=grid, records=records, options=options, different_plans=different_plans))
        labels = [system.label for system in grid.systems]
        names = [f"{m}_{part}" for m in ("miou", "mdice", "hd95_mm", "assd_mm") for part in ("mean", "sd")]
        overall = pd.DataFrame([{"system": label, **dict.fromkeys(names, 0.5)} for label in labels])
        costs = pd.DataFrame({"system": labels, "seconds_per_epoch": 12.34, "seconds_per_case": None})
        statistics = pd.DataFrame(columns=["measure", "system", "low"])
        return SimpleNamespace(
            grid=grid, reference=labels[0], cases=("a", "b"), overall=overall, costs=costs, statistics=statistics,
            notes=("one",), rules=("a rule",),
        )  # fmt: skip

    def write_comparison(comparison, folders, out, pictures):
        asked[-1].pictures, asked[-1].out = pictures, out
        return report.WrittenComparison(comparison, [Path("t.md"), Path("t.html"), Path("t.csv")])

    monkeypatch.setattr(report, "compare_grid", compare_grid)
    monkeypatch.setattr(report, "write_comparison", write_comparison)
    return asked


@pytest.fixture
def no_jobs(monkeypatch):
    monkeypatch.setattr(GridRunner, "run", lambda self, names=(): pytest.fail("a job was started"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-d", DATASET], "Name what is compared"),
        (["-d", DATASET, "--systems", "A=Trainer"], "LABEL=TRAINER:PLANS"),
        (["-d", DATASET, "--systems", "A=X:P", "A=Y:P"], "Two systems are called A"),
        (["-d", DATASET, "-tr", "X"], "-tr and -p belong together"),
        (["-d", DATASET, *SYSTEMS, "-f", "0", "0"], "each named once"),
        (["-d", DATASET, *SYSTEMS, "--run", "-f", "0", "5"], r"folds 0 to 1, got fold 5"),
        (["-d", DATASET, *SYSTEMS, "--reference", "C"], "'C' is none of the systems: A, B"),
        (["-d", DATASET, *SYSTEMS, "--upper", "L9"], "L9"),
        (["-d", DATASET, *SYSTEMS, "--exclude", "canal"], "has no such label. It has: background, L5"),
        (["-d", DATASET, DATASET, *SYSTEMS], "named twice"),
        (["-d", DATASET, "-c", "2d", "2d", *SYSTEMS], "named twice"),
        (["-d", "777", *SYSTEMS], "'777' is not found"),
        (["-d", DATASET, *SYSTEMS, "--only", "x"], "add --run"),
        (["-d", DATASET, *SYSTEMS, "--run", "--only", "x"], "names no run"),
        (["-d", DATASET, *SYSTEMS, "--run", "--cluster", "slurm"], "time=720"),
        (["-d", DATASET, *SYSTEMS, "--run", "--slurm", "time=3"], "add --cluster slurm"),
        (["-d", DATASET, *SYSTEMS, "--run", "-num_gpus", "2", "-device", "cpu"], "needs -device cuda"),
    ],
)
def test_what_is_wrong_is_said_before_anything_runs(words, message, capsys):
    assert main(["compare", *words]) == 2
    assert re.search(message, capsys.readouterr().err)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--systems", "A=TextGuidedTrainr:P"], "TextGuidedTrainer"),
        (["--systems", "A=nnUNetTrainer:R"], "There are: .*`nnunet_textguided plan"),
        (["--systems", "A=nnUNetTrainer:P", "-c", "3d_fullres"], "no configuration '3d_fullres'; it has: 2d"),
    ],
)
def test_what_nnunet_would_not_find_is_said_before_the_first_training(words, message, capsys, monkeypatch):
    from nnunet_textguided.comparison import run_grid

    monkeypatch.setattr(run_grid, "run_jobs", lambda *args: pytest.fail("a job was started"))
    assert main(["compare", "-d", DATASET, *words, "--run", "-device", "cpu"]) == 2
    assert re.search(message, capsys.readouterr().err)


def test_unfinished_runs_are_listed_without_run(capsys, tmp_path, no_jobs):
    assert main(WORDS) == 2
    error = capsys.readouterr().err
    assert "6 of 6 runs cannot be compared yet" in error
    assert f"{DATASET}/TextGuidedTrainer__P__2d/fold_1" in error
    assert "--run" in error
    assert not (tmp_path / "comparison" / f"{DATASET}_2d").exists()


def test_dry_run_lists_every_run_a_fold_after_the_other_and_starts_none(capsys, no_jobs, tables):
    assert main([*WORDS, "--dry-run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    names = ["nnUNetTrainer__P", "nnUNetTrainer__Q", "TextGuidedTrainer__P"]
    assert [line.split()[:2] for line in lines[:-1]] == [
        [f"{DATASET}/{name}__2d/fold_{fold}", "train"] for fold in (0, 1) for name in names
    ]
    assert lines[-1] == "6 runs: 6 train"
    assert tables == []


def test_tables_of_every_data_set_and_configuration_are_made_with_what_was_asked(capsys, tables, tmp_path, no_jobs):
    words = ["-c", "2d", "3d_fullres", "-f", "1", "--reference", "B", "--exclude", "L5", "--upper", "T12"]
    assert main([*WORDS, *words, "-o", "out", "--different-plans", "--no-pictures"]) == 0
    assert [entry.grid.configuration for entry in tables] == ["2d", "3d_fullres"]
    first = tables[0]
    assert first.grid.folds == (1,)
    assert [(s.label, s.trainer, s.plans) for s in first.grid.systems] == [
        ("A", "nnUNetTrainer", ("P", "Q")),
        ("B", "TextGuidedTrainer", ("P",)),
    ]
    options = first.options
    assert (options.reference, options.exclude, options.upper) == ("B", ("L5",), ("T12",))
    assert (first.different_plans, first.pictures, first.out) == (True, False, Path("out"))
    assert first.records == tmp_path / "out" / "records"
    printed = capsys.readouterr().out
    assert "0.500 +- 0.500" in printed
    assert "12.3        -" in printed
    assert "Note: one" in printed
    assert "- a rule" in printed
    assert "t.md, t.html and 1 more files" in printed


def test_trainers_and_plans_make_a_product(tables, no_jobs):
    assert main(["compare", "-d", DATASET, "-tr", "X", "Y", "-p", "P", "Q"]) == 0
    assert [s.label for s in tables[0].grid.systems] == ["X (P)", "X (Q)", "Y (P)", "Y (Q)"]


JOB = Job(Run(DATASET, "2d", "nnUNetTrainer", "P", 0), "train")


def outcome(status, tmp_path):
    log = tmp_path / "log.out"
    log.write_text("first\nlast words\n")
    return JobOutcome(JOB, status, "the reason", log)


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ("failed", ["FAILED", "the reason", "log.out", "| last words", f"--run --only {JOB.name}"]),
        ("busy", ["IN WORK ELSEWHERE", "the reason"]),
    ],
)
def test_job_that_did_not_finish_is_reported_and_nothing_is_compared(
    status, said, capsys, tables, monkeypatch, tmp_path
):
    monkeypatch.setattr(GridRunner, "run", lambda self, names: [outcome(status, tmp_path)])
    assert main([*WORDS, "--run"]) == 1
    printed = capsys.readouterr().out
    assert all(part in printed for part in [JOB.name, *said])
    assert tables == []


def test_chosen_run_done_and_others_left_is_a_success_without_tables(capsys, tables, monkeypatch, tmp_path):
    monkeypatch.setattr(GridRunner, "run", lambda self, names: [outcome("finished", tmp_path)])
    assert main([*WORDS, "--run", "--retry", JOB.name]) == 0
    assert "these are not finished" in capsys.readouterr().out
    assert tables == []


def test_all_jobs_finished_tables_follow(tables, monkeypatch, tmp_path):
    monkeypatch.setattr(GridRunner, "run", lambda self, names: [outcome("finished", tmp_path)])
    assert main([*WORDS, "--run"]) == 0
    assert len(tables) == 1


def test_interruption_says_how_to_go_on(capsys, monkeypatch):
    def interrupted(self, names):
        raise KeyboardInterrupt

    monkeypatch.setattr(GridRunner, "run", interrupted)
    assert main([*WORDS, "--run"]) == 130
    assert "The same command goes on from their last checkpoints" in capsys.readouterr().out
