"""What numbers were made with: versions, hardware, hashes and seeds; no names of people, machines or folders."""

from __future__ import annotations

import os
import platform
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from nnunet_textguided import __version__
from nnunet_textguided.comparison.checkpoint import debug_information, final_checkpoint
from nnunet_textguided.comparison.costs import measured_costs
from nnunet_textguided.comparison.grid import Run
from nnunet_textguided.files import file_sha256, load_json

OPTIONS = "guidance"
"""Attribute of trainers that read the block, and so an entry of debug.json; a U-Net with the same plans has none."""
PACKAGES = (
    *("nnunetv2", "torch", "timm", "open_clip_torch", "dynamic-network-architectures"),
    *("numpy", "scipy", "pandas", "scikit-learn", "SimpleITK", "MedPy"),
)


def provenance_of(run: Run, results: Path, records: Path | None) -> dict[str, Any]:
    """Return where a run's numbers come from.

    Args:
        run: A trained one.
        results: nnUNet_results.
        records: Folder of all records.

    Returns:
        versions and hardware (of training as far as known, and of scoring), checkpoint (SHA-256), seed, text_bank and
        encoder_weights (SHA-256, of trainers that read the block text_guidance; of others None), scored (UTC).
    """
    plans, fold = load_json(run.model_folder(results) / "plans.json"), run.fold_folder(results)
    block = (plans.get("text_guidance") or {}) if OPTIONS in debug_information(fold) else {}
    trained_on, torch_version = _training_machine(fold)
    return {
        "versions": versions(),
        "training_torch": torch_version,
        "hardware": {"training": measured_costs(run, records)["device"] or trained_on, "scoring": hardware()},
        "checkpoint": file_sha256(final_checkpoint(run, results)),
        "seed": block.get("seed"),
        "text_bank": (block.get("bank") or {}).get("sha256"),
        "encoder_weights": (block.get("encoder_source") or {}).get("sha256"),
        "scored": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


def versions() -> dict[str, str]:
    """Return the versions of Python, this package and those that numbers depend on."""
    found = {"python": platform.python_version(), "nnunet_textguided": __version__}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def hardware() -> dict[str, Any]:
    """Return processor, number of cores, GPUs and platform of this machine."""
    import torch

    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "gpus": gpus if torch.cuda.is_available() else [],
        "platform": f"{platform.system()} {platform.machine()}",
    }


def _processor() -> str:
    """The model's name; Python itself does not know it on Linux."""
    file = Path("/proc/cpuinfo")
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines() if file.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"


def _training_machine(fold: Path) -> tuple[str | None, str | None]:
    """Device and torch version of the training, from debug.json, which nnU-Net writes when a training starts."""
    content = debug_information(fold)
    return content.get("gpu_name") or content.get("device"), content.get("torch_version")
