"""How long commands take that do nothing but answer."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial

from nnunet_textguided.benchmark.bench import Bench
from nnunet_textguided.benchmark.measurement import Measurement
from nnunet_textguided.benchmark.turns import in_turns
from nnunet_textguided.errors import UserError

PART = "start-up"
OURS, STOCK = "nnunet_textguided", "nnU-Net"
COMMANDS = {
    "nnunet_textguided --help": (OURS, ("-m", "nnunet_textguided.cli.main", "--help")),
    "nnunet_textguided env": (OURS, ("-m", "nnunet_textguided.cli.main", "env")),
    "nnunet_textguided predict --help": (OURS, ("-m", "nnunet_textguided.cli.main", "predict", "--help")),
    "nnunet_textguided compare --help": (OURS, ("-m", "nnunet_textguided.cli.main", "compare", "--help")),
    "import nnunet_textguided": (OURS, ("-c", "import nnunet_textguided")),
    "nnUNetv2_predict --help": (
        STOCK,
        ("-c", "from nnunetv2.inference.predict_from_raw_data import predict_entry_point as run; run()", "--help"),
    ),
}
"""Name -> whose it is and the arguments of Python."""
ROUNDS = 3


def measure_start_up(bench: Bench) -> list[Measurement]:
    """Start the commands in turns, each in a process of its own.

    Args:
        bench: Says how often.
    """
    tasks = {name: partial(bench.stopwatch.seconds, _answer, name) for name in COMMANDS}
    seconds = in_turns(tasks, min(ROUNDS, bench.setting.effort.rounds), warm_up=min(1, bench.setting.effort.warm_up))
    return [Measurement(PART, name, COMMANDS[name][0], "s", tuple(own)) for name, own in seconds.items()]


def _answer(name: str) -> None:
    command = [sys.executable, *COMMANDS[name][1]]
    done = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ), check=False)
    if done.returncode != 0:
        raise UserError(f"`{name}` ended with status {done.returncode}:\n{done.stderr[-1000:]}")
