"""Python, torch and its devices, nnU-Net and the libraries whose versions matter."""

from __future__ import annotations

import importlib
import platform
import re
import sys
from importlib import metadata

from nnunet_textguided.cli.doctor_checks.check import Check

OLDEST_PYTHON = (3, 10)  # that nnU-Net 2.8 runs on
REINSTALL = "Install the package again, which brings a fitting version: pip install ."
RANGES: dict[str, tuple[str, str | None, str]] = {
    "nnunetv2": ("2.8.1", "2.9", "older ones do not read nnUNet_extTrainer; newer ones are untested"),
    "dynamic-network-architectures": ("0.4.4", None, "nnU-Net's planned networks come from it"),
    "timm": ("1.0.21", "1.0.23", "dynamic-network-architectures does not work with newer ones"),
    "open_clip_torch": ("3.0", None, "the text encoders come from it"),
    "SimpleITK": ("2.5.4", None, "older ones read half of a cut-off compressed DICOM file without a word"),
}
"""Distribution -> (lowest version, first version too new, why)."""


def check_installation() -> list[Check]:
    """Check everything that was installed, in the order in which things build on each other."""
    return [check_python(), check_torch(), check_torchvision(), check_device(), *map(check_version, RANGES)]


def check_python() -> Check:
    """Check Python's version."""
    found = f"{platform.python_version()} at {sys.executable}"
    wanted = ".".join(map(str, OLDEST_PYTHON))
    if sys.version_info < OLDEST_PYTHON:
        return Check("python", "FAIL", found, f"Make a virtual environment with Python {wanted} or newer.")
    return Check("python", "OK", found)


def check_torch() -> Check:
    """Check that torch loads and computes."""
    try:
        import torch

        total = float(torch.ones(2).sum())
    except (ImportError, OSError, RuntimeError) as error:
        return Check("torch", "FAIL", f"does not load: {error}", "Install it as https://pytorch.org tells you.")
    return Check("torch", "OK" if total == 2 else "FAIL", torch.__version__)


def check_torchvision() -> Check:
    """Check that torchvision loads: open_clip and timm import it, and a build for another torch breaks both."""
    try:
        import torchvision
    except (ImportError, OSError, RuntimeError, AttributeError) as error:
        return Check(
            "torchvision",
            "FAIL",
            f"does not load: {error}",
            "torch and torchvision must be built for each other: pip install --upgrade torch torchvision",
        )
    return Check("torchvision", "OK", torchvision.__version__)


def check_device() -> Check:
    """Check what there is to compute on."""
    try:
        import torch
    except (ImportError, OSError):
        return Check("device", "FAIL", "unknown without torch", "Mend torch first.")
    if torch.cuda.is_available():
        devices = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
        return Check("device", "OK", "; ".join(f"{d.name}, {d.total_memory / 2**30:.0f} GiB" for d in devices))
    if torch.backends.mps.is_available():
        return Check("device", "OK", "Apple GPU; pass -device mps to train and predict")
    return Check(
        "device",
        "WARN",
        f"no GPU that torch can use, CPU with {torch.get_num_threads()} threads",
        "Pass -device cpu to train and predict; for whole trainings use a machine with a GPU.",
    )


def check_version(distribution: str) -> Check:
    """Check that a library is installed, loads, and is of a version this package was made for.

    Args:
        distribution: Its name, as in RANGES.
    """
    lowest, too_new, why = RANGES[distribution]
    wanted = f"{distribution}>={lowest}" + (f",<{too_new}" if too_new else "")
    module = {"open_clip_torch": "open_clip"}.get(distribution, distribution.replace("-", "_"))
    try:
        version = metadata.version(distribution)
        importlib.import_module(module)
    except metadata.PackageNotFoundError:
        return Check(distribution, "FAIL", "is not installed", REINSTALL)
    except (ImportError, OSError, RuntimeError, AttributeError) as error:
        return Check(distribution, "FAIL", f"{version} does not load: {error}", REINSTALL)
    if as_numbers(version) < as_numbers(lowest) or (too_new and as_numbers(version) >= as_numbers(too_new)):
        return Check(distribution, "FAIL", f"{version}; {why}", f'pip install "{wanted}"')
    return Check(distribution, "OK", version)


def as_numbers(version: str) -> tuple[int, ...]:
    """Return the release numbers of a version, such as (2, 8, 1) for 2.8.1.post2, padded to four for comparing.

    Args:
        version: As the distribution states it.
    """
    release = re.match(r"\d+(\.\d+)*", version)
    numbers = [int(part) for part in release.group().split(".")] if release else []
    return tuple((numbers + [0] * 4)[:4])
