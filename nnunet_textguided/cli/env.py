"""`nnunet_textguided env`: the export line that lets nnU-Net's own commands find our trainers."""

from __future__ import annotations

import argparse
import os
import re

from nnunet_textguided.ext_path import VARIABLE, with_ext_dir


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command; it takes no arguments.

    Args:
        parser: The command's parser.
    """
    parser.epilog = 'Use it as: eval "$(nnunet_textguided env)"'


def run(args: argparse.Namespace) -> int:
    """Print the line, and nothing else, on stdout.

    Args:
        args: Empty.
    """
    print(f"export {VARIABLE}={quoted(with_ext_dir(os.environ.get(VARIABLE)))}")
    return 0


def quoted(value: str) -> str:
    """Return a value in double quotes, such that a POSIX shell reads it back unchanged.

    Args:
        value: Any text.
    """
    return '"' + re.sub(r'([\\"$`])', r"\\\1", value) + '"'
