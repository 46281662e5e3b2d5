"""`nnunet_textguided benchmark`: what systems cost in time and memory, in turns on this machine."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from nnunet_textguided.errors import UserError

if TYPE_CHECKING:
    from nnunet_textguided.benchmark.setting import Setting


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments.

    Args:
        parser: Of this command.
    """
    add = parser.add_argument
    add("-d", metavar="DATASET", help="planned and preprocessed data set, by number or name")
    add("-c", default="2d", metavar="CONFIGURATION", help="configuration, such as 2d or 3d_fullres")
    add("--systems", nargs="+", default=[], metavar="LABEL=TRAINER:PLANS", help="what is measured")
    text = "system that the others are divided by; nnUNetTrainer on the plans of the first if left out"
    add("--reference", metavar="LABEL", help=text)
    add("-o", default="benchmark", metavar="STEM", help="path without ending: STEM.json and STEM.md are written")
    add("--only", nargs="+", default=[], metavar="PART", help="parts, as docs/benchmark.md names them; all if left out")
    add("-device", choices=["cpu", "cuda", "mps"], help="cuda where there is one and else cpu")
    add("-f", type=int, default=0, metavar="FOLD", help="its cases are loaded and predicted")
    add("--threads", type=int, metavar="N", help="of the CPU; OMP_NUM_THREADS or all cores if left out")
    add("--rounds", type=int, metavar="N", help="turns that count; 7 on the CPU, 50 on a GPU")
    add("--warm-up", type=int, metavar="N", help="turns before them; 1 on the CPU, 10 on a GPU")
    add("--epochs", type=int, metavar="N", help="epochs of nnU-Net's protocol; 3 on the CPU, 5 on a GPU")
    add("--iterations", type=int, metavar="N", help="iterations an epoch; 5 on the CPU, 250 on a GPU")
    text = "numbers of structures that the cost of classes is measured at"
    add("--classes", nargs="+", type=int, default=[1, 20, 24, 100, 200], metavar="N", help=text)
    text = "image encoders it is measured for, such as convnextv2_tiny; that of the plans if left out"
    add("--encoders", nargs="+", default=[], metavar="NAME", help=text)
    add("--cases", nargs="+", type=int, default=[1, 3], metavar="N", help="numbers of cases predicted in one go")
    text = "numbers of loading processes; 0 loads in the training process"
    add("--workers", nargs="+", type=int, default=[0, 1, 2], metavar="N", help=text)
    text = "measure nothing: write one table of the targets out of results that earlier runs wrote"
    add("--join", nargs="+", default=[], metavar="STEM.json", help=text)


def run(args: argparse.Namespace) -> int:
    """Measure or join, write, print.

    Args:
        args: As parsed.

    Returns:
        0.

    Raises:
        UserError: Something named does not exist, or is not named at all.
    """
    if args.join:
        return _join(args)
    if args.d is None or not args.systems:
        raise UserError("Name what is measured: -d DATASET --systems LABEL=TRAINER:PLANS ..., or --join STEM.json ...")
    setting = _setting(args)
    from nnunet_textguided.benchmark.report import page, write_result
    from nnunet_textguided.benchmark.run import run_benchmark

    result = run_benchmark(setting, args.only)
    paths = write_result(result, Path(args.o))
    print(page(result))
    print("\n".join(f"written: {path}" for path in paths))
    return 0


def _join(args: argparse.Namespace) -> int:
    if args.d is not None or args.systems:
        raise UserError("--join measures nothing: leave -d and --systems out, or --join.")
    from nnunet_textguided.benchmark.joined import join_results, joined_page
    from nnunet_textguided.benchmark.report import write_both

    files, stem = [Path(file) for file in args.join], Path(args.o)
    if stem.with_name(f"{stem.name}.json").resolve() in [file.resolve() for file in files]:
        raise UserError(f"-o {args.o} would replace one of the files that are joined: name another.")
    joined = join_results(files)
    text = joined_page(joined)
    paths = write_both(joined, text, stem)
    print(text)
    print("\n".join(f"written: {path}" for path in paths))
    return 0


def _setting(args: argparse.Namespace) -> Setting:
    from nnunet_textguided.benchmark.setting import Effort, Setting, with_reference
    from nnunet_textguided.comparison.folders import Folders
    from nnunet_textguided.comparison.grid import System
    from nnunet_textguided.comparison.grids import dataset_name
    from nnunet_textguided.comparison.resource_use import set_threads
    from nnunet_textguided.inference.predict_settings import choose_device

    systems, reference = with_reference([System.parse(text) for text in args.systems], args.reference)
    folders = Folders.from_environment()
    device = choose_device(args.device)
    set_threads(device, args.threads)
    names = ("rounds", "warm_up", "epochs", "iterations")
    return Setting(
        dataset=dataset_name(args.d),
        configuration=args.c,
        systems=systems,
        reference=reference,
        folders=folders,
        device=device,
        effort=Effort.for_device(device, **{name: getattr(args, name) for name in names}),
        threads=args.threads,
        fold=args.f,
        classes=tuple(args.classes),
        encoders=tuple(args.encoders),
        cases=tuple(args.cases),
        workers=tuple(args.workers),
    )
