"""What is measured, on what, and how often."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from nnunet_textguided.comparison.folders import Folders
from nnunet_textguided.comparison.grid import Grid, System
from nnunet_textguided.comparison.grids import check_startable
from nnunet_textguided.errors import UserError
from nnunet_textguided.files import load_json

STOCK_TRAINER = "nnUNetTrainer"


@dataclass(frozen=True)
class Effort:
    """How often things are repeated. nnU-Net's own benchmark takes 5 epochs of 250 iterations.

    Attributes:
        rounds: Turns that count.
        warm_up: Turns before them.
        epochs: Of nnU-Net's protocol.
        iterations: Of one epoch; a fifth as many validate, as in nnU-Net.
    """

    rounds: int
    warm_up: int
    epochs: int
    iterations: int

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            UserError: One is too small.
        """
        if min(self.rounds, self.epochs, self.iterations) < 1 or self.warm_up < 0:
            raise UserError(
                "Expected --rounds, --epochs and --iterations of at least 1 and --warm-up of at least 0, got "
                f"{self.rounds}, {self.epochs}, {self.iterations} and {self.warm_up}."
            )

    @classmethod
    def for_device(cls, device: torch.device, **given: int | None) -> Effort:
        """Return the default effort of a device, changed where something is given.

        Args:
            device: Where the networks run.
            given: Fields by name; None leaves the default.
        """
        on_gpu = {"rounds": 50, "warm_up": 10, "epochs": 5, "iterations": 250}
        on_cpu = {"rounds": 7, "warm_up": 1, "epochs": 3, "iterations": 5}
        default = on_gpu if device.type == "cuda" else on_cpu
        return cls(**{**default, **{name: value for name, value in given.items() if value is not None}})


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One benchmark.

    Attributes:
        dataset: DatasetXXX_Name.
        configuration: Such as "2d".
        systems: Each with one plans identifier.
        reference: Label of the system the others are divided by.
        folders: nnU-Net's.
        device: Where the networks run.
        effort: How often things are repeated.
        threads: Of the CPU; None for OMP_NUM_THREADS, or all cores.
        fold: Its cases are trained on and predicted.
        classes: Numbers of structures that the cost of classes is measured at.
        encoders: Image encoders it is measured for; empty for those of the plans.
        cases: Numbers of cases that are predicted in one go.
        workers: Numbers of loading processes; 0 = in the training process itself.
    """

    dataset: str
    configuration: str
    systems: tuple[System, ...]
    reference: str
    folders: Folders
    device: torch.device
    effort: Effort
    threads: int | None = None
    fold: int = 0
    classes: tuple[int, ...] = (1, 20, 24, 100, 200)
    encoders: tuple[str, ...] = ()
    cases: tuple[int, ...] = (1, 3)
    workers: tuple[int, ...] = (0, 1, 2)

    def __post_init__(self) -> None:
        """Check that everything named is there.

        Raises:
            UserError: Something is not.
        """
        for name, lowest in (("classes", 1), ("cases", 1), ("workers", 0)):
            values = getattr(self, name)
            if not values or min(values) < lowest:
                raise UserError(f"Expected --{name} of at least {lowest} each, got {list(values)}.")
        grid = Grid(self.dataset, self.configuration, (self.fold,), self.systems)
        check_startable(grid.runs(), self.folders)
        if self.reference not in self.labels:
            raise UserError(f"--reference {self.reference!r} is none of the systems: {', '.join(self.labels)}.")

    @property
    def labels(self) -> list[str]:
        """Of the systems."""
        return [system.label for system in self.systems]

    def plans_file(self, system: System) -> str:
        """Return the path of a system's plans.

        Args:
            system: One of the benchmark's.
        """
        return str(self.folders.preprocessed / self.dataset / f"{system.plans[0]}.json")

    @property
    def dimensions(self) -> int:
        """Of the patch: 2 or 3."""
        return len(self.configuration_of(self.systems[0])["patch_size"])

    def configuration_of(self, system: System) -> dict:
        """Return the entry of the configuration in a system's plans.

        Args:
            system: One of the benchmark's.
        """
        return load_json(self.plans_file(system))["configurations"][self.configuration]

    def encoder_of(self, system: System) -> str | None:
        """Return the image encoder that a system's plans name, None for plans without the block.

        Args:
            system: One of the benchmark's.
        """
        return (load_json(self.plans_file(system)).get("text_guidance") or {}).get("encoder")


def with_reference(systems: Sequence[System], reference: str | None) -> tuple[tuple[System, ...], str]:
    """Put the reference first; where none is named it is nnUNetTrainer on the plans of the first system.

    Args:
        systems: As the user named them.
        reference: Label of one of them, or None.

    Returns:
        All systems and the label of the reference.

    Raises:
        UserError: No systems, one with several plans or names in order, or no such reference.
    """
    if not systems:
        raise UserError("Name what is measured: --systems LABEL=TRAINER:PLANS ...")
    for system in systems:
        if len(system.plans) != 1:
            raise UserError(f"{system.label}: a benchmark takes one plans identifier a system, got {system.plans}.")
        if system.names_in_order:
            raise UserError(f"{system.label}: a benchmark is of the network; leave :names_in_order out.")
    stock = next((system for system in systems if system.trainer == STOCK_TRAINER), None)
    if reference is not None:
        chosen = next((system for system in systems if system.label == reference), None)
        if chosen is None:
            known = ", ".join(system.label for system in systems)
            raise UserError(f"--reference {reference!r} is none of the systems: {known}.")
    else:
        chosen = stock or System("nnU-Net", STOCK_TRAINER, systems[0].plans)
    return (chosen, *(system for system in systems if system != chosen)), chosen.label
