"""The stages of `nnunet_textguided demo`: which commands it runs, in which order."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nnunet_textguided.cli.demo_pretraining import PretrainingSize, pretrained_options, pretraining_stages
from nnunet_textguided.cli.stage_runner import Stage

DATASET_ID, DATASET_NAME = 901, "Demo"
DATASET = f"Dataset{DATASET_ID}_{DATASET_NAME}"
TRAINER, PLANS, CONFIGURATION, FOLD = "TextGuidedTrainer_short", "nnUNetPlansTextGuided", "2d", 0
ENCODER = "convnextv2_atto"
FINDING_SOURCES = ("findings.json", "radiological_gradings.csv")  # what `convert` makes findings of
MODEL = f"{TRAINER}__{PLANS}__{CONFIGURATION}"
CHECKPOINTS = ("checkpoint_final.pth", "checkpoint_latest.pth", "checkpoint_best.pth")


@dataclass(frozen=True)
class DemoSize:
    """How much the demo generates.

    Attributes:
        cases: Number of phantoms; a fifth is held out.
        shape: Voxels (slices, rows, columns) of one.
        spacing: mm along the same axes.
        gpu_memory_target: What nnU-Net may plan for, in GB: decides on the batch size.
    """

    cases: int
    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    gpu_memory_target: float
    pretraining: PretrainingSize


def build_stages(
    out: Path,
    size: DemoSize,
    device: str,
    seed: int,
    data: Path | None,
    sequences: tuple[str, ...],
    findings: bool,
    pretrain: bool,
) -> list[Stage]:
    """Return the commands of the demo in order.

    Args:
        out: The demo's folder.
        size: Of the generated volumes.
        device: `cpu` or `cuda`.
        seed: Of the generated volumes.
        data: Folder in SPIDER's layout, or None to generate one.
        sequences: Two sequences become channels, one stands alone.
        findings: Train for findings too, predict and report them.
        pretrain: Pretrain both encoders on generated scans and reports.
    """
    number = str(DATASET_ID)
    source = data or out / "phantoms"
    chosen = ("--channels" if len(sequences) > 1 else "--sequences", *sequences)
    convert = ("nnunet_textguided", "convert", "spider", str(source), "-d", number, "--name", DATASET_NAME, *chosen)
    memory = f"{size.gpu_memory_target:g}" if data is None else "1"
    preprocess = ("nnUNetv2_plan_and_preprocess", "-d", number, "-c", CONFIGURATION, "-gpu_memory_target", memory)
    plan = ("nnunet_textguided", "plan", "-d", number, "--encoder", ENCODER)
    start = pretrained_options(out) if pretrain else ("--encoder-weights", "none", "--text-model", "random")
    chosen_findings = ("--findings", "all") if findings else ()
    stages = [] if data else [_generate(source, size, seed)]
    if pretrain:
        stages += pretraining_stages(out, size.pretraining, size.shape, size.spacing, ENCODER, device, seed)
    return [
        *stages,
        Stage("convert", "convert SPIDER's layout into a raw nnU-Net data set", (*convert, "--processes", "2")),
        Stage(
            "preprocess",
            "plan and preprocess (nnU-Net's own command)",
            (*preprocess, "-npfp", "2", "-np", "2"),
            r"^Experiment|^Preprocessing",
        ),
        Stage(
            "plan",
            "write the text-guided model's options into plans of their own",
            (*plan, *start, *chosen_findings, "--seed", str(seed), "--overwrite"),
            r"wrote|structures:|findings:",
        ),
        Stage(
            "embed",
            "turn the names into the text bank",
            ("nnunet_textguided", "embed", "-d", number),
            r"text model",
        ),
        _train(out, device),
        *_after_training(out, device, len(sequences) - 1, findings),
    ]


def _generate(source: Path, size: DemoSize, seed: int) -> Stage:
    shape, spacing = map(str, size.shape), (f"{value:g}" for value in size.spacing)
    command = ("python", "-m", "nnunet_textguided.synthetic", str(source), "-n", str(size.cases), "--seed", str(seed))
    return Stage(
        "generate",
        f"generate {size.cases} lumbar spines with T1 and T2",
        (*command, "--shape", *shape, "--spacing", *spacing),
    )


def _train(out: Path, device: str) -> Stage:
    model = out / "nnUNet_results" / DATASET / MODEL / f"fold_{FOLD}"

    def resume() -> tuple[str, ...]:
        return ("--c",) if any((model / name).is_file() for name in CHECKPOINTS) else ()

    command = ("nnUNetv2_train", str(DATASET_ID), CONFIGURATION, str(FOLD), "-tr", TRAINER, "-p", PLANS)
    title = "train 12 epochs of 25 iterations (nnU-Net's own command)"
    return Stage("train", title, (*command, "-device", device), r": Epoch \d+ *$", resume)


def _after_training(out: Path, device: str, channel: int, findings: bool) -> list[Stage]:
    held_out, predictions, number = out / "held_out", out / "predictions", str(DATASET_ID)
    raw, splits = out / "nnUNet_raw" / DATASET, out / "nnUNet_preprocessed" / DATASET / "splits_final.json"
    images, truth = str(held_out / "imagesTs"), str(held_out / "labelsTs")
    copy = ("python", "-m", "nnunet_textguided.cli.hold_out", str(raw), str(splits), str(FOLD), str(held_out))
    command = ("nnunet_textguided", "predict") if findings else ("nnUNetv2_predict",)
    predict = (*command, "-i", images, "-o", str(predictions), "-d", number, "-c", CONFIGURATION)
    model = ("-f", str(FOLD), "-tr", TRAINER, "-p", PLANS, "-device", device, "-npp", "1", "-nps", "1")
    draw = ("python", "-m", "nnunet_textguided.inference.draw", images, truth, str(predictions), str(out / "pictures"))
    by = "with findings; nnUNetv2_predict gives the same masks" if findings else "nnU-Net's own command"
    report = ("nnunet_textguided", "report", str(predictions), images, "-o", str(out / "reports"))
    reports = Stage("report", "write a page a case", (*report, "--channel", str(channel)), r"reports:")
    return [
        Stage("hold_out", "copy the patients that were not trained on", copy, r"held out"),
        Stage("predict", f"predict them ({by})", (*predict, *model), r"^Predicting|done with"),
        Stage("evaluate", "compare with the truth", ("nnunet_textguided", "evaluate", truth, str(predictions)), r"\S"),
        Stage("draw", "draw image, truth and prediction", (*draw, "--channel", str(channel))),
        *([reports] if findings else []),
    ]
