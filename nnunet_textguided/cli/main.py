"""`nnunet_textguided <command>`: the table of commands, and what is common to all of them.

A command's module is imported only when it is chosen, so help, version and `env` answer without loading torch.
"""

from __future__ import annotations

import argparse
import difflib
import importlib
import logging
import os
import sys
from collections.abc import Sequence
from types import ModuleType

from nnunet_textguided import __version__
from nnunet_textguided.errors import UserError
from nnunet_textguided.faults import explanation

PROGRAM = "nnunet_textguided"

COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("demo", "the whole way once on generated volumes: convert, plan, train, predict, evaluate, draw"),
    "convert": ("convert", "bring a data set on disk into nnU-Net's raw format"),
    "relabel": ("relabel", "bring masks of SPINEPS, TotalSpineSeg and others to our label codes, and back"),
    "complete": ("complete", "draft masks for cases that have none, and take corrected ones back"),
    "plan": ("plan", "write the options of the text-guided model into plans under another identifier"),
    "embed": ("embed", "make the text bank: class names through a text encoder"),
    "pretrain-image": ("pretrain_image", "pretrain the image encoder on scans without labels"),
    "pretrain-text": ("pretrain_text", "pretrain the text encoder on reports"),
    "train": ("train", "nnUNetv2_train with our trainers found; takes its arguments word for word"),
    "predict": ("predict", "segment images, whatever their orientation"),
    "order-names": ("order_names", "name vertebrae and discs of predictions, of any network, as one column"),
    "ensemble": ("ensemble", "average several models' predictions, segmentation and findings"),
    "evaluate": ("evaluate", "IoU and Dice of predictions against the truth, per case and structure"),
    "compare": ("compare", "trained systems on the same cases: one table, paired statistics; runs what is missing"),
    "benchmark": ("benchmark", "time and memory of systems beside nnUNetTrainer's, measured in turns"),
    "report": ("report", "a page for every predicted case: picture, findings, structures"),
    "doctor": ("doctor", "check the installation and say how to mend what is wrong"),
    "env": ("env", "print the line that lets nnU-Net's own commands find our trainers"),
}
"""Command -> (module under `nnunet_textguided.cli`, one line of help). The only place to add a command."""

LESS_MEMORY = "Use smaller batches, patches or images, or a machine with more memory."
FEWER_PROCESSES = "Run the same command with fewer processes."
INTERRUPTED = 130  # 128 + SIGINT, as a shell reports it
PIPE_CLOSED = 141  # 128 + SIGPIPE


class HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Shows defaults, but not that an optional thing is by default not there."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        nothing = action.default is None or action.default is False or action.default == []
        if nothing or "default" in (action.help or ""):
            return action.help
        return super()._get_help_string(action)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: What follows the program's name; the process's own arguments when None.

    Returns:
        The exit status: 0 for success, 2 for something the user can put right, otherwise the command's own.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        status = _dispatch(arguments)
        sys.stdout.flush()
        return status
    except UserError as error:
        sys.stdout.flush()
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        if not _stdout_is_closed():
            raise
        return PIPE_CLOSED
    except (OSError, MemoryError, RuntimeError) as error:
        text = explanation(error, LESS_MEMORY, FEWER_PROCESSES)
        if text is None:
            raise
        sys.stdout.flush()
        print(f"error: {text}", file=sys.stderr)
        return 2


def _dispatch(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_overview())
        return 0 if arguments else 2
    if arguments[0] == "--version":
        print(f"{PROGRAM} {__version__}")
        return 0
    name, rest = arguments[0], arguments[1:]
    module = load_command(name)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    if getattr(module, "PASSTHROUGH", False):
        return module.run(argparse.Namespace(arguments=rest))
    parser = argparse.ArgumentParser(
        prog=f"{PROGRAM} {name}",
        description=COMMANDS[name][1],
        formatter_class=HelpFormatter,
    )
    module.add_arguments(parser)
    return module.run(parser.parse_args(rest))


def load_command(name: str) -> ModuleType:
    """Import the module of one command.

    Args:
        name: As the user types it.

    Raises:
        UserError: There is no such command; the text names the nearest ones.
    """
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, n=3, cutoff=0.5)
        hint = f"Did you mean {' or '.join(near)}?" if near else f"There are: {', '.join(COMMANDS)}."
        raise UserError(f"'{name}' is not a command of {PROGRAM}. {hint} `{PROGRAM} --help` lists them all.")
    return importlib.import_module(f"nnunet_textguided.cli.{COMMANDS[name][0]}")


def _overview() -> str:
    width = max(map(len, COMMANDS)) + 2
    lines = [
        f"usage: {PROGRAM} [-h] [--version] COMMAND ...",
        "",
        "Text-guided medical image segmentation inside nnU-Net v2: class names are the queries.",
        "",
        "commands:",
        *(f"  {name:<{width}}{text}" for name, (_, text) in COMMANDS.items()),
        "",
        f"`{PROGRAM} COMMAND --help` explains one of them.",
    ]
    return "\n".join(lines)


def _stdout_is_closed() -> bool:
    """Tell a reader that went away (`... | head`) from a pipe broken between workers, a real error."""
    try:
        print(flush=True)  # an empty line: a flush alone says nothing where stdout is unbuffered
    except BrokenPipeError:
        # Python flushes stdout once more at exit; let that go nowhere instead of printing a traceback.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return True
    return False


if __name__ == "__main__":
    sys.exit(main())
