"""The stages of the demo that pretrain both encoders, on scans and reports without labels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nnunet_textguided.cli.stage_runner import Stage
from nnunet_textguided.pretraining.image_settings import PATCH

UNLABELED, IMAGE, TEXT = "unlabeled", "pretrained_image", "pretrained_text"


@dataclass(frozen=True)
class PretrainingSize:
    """How much the demo pretrains.

    Attributes:
        scans: Patients whose scans are used without their labels; none of them is in the demo's data set.
        reports: Reports, of yet other patients.
        steps: Steps of the image encoder.
        epochs: Passes of the text encoder over the reports.
    """

    scans: int
    reports: int
    steps: int
    epochs: int


def pretraining_stages(
    out: Path,
    size: PretrainingSize,
    shape: tuple[int, int, int],
    spacing: tuple[float, float, float],
    encoder: str,
    device: str,
    seed: int,
) -> list[Stage]:
    """Return the commands in order.

    Args:
        out: The demo's folder.
        size: How much.
        shape: Voxels (slices, rows, columns) of a generated scan.
        spacing: mm along the same axes.
        encoder: timm's name.
        device: `cpu` or `cuda`.
        seed: Of the demo.
    """
    source = out / UNLABELED
    generate = ("python", "-m", "nnunet_textguided.synthetic", str(source), "-n", str(size.scans))
    volume = ("--shape", *map(str, shape), "--spacing", *(f"{value:g}" for value in spacing))
    others = ("--seed", str(seed + 1), "--reports", str(size.reports))
    window = tuple(str(-(-length // PATCH) * PATCH) for length in shape[1:])
    image = ("nnunet_textguided", "pretrain-image", "-i", str(source / "images"), "-o", str(out / IMAGE))
    how = ("--encoder", encoder, "--steps", str(size.steps), "--batch", "8", "--size", *window, "--workers", "1")
    text = ("nnunet_textguided", "pretrain-text", "-i", str(source / "reports.jsonl"), "-o", str(out / TEXT))
    passes = ("--text-model", "small", "--epochs", str(size.epochs), "--seed", str(seed), "--accelerator", device)
    return [
        Stage(
            "generate_unlabeled",
            f"generate {size.scans} other spines, and {size.reports} reports of yet others",
            (*generate, *volume, *others),
        ),
        Stage(
            "pretrain_image",
            f"pretrain the image encoder on the scans alone, {size.steps} steps",
            (*image, *how, "--seed", str(seed), "--accelerator", device, "--report-every", "50"),
            r"held out|encoder\.safetensors",
        ),
        Stage(
            "pretrain_text",
            f"pretrain a small text encoder on the reports alone, {size.epochs} passes",
            (*text, *passes),
            r"held-out",
        ),
    ]


def pretrained_options(out: Path) -> tuple[str, ...]:
    """What `nnunet_textguided plan` is told to start from both encoders.

    Args:
        out: The demo's folder.
    """
    tower = out / TEXT
    text = ("--text-model", str(tower / "open_clip_config.json"), "--text-weights", str(tower / "open_clip_model.pt"))
    return ("--encoder-weights", str(out / IMAGE / "encoder.safetensors"), "--encoder-rate", "1", *text)
