"""Files that run code when they are unpickled: each writes a marker file."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch


class Bomb:
    """Unpickled, it writes a file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, (f"open({str(self.marker)!r}, 'w').close()",)


def arm_checkpoint(path: Path, marker: Path) -> Path:
    """Put a bomb into a checkpoint, or write one that nnU-Net would take for its own."""
    content = {"trainer_name": "nnUNetTrainer", "init_args": {"configuration": "2d"}, "network_weights": {}}
    if path.is_file():
        content = torch.load(path, weights_only=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({**content, "current_epoch": 1, "logging": {}, "bomb": Bomb(marker)}, path)
    return path


def armed_pickle(path: Path, marker: Path) -> Path:
    """Write a plain pickle with a bomb."""
    path.write_bytes(pickle.dumps(([Bomb(marker)], [{}])))
    return path
