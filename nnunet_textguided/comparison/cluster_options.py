"""How many jobs run at once, where, and what SLURM is told about them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from nnunet_textguided.errors import UserError

LOCAL, SLURM = "local", "slurm"

_TEXT = (
    "partition account qos constraint gres exclude nodelist comment dependency mail_type mail_user "
    "mem_per_gpu mem_per_cpu wckey"
)
_NUMBERS = "time gpus_per_node cpus_per_task gpus_per_task cpus_per_gpu signal_delay_s"
SLURM_KEYS: dict[str, type] = {
    **dict.fromkeys(_TEXT.split(), str),
    **dict.fromkeys(_NUMBERS.split(), int),
    "mem_gb": float,
    "exclusive": bool,
    "setup": list,
}
"""Parameters of submitit's SLURM executor that make sense for one training, as sbatch names them; time in minutes,
mem_gb in gigabytes. `setup` is a shell line that runs first and may be given several times."""


@dataclass(frozen=True)
class ClusterOptions:
    """Where jobs run.

    Attributes:
        cluster: "local" or "slurm".
        workers: Jobs at once; None is 1 on this machine, and no limit of our own on SLURM.
        slurm: Parameters of SLURM, as `parse_slurm` returns them.
        gpus: GPUs a job uses on this machine; 0 hides them.
        devices: GPUs of this machine, as CUDA_VISIBLE_DEVICES names them; jobs that run at once get different ones
            as long as there are enough.
    """

    cluster: str = LOCAL
    workers: int | None = None
    slurm: dict[str, Any] = field(default_factory=dict)
    gpus: int = 1
    devices: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check that they fit each other.

        Raises:
            UserError: They do not, or this system cannot do it.
        """
        if self.cluster not in (LOCAL, SLURM):
            raise UserError(f"Expected --cluster {LOCAL} or {SLURM}, got {self.cluster!r}.")
        if self.workers is not None and self.workers < 1:
            raise UserError(f"Expected --workers of at least 1, got {self.workers}.")
        if self.slurm and self.cluster != SLURM:
            raise UserError("--slurm says how SLURM jobs are run: add --cluster slurm, or leave it out.")
        if self.cluster == SLURM and "time" not in self.slurm:
            raise UserError(
                "SLURM ends a job after a given time: say how long one may run, in minutes, such as --slurm time=720. "
                "A training that needs longer is queued again and goes on from its last checkpoint."
            )
        if self.cluster == LOCAL and self.devices and self.gpus > len(self.devices):
            raise UserError(f"A job shall use {self.gpus} GPUs, but {len(self.devices)} are visible here.")
        if os.name == "nt":
            raise UserError(
                "--run needs Linux or macOS (on Windows: WSL). Train with `nnunet_textguided train`, then compare "
                "without --run."
            )

    @property
    def limit(self) -> int | None:
        """Jobs at once; None for no limit."""
        return self.workers or (1 if self.cluster == LOCAL else None)

    def devices_of(self, slot: int) -> str | None:
        """Return CUDA_VISIBLE_DEVICES for the job in a slot; None leaves the variable alone.

        Args:
            slot: 0 to `limit` - 1; no two jobs that run at once are in the same.
        """
        if self.cluster != LOCAL:
            return None
        first, count = slot * self.gpus, len(self.devices)
        chosen = [self.devices[(first + number) % count] for number in range(min(self.gpus, count))]
        return ",".join(chosen)


def parse_slurm(items: Sequence[str]) -> dict[str, Any]:
    """Read KEY=VALUE, with values of the type that SLURM expects.

    Args:
        items: Such as "partition=gpu", "time=720".

    Raises:
        UserError: It does not read so, or SLURM has no such parameter; the text lists those there are.
    """
    parameters: dict[str, Any] = {}
    for item in items:
        key, equals, value = item.partition("=")
        if not equals or not value or key not in SLURM_KEYS:
            raise UserError(
                f"Expected --slurm KEY=VALUE, got {item!r}. Keys: {', '.join(sorted(SLURM_KEYS))}. For any other "
                "option of sbatch set its variable before, such as `export SBATCH_RESERVATION=course`."
            )
        if key in parameters and SLURM_KEYS[key] is not list:
            raise UserError(f"--slurm gives {key} twice: {parameters[key]!r} and {value!r}.")
        if SLURM_KEYS[key] is list:
            parameters.setdefault(key, []).append(value)
        else:
            parameters[key] = _typed(key, value)
    return parameters


def visible_devices() -> tuple[str, ...]:
    """Return the GPUs this process may use, as CUDA_VISIBLE_DEVICES names them."""
    variable = os.environ.get("CUDA_VISIBLE_DEVICES")
    if variable is not None:
        return tuple(part.strip() for part in variable.split(",") if part.strip())
    import torch

    return tuple(map(str, range(torch.cuda.device_count())))


def _typed(key: str, value: str) -> Any:
    kind = SLURM_KEYS[key]
    if kind is bool:
        if value not in ("yes", "no"):
            raise UserError(f"Expected --slurm {key}=yes or {key}=no, got {key}={value}.")
        return value == "yes"
    try:
        number = kind(value)
    except ValueError:
        number = None
    if number is None or (kind is not str and not number > 0):
        unit = " (minutes)" if key == "time" else ""
        raise UserError(f"Expected a number above 0{unit} for --slurm {key}, got {value!r}.")
    return number
