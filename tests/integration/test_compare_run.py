"""A grid with one training killed mid-way: the same command again finishes it and repeats nothing."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sysconfig
from pathlib import Path

import pytest

from nnunet_textguided.ext_path import ext_dir

pytestmark = pytest.mark.slow

TRAINERS = '''"""Three epochs of two iterations; one of the trainers is killed in its second epoch, once."""
import os
import torch
from pathlib import Path
from nnunet_textguided.trainers import TextGuidedTrainer, nnUNetTrainer_short


class ThreeEpochs:
    def __init__(self, plans: dict, configuration: str, fold: int, dataset_json: dict,
                 device: torch.device = torch.device("cuda")):
        super().__init__(plans, configuration, fold, dataset_json, device)
        self.num_epochs, self.num_iterations_per_epoch = 3, 2
        self.num_val_iterations_per_epoch = self.save_every = 1


class SteadyUNet(ThreeEpochs, nnUNetTrainer_short):
    pass


class KilledTextGuided(ThreeEpochs, TextGuidedTrainer):
    def on_train_epoch_start(self):
        super().on_train_epoch_start()
        mark = Path(self.output_folder) / "was_killed"
        if self.current_epoch == 1 and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), 9)
'''
PLANS = "nnUNetPlansTextGuided"
SYSTEMS = [f"Text-guided=KilledTextGuided:{PLANS}", f"U-Net=SteadyUNet:{PLANS}"]


@pytest.fixture
def compare(nnunet_folders: Path, tiny_dataset: Path, text_guided_plans: str, tmp_path: Path):
    """Run `nnunet_textguided compare` on fold 0 with two tiny systems."""
    own = tmp_path / "own_trainers"
    own.mkdir()
    (own / "three_epochs.py").write_text(TRAINERS)
    cases = [f"case_{number:02d}" for number in range(12)]
    (tiny_dataset / "splits_final.json").write_text(json.dumps([{"train": cases[3:], "val": cases[:3]}]))
    environment = dict(os.environ)
    environment["PATH"] = sysconfig.get_path("scripts") + os.pathsep + environment["PATH"]
    environment["nnUNet_extTrainer"] = f"{ext_dir()}{os.pathsep}{own}"
    environment.update(HF_HUB_OFFLINE="1", OMP_NUM_THREADS="1", nnUNet_n_proc_DA="0")

    def run(*words: str) -> subprocess.CompletedProcess:
        line = ["nnunet_textguided", "compare", "-d", "900", "--systems", *SYSTEMS, "-device", "cpu", *words]
        return subprocess.run(line, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=3600)

    yield run
    (tiny_dataset / "splits_final.json").unlink()


def test_killed_training_is_continued_and_finished_ones_are_not_repeated(compare, nnunet_folders, tmp_path):
    results = nnunet_folders / "nnUNet_results" / "Dataset900_Tiny"
    killed, steady = (results / f"{name}__{PLANS}__2d" / "fold_0" for name in ("KilledTextGuided", "SteadyUNet"))

    before = compare()
    assert before.returncode == 2
    assert "2 of 2 runs cannot be compared yet" in before.stderr

    first = compare("--run")
    assert first.returncode == 1, first.stdout + first.stderr
    assert "FAILED Dataset900_Tiny/KilledTextGuided" in first.stdout
    assert "ended from outside" in first.stdout
    assert (killed / "checkpoint_latest.pth").is_file()
    finished = {path: path.stat().st_mtime_ns for path in steady.rglob("*") if path.is_file()}
    assert steady / "checkpoint_final.pth" in finished

    plan = compare("--dry-run").stdout
    assert [line.split()[1] for line in plan.splitlines()[:2]] == ["continue", "done"]

    second = compare("--run")
    assert second.returncode == 0, second.stdout + second.stderr
    assert {path: path.stat().st_mtime_ns for path in steady.rglob("*") if path.is_file()} == finished
    logs = [path.read_text() for path in sorted(killed.glob("training_log_*.txt"))]
    epochs = [int(number) for log in logs for number in re.findall(r": Epoch (\d+) *$", log, re.MULTILINE)]
    assert epochs == [0, 1, 1, 2]
    starts = [path.parent.parent.name for path in (tmp_path / "comparison" / "logs").rglob("pid")]
    assert len(starts) == 5  # two trainings, one again, two measurements

    out = tmp_path / "comparison" / "Dataset900_Tiny_2d"
    for name in ("comparison.md", "comparison.html", "comparison.json", "overall.csv"):
        assert (out / name).stat().st_size > 0
    costs = json.loads((out / "comparison.json").read_text())["costs"]
    assert [row["system"] for row in costs] == ["Text-guided", "U-Net"]
    assert all(row["seconds_per_case"] > 0 and row["training_memory_mb"] > 0 for row in costs)
    assert not list(results.rglob("*.lock"))

    again = compare("--run")
    assert again.returncode == 0
    assert len(list((tmp_path / "comparison" / "logs").rglob("pid"))) == len(starts)
