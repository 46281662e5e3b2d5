"""What is compared: systems (a trainer with its plans), and their runs over data sets, configurations and folds."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nnunet_textguided.errors import UserError
from nnunet_textguided.safe_names import check_name

_NAME = re.compile(r"\w+")
IN_ORDER = "names_in_order"
"""What follows a system's plans where its predictions are scored with their names in order, and how they are called."""


@dataclass(frozen=True)
class System:
    """One thing that is compared.

    Attributes:
        label: How tables name it.
        trainer: Class name of the trainer.
        plans: Plans identifiers; several are repeats (seeds), averaged case by case.
        names_in_order: Whether predictions are scored with their names in order (`inference.name_order`).
    """

    label: str
    trainer: str
    plans: tuple[str, ...]
    names_in_order: bool = False

    @classmethod
    def parse(cls, text: str) -> System:
        """Read `[LABEL=]TRAINER:PLANS[,PLANS...][:names_in_order]`; the label is TRAINER (PLANS) where it is left out.

        Args:
            text: What the user typed.

        Raises:
            UserError: It does not read so.
        """
        label, equals, rest = text.rpartition("=")
        trainer, colon, plans = rest.removesuffix(f":{IN_ORDER}").partition(":")
        ordered = rest.endswith(f":{IN_ORDER}")
        identifiers = tuple(plans.split(",")) if colon else ()
        if not identifiers or not all(_NAME.fullmatch(name) for name in (trainer, *identifiers)):
            raise UserError(
                f"Expected a system as LABEL=TRAINER:PLANS or LABEL=TRAINER:PLANS,PLANS (repeats), with :{IN_ORDER} "
                f"after it or not, got {text!r}. "
                "Example: 'Text-guided=TextGuidedTrainer:nnUNetPlansTextGuided'"
            )
        if len(set(identifiers)) < len(identifiers):
            raise UserError(f"{text!r} names the same plans twice: repeats are trainings of their own, with own plans.")
        words = f"{plans}, names in order" if ordered else plans
        return cls(label.strip() if equals else f"{trainer} ({words})", trainer, identifiers, ordered)


@dataclass(frozen=True, order=True)
class Run:
    """One training: what nnU-Net calls a fold of a model.

    Attributes:
        dataset: DatasetXXX_Name.
        configuration: Such as "2d".
        trainer: Class name of the trainer.
        plans: Plans identifier.
        fold: Number of the fold.
        names_in_order: Whether its predictions are scored with their names in order; the training is the same.
    """

    dataset: str
    configuration: str
    trainer: str
    plans: str
    fold: int
    names_in_order: bool = False

    def __post_init__(self) -> None:
        """Check the names, of which folders are made.

        Raises:
            UserError: One of them cannot be the name of a folder.
        """
        for name in ("dataset", "configuration", "trainer", "plans"):
            check_name(getattr(self, name), name)
        check_name(str(self.fold), "fold")

    @property
    def model(self) -> str:
        """nnU-Net's name of the model's folder."""
        return f"{self.trainer}__{self.plans}__{self.configuration}"

    @property
    def name(self) -> str:
        """A name no other training has; also its path below nnUNet_results."""
        return f"{self.dataset}/{self.model}/fold_{self.fold}"

    @property
    def record(self) -> str:
        """Path of its scores below the folder of records."""
        return f"{self.name}/{IN_ORDER}" if self.names_in_order else self.name

    @property
    def training(self) -> Run:
        """The run as it is trained."""
        return replace(self, names_in_order=False)

    @property
    def variants(self) -> tuple[Run, Run]:
        """The two ways to score its training: as the network names, and with names in order."""
        return self.training, replace(self, names_in_order=True)

    def model_folder(self, results: Path) -> Path:
        """Return the model's folder.

        Args:
            results: nnUNet_results.
        """
        return results / self.dataset / self.model

    def fold_folder(self, results: Path) -> Path:
        """Return the folder with checkpoints and `validation`.

        Args:
            results: nnUNet_results.
        """
        return results / self.name

    def predictions(self, results: Path) -> Path:
        """Return the folder of the predictions that are scored.

        Args:
            results: nnUNet_results.
        """
        return self.fold_folder(results) / (f"validation_{IN_ORDER}" if self.names_in_order else "validation")


@dataclass(frozen=True)
class Grid:
    """Systems x folds on one configuration of one data set: the runs of one table.

    Attributes:
        dataset: DatasetXXX_Name.
        configuration: Such as "2d".
        folds: Numbers of the folds.
        systems: The first is the one the others are compared with, unless the user names another.
    """

    dataset: str
    configuration: str
    folds: tuple[int, ...]
    systems: tuple[System, ...]

    def __post_init__(self) -> None:
        labels = [system.label for system in self.systems]
        twice = sorted({label for label in labels if labels.count(label) > 1})
        if twice:
            raise UserError(f"Two systems are called {', '.join(twice)}: give each a label of its own (LABEL=...).")
        if not self.folds or len(set(self.folds)) < len(self.folds):
            raise UserError(f"Expected folds, each named once, got {list(self.folds)}.")

    @property
    def title(self) -> str:
        """What the table is of."""
        return f"{self.dataset}, {self.configuration}"

    def runs_of(self, system: System) -> dict[str, list[Run]]:
        """Return the runs of a system: plans identifier -> one run a fold.

        Args:
            system: One of the grid's.
        """
        return {
            plans: [
                Run(self.dataset, self.configuration, system.trainer, plans, fold, system.names_in_order)
                for fold in self.folds
            ]
            for plans in system.plans
        }

    def runs(self) -> list[Run]:
        """Return every run once, in the order of the systems."""
        every = [run for system in self.systems for part in self.runs_of(system).values() for run in part]
        return list(dict.fromkeys(every))


def systems_of_product(trainers: Sequence[str], plans: Sequence[str]) -> list[System]:
    """Return every trainer with every plans as a system of its own.

    Args:
        trainers: Class names.
        plans: Plans identifiers.
    """
    return [System.parse(f"{trainer}:{name}") for trainer in trainers for name in plans]
