"""One training in a process of its own, by nnU-Net's own function, and what it took."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnunet_textguided import ext_path
from nnunet_textguided.checkpoint_files import FINAL, is_whole
from nnunet_textguided.comparison.costs import TRAINING_COST_FILE
from nnunet_textguided.comparison.grid import Run
from nnunet_textguided.comparison.jobs import CONTINUE, TRAIN, VALIDATE, training_kind
from nnunet_textguided.comparison.run_state import is_superseded
from nnunet_textguided.errors import UserError
from nnunet_textguided.files import load_json, save_json_atomic
from nnunet_textguided.nnunet_paths import require_paths
from nnunet_textguided.safe_checkpoint import check_checkpoints


@dataclass(frozen=True)
class TrainingOptions:
    """How every training and every measurement of a comparison is run.

    Attributes:
        device: "cpu", "cuda" or "mps"; None for cuda where there is one and else the CPU.
        num_gpus: nnU-Net's -num_gpus.
        threads: Of the CPU; None for OMP_NUM_THREADS, or all cores.
    """

    device: str | None = None
    num_gpus: int = 1
    threads: int | None = None

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            UserError: Several GPUs are asked for and none is to be used, or a number is below 1.
        """
        if self.num_gpus < 1:
            raise UserError(f"Expected -num_gpus of at least 1, got {self.num_gpus}.")
        if self.num_gpus > 1 and self.device not in (None, "cuda"):
            raise UserError(f"-num_gpus {self.num_gpus} needs -device cuda, got -device {self.device}.")


def train(run: Run, options: TrainingOptions, records: Path) -> None:
    """Train a run, or what is left of it, and validate it; then write what it took.

    Args:
        run: Which one.
        options: Device and number of GPUs.
        records: Folder of all records; the cost goes to `<run's name>/training_cost.json` in it.

    Raises:
        UserError: The device is not there, the environment is not set, or a checkpoint would run code.
    """
    results = require_paths("nnUNet_preprocessed", "nnUNet_results")["nnUNet_results"]
    ext_path.activate()
    from nnunetv2.run.run_training import run_training

    from nnunet_textguided.comparison.resource_use import device_name, peak_memory_mb, set_threads, start_measuring
    from nnunet_textguided.inference.predict_settings import choose_device

    device = choose_device(options.device)
    threads = set_threads(device, options.threads)
    fold_folder = run.fold_folder(results)
    set_damaged_aside(fold_folder)
    kind = training_kind(fold_folder)
    set_superseded_aside(fold_folder)
    if kind in (CONTINUE, VALIDATE):
        check_checkpoints(sorted(fold_folder.glob("checkpoint_*.pth")))
    session: dict[str, Any] = {"kind": kind, "device": device_name(device), "gpus": options.num_gpus}
    session.update(threads=threads, seconds=None, peak_memory_mb=None)
    cost_file = records / run.name / TRAINING_COST_FILE
    earlier = _sessions(cost_file)
    if kind == TRAIN:  # what was noted of a training before this one is not its cost
        earlier = [{**one, "superseded": True} for one in earlier]
    _write(cost_file, [*earlier, session])  # one that is cut off has no seconds, and the sum then says nothing
    start_measuring(device)
    start = time.monotonic()
    run_training(
        run.dataset,
        run.configuration,
        run.fold,
        run.trainer,
        run.plans,
        num_gpus=options.num_gpus,
        continue_training=kind == CONTINUE,
        only_run_validation=kind == VALIDATE,
        device=device,
    )
    session["seconds"] = time.monotonic() - start
    if options.num_gpus == 1:  # several GPUs have a process each, which is gone by now
        session["peak_memory_mb"] = peak_memory_mb(device)
    _write(cost_file, [*earlier, session])


def set_damaged_aside(fold_folder: Path) -> list[Path]:
    """Rename checkpoints that were cut off while they were written: nnU-Net would start from them and fail.

    Args:
        fold_folder: With the checkpoints; need not exist.

    Returns:
        Where they are now.
    """
    damaged = [path for path in sorted(fold_folder.glob("checkpoint_*.pth")) if not is_whole(path)]
    return [path.replace(path.with_name(f"{path.name}.damaged")) for path in damaged]


def set_superseded_aside(fold_folder: Path) -> list[Path]:
    """Rename what a training before this one left and what would be taken for this one's.

    Every training ends with a validation of all cases, so a summary that is there says nothing of it.

    Args:
        fold_folder: With the checkpoints; need not exist.

    Returns:
        Where it is now.
    """
    old = [fold_folder / "validation" / "summary.json"]
    if is_superseded(fold_folder):
        old.append(fold_folder / FINAL)  # nnU-Net would continue from it
    return [path.replace(path.with_name(f"{path.name}.superseded")) for path in old if path.is_file()]


def training_cost(sessions: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Sum up the sittings of one training.

    Args:
        sessions: Each with kind, device, gpus, threads, seconds and peak_memory_mb; those marked as superseded are
            kept and not counted.

    Returns:
        peak_memory_mb: the largest, None unless a sitting that trained was measured. seconds: the sum, None where a
        sitting was cut off or the training began elsewhere. device, gpus, threads: of the last sitting.
    """
    own = [session for session in sessions if not session.get("superseded")]
    trained = [session for session in own if session["kind"] != VALIDATE]
    known = [session["peak_memory_mb"] for session in own if session["peak_memory_mb"] is not None]
    measured = any(session["peak_memory_mb"] is not None for session in trained)
    whole = bool(trained) and trained[0]["kind"] != CONTINUE
    seconds = [session["seconds"] for session in own]
    return {
        "peak_memory_mb": max(known) if measured else None,
        "seconds": sum(seconds) if whole and None not in seconds else None,
        **{name: sessions[-1][name] for name in ("device", "gpus", "threads")},
        "sessions": list(sessions),
    }


def _sessions(path: Path) -> list[dict[str, Any]]:
    return list(load_json(path)["sessions"]) if path.is_file() else []


def _write(path: Path, sessions: Sequence[dict[str, Any]]) -> None:
    save_json_atomic(training_cost(sessions), path)
