"""What a system costs: parameters and time from its checkpoint, memory and inference time where they were measured."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

from nnunet_textguided.comparison.checkpoint import final_checkpoint, planned_length, read_checkpoint
from nnunet_textguided.comparison.grid import Run
from nnunet_textguided.files import file_sha256, load_json

TRAINING_COST_FILE, INFERENCE_COST_FILE = "training_cost.json", "inference_cost.json"


def costs_of(run: Run, results: Path, records: Path | None, checkpoint_hash: str | None = None) -> dict[str, Any]:
    """Return a run's costs; None = not measured.

    Args:
        run: A trained one.
        results: nnUNet_results.
        records: Folder of all records.
        checkpoint_hash: As for `measured_costs`.

    Returns:
        parameters, seconds_per_epoch, epochs, iterations (unknown where nnU-Net left no debug.json), and those of
        `measured_costs`.

    Raises:
        UserError: The checkpoint cannot be read.
    """
    checkpoint = read_checkpoint(final_checkpoint(run, results))
    epochs = int(checkpoint["current_epoch"])
    per_epoch = planned_length(run.fold_folder(results)).get("num_iterations_per_epoch")
    return {
        "parameters": stored_numbers(checkpoint["network_weights"]),
        "seconds_per_epoch": seconds_per_epoch(checkpoint["logging"]),
        "epochs": epochs,
        "iterations": None if per_epoch is None else epochs * per_epoch,
        **measured_costs(run, records, checkpoint_hash),
    }


def measured_costs(run: Run, records: Path | None, checkpoint_hash: str | None = None) -> dict[str, Any]:
    """Return what was measured while the run was trained and used.

    Args:
        run: Which one.
        records: Folder of all records; None = nothing was measured.
        checkpoint_hash: SHA-256 of its final checkpoint; the prediction of another one is not its own. None = any.

    Returns:
        device and training_memory_mb; seconds_per_case, inference_memory_mb, inference_device, inference_threads.
    """
    training, inference = (_measured(run, records, name) for name in (TRAINING_COST_FILE, INFERENCE_COST_FILE))
    if checkpoint_hash is not None and inference.get("checkpoint", checkpoint_hash) != checkpoint_hash:
        inference = {}  # of a training before this one
    return {
        "device": training.get("device"),
        "training_memory_mb": training.get("peak_memory_mb"),
        "seconds_per_case": inference.get("seconds_per_case"),
        "inference_memory_mb": inference.get("peak_memory_mb"),
        "inference_device": inference.get("device"),
        "inference_threads": inference.get("threads"),
    }


def is_inference_measured(run: Run, results: Path, records: Path) -> bool:
    """Return whether the time of a prediction was measured, with the final checkpoint that is there now.

    Args:
        run: A trained one.
        results: nnUNet_results.
        records: Folder of all records.
    """
    path = records / run.name / INFERENCE_COST_FILE
    if not path.is_file():
        return False
    measured = load_json(path).get("checkpoint")
    return measured is None or measured == file_sha256(final_checkpoint(run, results))


def stored_numbers(weights: Mapping[str, Any]) -> int:
    """Count the numbers of a network: parameters and, few, its floating-point buffers (such as the text bank).

    nnU-Net's networks list the same tensor under several names (a decoder holds its encoder); each counts once.

    Args:
        weights: A state dict.
    """
    unique = {
        (tensor.untyped_storage().data_ptr(), tensor.storage_offset(), tuple(tensor.shape)): tensor.numel()
        for tensor in weights.values()
        if tensor.is_floating_point() and tensor.numel()
    }
    return sum(unique.values())


def seconds_per_epoch(log: Mapping[str, Any]) -> float | None:
    """Return the median time of an epoch, which an interruption does not distort.

    Args:
        log: The entry `logging` of a checkpoint.

    Returns:
        Seconds, or None where no epoch was logged.
    """
    pairs = zip(log.get("epoch_start_timestamps", ()), log.get("epoch_end_timestamps", ()), strict=False)
    times = [float(end) - float(start) for start, end in pairs]
    return median(times) if times else None


def _measured(run: Run, records: Path | None, name: str) -> dict[str, Any]:
    path = None if records is None else records / run.name / name
    return load_json(path) if path is not None and path.is_file() else {}
