"""What the files of a training tell: its checkpoints, whose weights need not be read, and debug.json."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nnunet_textguided.checkpoint_files import FINAL
from nnunet_textguided.comparison.grid import Run
from nnunet_textguided.errors import UserError
from nnunet_textguided.files import load_json
from nnunet_textguided.safe_checkpoint import open_checkpoint


def final_checkpoint(run: Run, results: Path) -> Path:
    """Return where a run's final checkpoint lies, or would.

    Args:
        run: Which one.
        results: nnUNet_results.
    """
    return run.fold_folder(results) / FINAL


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Open a checkpoint; tensors stay on disk until they are looked at.

    Args:
        path: The file.

    Raises:
        UserError: It is cut short, is none of nnU-Net's, or would run code and is not trusted.
    """
    content = open_checkpoint(path)
    if not {"network_weights", "logging", "current_epoch"} <= content.keys():
        raise UserError(f"{path} is not a checkpoint of nnU-Net: it lacks weights, log or epoch.")
    return content


def debug_information(fold: Path) -> dict[str, Any]:
    """Return debug.json, which nnU-Net writes when a training starts: the trainer's attributes as text; {} without it.

    Args:
        fold: The run's folder.
    """
    path = fold / "debug.json"
    return load_json(path) if path.is_file() else {}


def planned_length(fold: Path) -> dict[str, int]:
    """Read what the trainer meant to do from debug.json.

    Args:
        fold: The run's folder.

    Returns:
        num_epochs and num_iterations_per_epoch, each where it is known.
    """
    content = debug_information(fold)
    names = ("num_epochs", "num_iterations_per_epoch")
    return {name: int(content[name]) for name in names if str(content.get(name, "")).isdigit()}
