"""`nnunet_textguided train`: nnUNetv2_train, with our trainers found and its folders and checkpoints checked first."""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
from collections.abc import Sequence
from pathlib import Path

from nnunet_textguided.ext_path import activate
from nnunet_textguided.files import load_json
from nnunet_textguided.nnunet_paths import require_paths

PASSTHROUGH = True
"""Every argument, `--help` too, goes to nnU-Net as it is: no parser of ours can drift from nnU-Net's."""
TRUST = "--trust"
"""The one argument that is ours: checkpoints may run code when they are loaded."""
_WITH_VALUE = ("-tr", "-p", "-pretrained_weights", "-num_gpus", "-device")
_FLAGS = ("--npz", "--c", "--val", "--val_best", "--disable_checkpointing")


def run(args: argparse.Namespace) -> int:
    """Check the checkpoints that nnU-Net is going to unpickle, then hand over to it.

    Args:
        args: `arguments` holds what the user typed after the command.

    Raises:
        UserError: A path variable that training needs is not set, or a checkpoint would run code.
    """
    arguments = [argument for argument in args.arguments if argument != TRUST]
    asks_for_help = bool({"-h", "--help"} & set(arguments))
    if not asks_for_help:
        require_paths("nnUNet_preprocessed", "nnUNet_results")
    activate()
    if not asks_for_help:
        from nnunet_textguided.safe_checkpoint import check_checkpoints, trust_everything

        if len(arguments) < len(args.arguments):
            trust_everything()
        check_checkpoints(checkpoints_of(arguments))
    from nnunetv2.run.run_training import run_training_entry

    sys.argv = ["nnunet_textguided train", *arguments]  # nnU-Net's parser reads the process's own arguments
    run_training_entry()
    return 0


def options_parser() -> argparse.ArgumentParser:
    """Return a parser that reads nnUNetv2_train's arguments as nnU-Net's own does, abbreviations too."""
    parser = argparse.ArgumentParser(add_help=False, exit_on_error=False)
    for name in ("dataset", "configuration", "fold"):
        parser.add_argument(name)
    for name in _WITH_VALUE:
        parser.add_argument(name, default={"-tr": "nnUNetTrainer", "-p": "nnUNetPlans"}.get(name))
    for name in _FLAGS:
        parser.add_argument(name, action="store_true")
    return parser


def checkpoints_of(arguments: Sequence[str]) -> list[Path]:
    """List the checkpoints that nnU-Net would load for these arguments.

    Args:
        arguments: Of nnUNetv2_train.

    Returns:
        Those that exist; none for arguments that nnU-Net will refuse itself.
    """
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            options, _ = options_parser().parse_known_args(list(arguments))
    except (argparse.ArgumentError, SystemExit):  # argparse before 3.12 still exits for a missing one
        return []
    files = [] if options.pretrained_weights is None else [Path(options.pretrained_weights)]
    if options.c or options.val or options.val_best:
        files += _of_fold(options)
    return [file for file in files if file.is_file()]


def _of_fold(options: argparse.Namespace) -> list[Path]:
    """Checkpoints of the fold; nnU-Net names the model's folder by what the plans say, not by -d and -p."""
    from nnunetv2.utilities.dataset_name_id_conversion import maybe_convert_to_dataset_name

    folders = require_paths("nnUNet_preprocessed", "nnUNet_results")
    try:
        named = options.dataset if options.dataset.startswith("Dataset") else int(options.dataset)
        fold = options.fold if options.fold == "all" else int(options.fold)
        dataset = maybe_convert_to_dataset_name(named)
        plans = load_json(folders["nnUNet_preprocessed"] / dataset / f"{options.p}.json")
        model = f"{options.tr}__{plans['plans_name']}__{options.configuration}"
        return sorted((folders["nnUNet_results"] / plans["dataset_name"] / model).glob(f"fold_{fold}/checkpoint_*.pth"))
    except (RuntimeError, ValueError, KeyError, TypeError):
        return []  # nnU-Net says what is wrong before it loads anything
