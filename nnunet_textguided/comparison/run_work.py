"""What a process started for one run does: take the run's lock, look at its state again, do what is left."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from nnunet_textguided.comparison.folders import Folders
from nnunet_textguided.comparison.grid import Run
from nnunet_textguided.comparison.inference_cost import measure_inference
from nnunet_textguided.comparison.jobs import MEASURE, TRAINING_KINDS, job_of
from nnunet_textguided.comparison.started_task import BUSY, FINISHED, WorkResult
from nnunet_textguided.comparison.training_job import TrainingOptions, train
from nnunet_textguided.locks import RunBusyError, RunLock, fold_lock_path
from nnunet_textguided.nnunet_paths import PURPOSES


@dataclass(frozen=True)
class RunWork:
    """A callable that can be pickled, and called again where an earlier call was cut off.

    The state is looked at when it starts, not when it was submitted: a job that waited in a queue while another one
    did the work finds nothing to do, and one that was requeued goes on from nnU-Net's checkpoint.

    Attributes:
        run: Which one.
        measure: Measure the time of a prediction instead of training.
        folders: nnU-Net's.
        records: Folder of all records.
        options: Device and number of GPUs.
        environment: Variables of nnU-Net as they were when it was submitted.
    """

    run: Run
    measure: bool
    folders: Folders
    records: Path
    options: TrainingOptions
    environment: Mapping[str, str] = field(default_factory=dict)

    def __call__(self) -> WorkResult:
        """Do what is left."""
        os.environ.update(self.environment)
        try:
            with RunLock(fold_lock_path(self.run.fold_folder(self.folders.results))):
                self._work()
        except RunBusyError as error:
            return WorkResult(BUSY, str(error))
        return WorkResult(FINISHED)

    def _work(self) -> None:
        left = job_of(self.run, self.folders, self.records).kind
        if self.measure and left == MEASURE:
            measure_inference(
                self.run, self.folders, self.records, device=self.options.device, threads=self.options.threads
            )
        elif not self.measure and left in TRAINING_KINDS:
            train(self.run, self.options, self.records)


def nnunet_environment(folders: Folders) -> dict[str, str]:
    """Return nnU-Net's variables of this process, for one that is started by others such as a cluster.

    Args:
        folders: nnU-Net's.
    """
    own = {name: value for name, value in os.environ.items() if name.startswith("nnUNet_")}
    return {**own, **dict(zip(PURPOSES, map(str, (folders.raw, folders.preprocessed, folders.results)), strict=True))}
