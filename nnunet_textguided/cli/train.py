"""`nnunet_textguided train`: nnUNetv2_train, with our trainers found and its folders checked first."""

from __future__ import annotations

import argparse
import sys

from nnunet_textguided.ext_path import activate
from nnunet_textguided.nnunet_paths import require_paths

PASSTHROUGH = True
"""Every argument, `--help` too, goes to nnU-Net unread: no parser of ours can drift from nnU-Net's."""


def run(args: argparse.Namespace) -> int:
    """Hand over to nnU-Net.

    Args:
        args: `arguments` holds what the user typed after the command.

    Raises:
        UserError: A path variable that training needs is not set.
    """
    if not {"-h", "--help"} & set(args.arguments):
        require_paths("nnUNet_preprocessed", "nnUNet_results")
    activate()
    from nnunetv2.run.run_training import run_training_entry

    sys.argv = ["nnunet_textguided train", *args.arguments]  # nnU-Net's parser reads the process's own arguments
    run_training_entry()
    return 0
