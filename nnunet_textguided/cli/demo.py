"""`nnunet_textguided demo`: the whole way once, by the commands a user would type."""

from __future__ import annotations

import argparse
import os
import shlex
import time
from collections.abc import Mapping
from pathlib import Path

from nnunet_textguided.cli.demo_pretraining import IMAGE, TEXT, PretrainingSize
from nnunet_textguided.cli.demo_stages import DATASET, FINDING_SOURCES, MODEL, DemoSize, build_stages
from nnunet_textguided.cli.stage_runner import Launch, StageRunner
from nnunet_textguided.errors import UserError
from nnunet_textguided.ext_path import VARIABLE, with_ext_dir
from nnunet_textguided.files import load_json, save_json_atomic

FULL = DemoSize(
    cases=20,
    shape=(7, 160, 96),
    spacing=(4.0, 2.15, 2.15),
    gpu_memory_target=0.5,
    pretraining=PretrainingSize(scans=20, reports=80, steps=120, epochs=3),
)
QUICK = DemoSize(
    cases=10,
    shape=(5, 128, 64),
    spacing=(4.0, 2.7, 2.7),
    gpu_memory_target=0.3,
    pretraining=PretrainingSize(scans=6, reports=30, steps=40, epochs=2),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options.

    Args:
        parser: The command's parser.
    """
    add = parser.add_argument
    add("--out", type=Path, default=Path("textguided_demo"), help="folder for everything (default: ./%(default)s)")
    add("--data", type=Path, metavar="SRC", help="your own data in SPIDER's layout instead of generated volumes")
    add("--quick", action="store_true", help="fewer and smaller volumes: about five minutes on two cores")
    add(
        "--findings",
        action=argparse.BooleanOptionalAction,
        help="train for findings too, and write a page a case (default: if the data have any)",
    )
    add(
        "--pretrain",
        action=argparse.BooleanOptionalAction,
        help="first pretrain both encoders on generated scans and reports (default: unless --data is given)",
    )
    add("--device", choices=("cpu", "cuda"), default="cpu", help="where to train and predict (default: %(default)s)")
    add("--seed", type=int, default=0, help="seed of the generated volumes (default: %(default)s)")


def run(args: argparse.Namespace, launch: Launch | None = None) -> int:
    """Run the stages that are not done yet and say where everything is.

    Args:
        args: Of `add_arguments`.
        launch: Starts commands; exchanged in tests.

    Returns:
        0; a stage that fails raises.

    Raises:
        UserError: The folder holds a demo with other options, --data has no image, or a stage failed.
    """
    start = time.monotonic()
    out = args.out.absolute()
    size = QUICK if args.quick else FULL
    if args.seed < 0:
        raise UserError(f"--seed must be 0 or more, got {args.seed}.")
    data = None if args.data is None else args.data.absolute()
    sequences = ("t1", "t2") if data is None else data_sequences(data)
    findings = with_findings(data, args.findings)
    pretrain = with_pretraining(data, args.pretrain)
    chosen = {"quick": args.quick, "findings": findings, "pretrain": pretrain, "device": args.device, "seed": args.seed}
    _claim_folder(out, {"data": data and str(data), **chosen})
    environment = demo_environment(out, args.device)
    print("What follows are commands you can type yourself, after these lines:")
    for name, value in environment.items():
        print(f"  export {name}={shlex.quote(value)}")
    stages = build_stages(out, size, args.device, args.seed, data, sequences, findings, pretrain)
    try:
        StageRunner(out, environment, launch).run(stages)
    except KeyboardInterrupt:
        print("\nThe same command continues from here: finished stages are kept.", flush=True)
        raise
    _say_where(out, time.monotonic() - start)
    return 0


def demo_environment(out: Path, device: str) -> dict[str, str]:
    """Return what nnU-Net's commands need to be told: folders, our trainers, a small number of processes.

    Args:
        out: The demo's folder.
        device: `cpu` or `cuda`.
    """
    folders = {name: str(out / name) for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results")}
    few = {"nnUNet_n_proc_DA": "2", "nnUNet_def_n_proc": "2", "nnUNet_compile": "f"}
    # waiting OpenMP threads that spin slow a step more than tenfold where anything else runs on the same cores
    threads = {"OMP_NUM_THREADS": str(min(os.cpu_count() or 1, 8)), "OMP_WAIT_POLICY": "PASSIVE"}
    # glibc would hand the memory of every step back and fault it in again for the next one
    memory = {"MALLOC_TRIM_THRESHOLD_": "100000000000", "MALLOC_MMAP_THRESHOLD_": "100000000000"}
    ours = {VARIABLE: with_ext_dir(os.environ.get(VARIABLE))}
    return folders | ours | few | (threads | memory if device == "cpu" else {})


def data_sequences(data: Path) -> tuple[str, ...]:
    """Say which sequences of a folder in SPIDER's layout the demo uses: T1 and T2 as channels, or else the commonest.

    Args:
        data: Folder with images/ and masks/.

    Raises:
        UserError: No image named <patient>_t1, _t2 or _t2_SPACE.
    """
    patients: dict[str, set[str]] = {"t1": set(), "t2": set(), "t2_SPACE": set()}
    for file in (data / "images").glob("*.mha"):
        patient, _, sequence = file.stem.partition("_")
        patients.get(sequence, set()).add(patient)
    both = patients["t1"] & patients["t2"]
    most = max(patients, key=lambda sequence: len(patients[sequence]))
    if not patients[most]:
        raise UserError(
            f"--data {data}: expected SPIDER's layout, images/<patient>_<t1|t2|t2_SPACE>.mha with masks of the same "
            "names under masks/, found no such image."
        )
    return ("t1", "t2") if 2 * len(both) >= len(patients[most]) else (most,)


def with_findings(data: Path | None, asked: bool | None) -> bool:
    """Say whether the demo trains for findings; generated volumes have them.

    Args:
        data: Folder in SPIDER's layout, or None for generated volumes.
        asked: What the user said; None = nothing.

    Raises:
        UserError: Findings are asked for and the folder has none.
    """
    there = data is None or any((data / name).is_file() for name in FINDING_SOURCES)
    if asked and not there:
        raise UserError(f"--findings: {data} has none of {', '.join(FINDING_SOURCES)}.")
    return there if asked is None else asked


def with_pretraining(data: Path | None, asked: bool | None) -> bool:
    """Say whether the demo pretrains; it generates what it pretrains on, which resembles generated volumes only.

    Args:
        data: Folder in SPIDER's layout, or None for generated volumes.
        asked: What the user said; None = nothing.

    Raises:
        UserError: Pretraining is asked for together with own data.
    """
    if asked and data is not None:
        raise UserError(
            "--pretrain goes with generated volumes only. For your own scans and reports there are nnunet_textguided "
            "pretrain-image and pretrain-text (docs/pretraining.md)."
        )
    return data is None if asked is None else asked


def _claim_folder(out: Path, options: Mapping[str, object]) -> None:
    """Note the options in the folder, or check that they are those it was begun with."""
    file = out / "demo.json"
    if not file.exists():
        save_json_atomic(dict(options), file)
        return
    before = load_json(file)
    if before != options:
        raise UserError(
            f"{out} holds a demo with other options:\n  there: {before}\n  asked: {dict(options)}\n"
            "Choose another folder with --out, repeat the options to continue that one, or delete the folder."
        )


def _say_where(out: Path, seconds: float) -> None:
    model = out / "nnUNet_results" / DATASET / MODEL
    print(f"\nDone in {seconds / 60:.1f} minutes. Where everything is:")
    for what, where in (
        *([("pretrained encoders", out / f"{{{IMAGE},{TEXT}}}")] if (out / IMAGE).is_dir() else []),
        ("raw data set", out / "nnUNet_raw" / DATASET),
        ("plans, text bank", out / "nnUNet_preprocessed" / DATASET),
        ("trained model", model),
        ("held-out truth", out / "held_out" / "labelsTs"),
        ("predictions, scores", out / "predictions"),
        ("pictures", out / "pictures"),
        *([("findings, a page a case", out / "reports")] if (out / "reports").is_dir() else []),
        ("logs", out / "logs"),
    ):
        print(f"  {what + ':':25s}{where}")
