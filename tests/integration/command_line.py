"""What the tests of whole commands share: how a line is run, and trainers that take seconds."""

from __future__ import annotations

import os
import subprocess
import sysconfig
from pathlib import Path

from nnunet_textguided.ext_path import ext_dir

TRAINERS = '''"""Two epochs of two iterations, or of as many as it takes to segment something."""
import torch
from nnunet_textguided.trainers import TextGuidedTrainer, nnUNetTrainer_short


class Tiny:
    def __init__(self, plans: dict, configuration: str, fold: int, dataset_json: dict,
                 device: torch.device = torch.device("cuda")):
        super().__init__(plans, configuration, fold, dataset_json, device)
        self.num_epochs = self.num_iterations_per_epoch = 2
        self.num_val_iterations_per_epoch = self.save_every = 1


class TinyTextGuided(Tiny, TextGuidedTrainer):
    pass


class LearningTextGuided(Tiny, TextGuidedTrainer):
    def __init__(self, plans: dict, configuration: str, fold: int, dataset_json: dict,
                 device: torch.device = torch.device("cuda")):
        super().__init__(plans, configuration, fold, dataset_json, device)
        self.num_iterations_per_epoch = 50


class TinyUNet(Tiny, nnUNetTrainer_short):
    pass
'''


def make_environment(own_trainers: Path) -> dict[str, str]:
    """Environment with a second folder of trainers behind ours, as a user with own trainers has it."""
    (own_trainers / "tiny_trainers.py").write_text(TRAINERS)
    environment = dict(os.environ)
    environment["PATH"] = sysconfig.get_path("scripts") + os.pathsep + environment["PATH"]
    environment["nnUNet_extTrainer"] = f"{ext_dir()}{os.pathsep}{own_trainers}"
    environment.update(HF_HUB_OFFLINE="1", OMP_NUM_THREADS="1", nnUNet_n_proc_DA="0")
    return environment


def command(line: str, environment: dict[str, str], folder: Path) -> str:
    """Run one line; its output is the message when it fails."""
    done = subprocess.run(line.split(), env=environment, cwd=folder, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, f"{line}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout
