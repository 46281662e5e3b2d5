"""The state of an interrupted pretraining on reports."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from nnunet_textguided.checkpoint_files import check_whole
from nnunet_textguided.files import atomic_path, remove_leftovers
from nnunet_textguided.pretraining.same_training import refuse_other_training
from nnunet_textguided.pretraining.text_settings import TextTraining

CHECKPOINT = "checkpoint.pth"


def save_checkpoint(path: Path, training: TextTraining, reports: Sequence[str], state: dict[str, Any]) -> None:
    """Write the state beside what it belongs to; of the reports a hash only.

    Args:
        path: File to write.
        training: What is trained.
        reports: What it is trained with.
        state: Tensors, numbers, lists and dicts.
    """
    with atomic_path(path, durable=True) as temporary:
        torch.save({**state, "training": asdict(training), "reports": _hash(reports)}, temporary)


def load_checkpoint(path: Path, training: TextTraining, reports: Sequence[str]) -> dict[str, Any] | None:
    """Read the state; None where no run was interrupted.

    Args:
        path: File of `save_checkpoint`.
        training: What is trained.
        reports: What it is trained with.

    Raises:
        UserError: It is cut short, or of other settings or reports.
    """
    remove_leftovers(path.parent)
    if not path.is_file():
        return None
    check_whole(path, "the pretraining starts anew.")
    state = torch.load(path, map_location="cpu", weights_only=True)
    more = [] if state["reports"] == _hash(reports) else ["other reports"]
    refuse_other_training(path, state["training"], training, more)
    return state


def _hash(reports: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(reports).encode()).hexdigest()
