"""A benchmark of the tiny data set, one round of everything."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from nnunet_textguided.benchmark.bench import Bench
from nnunet_textguided.benchmark.setting import Effort, Setting, with_reference
from nnunet_textguided.comparison.folders import Folders
from nnunet_textguided.comparison.grid import System

ONCE = Effort(rounds=1, warm_up=0, epochs=1, iterations=1)
CPU = torch.device("cpu")


@pytest.fixture
def make_setting(tiny_dataset: Path, text_guided_plans: str, results: Path):
    """Build a setting of text-guided against nnUNetTrainer; fields can be changed."""

    def make(**changed) -> Setting:
        systems, reference = with_reference([System("Ours", "TextGuidedTrainer", (text_guided_plans,))], None)
        given = {
            "dataset": tiny_dataset.name,
            "configuration": "2d",
            "systems": systems,
            "reference": reference,
            "folders": Folders.from_environment(),
            "device": CPU,
            "effort": ONCE,
            "cases": (1,),
            "classes": (5,),
        }
        return Setting(**{**given, **changed})

    return make


@pytest.fixture
def bench(make_setting, tmp_path: Path) -> Bench:
    """A bench of the tiny data set."""
    return Bench(make_setting(), tmp_path / "scratch")
