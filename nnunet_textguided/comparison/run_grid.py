"""Brings every run of a comparison to its end: trainings first, then the time of a prediction, one at a time."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nnunet_textguided.comparison.cluster_options import LOCAL, ClusterOptions
from nnunet_textguided.comparison.folders import Folders
from nnunet_textguided.comparison.grid import Grid
from nnunet_textguided.comparison.grids import check_startable
from nnunet_textguided.comparison.jobs import MEASURE, TRAINING_KINDS, Job, choose, jobs_of
from nnunet_textguided.comparison.run_work import RunWork, nnunet_environment
from nnunet_textguided.comparison.started_task import Work
from nnunet_textguided.comparison.submission import JobOutcome, run_jobs
from nnunet_textguided.comparison.training_job import TrainingOptions


@dataclass(frozen=True)
class GridRunner:
    """Runs what is missing.

    Attributes:
        grids: One a table.
        folders: nnU-Net's.
        records: Folder of all records.
        logs: Folder of all logs.
        training: Device and number of GPUs.
        cluster: Where jobs run.
        costs: Whether the time of a prediction is wanted.
    """

    grids: Sequence[Grid]
    folders: Folders
    records: Path
    logs: Path
    training: TrainingOptions
    cluster: ClusterOptions
    costs: bool = True

    def jobs(self, names: Sequence[str] = ()) -> list[Job]:
        """Return what runs need, in the order it is done.

        Args:
            names: Of runs, or patterns; none means all.

        Raises:
            UserError: A name fits no run, or a split has no such fold.
        """
        return choose(jobs_of(self.grids, self.folders, self.records, self.costs), names)

    def check(self, jobs: Sequence[Job]) -> list[Job]:
        """Check that what is to be trained can be.

        Args:
            jobs: Of all kinds.

        Returns:
            Those that train.

        Raises:
            UserError: A trainer, plans or configuration is not there.
        """
        training = [job for job in jobs if job.kind in TRAINING_KINDS]
        check_startable([job.run for job in training], self.folders)
        return training

    def run(self, names: Sequence[str] = ()) -> list[JobOutcome]:
        """Train and validate what is not finished, then measure what was not measured.

        Predictions are measured one at a time on this machine: one beside others takes longer.

        Args:
            names: Of runs, or patterns; none means all.

        Returns:
            How every job ended that had to be started.

        Raises:
            UserError: A trainer, plans or configuration is not there.
        """
        training = self.check(self.jobs(names))
        outcomes = run_jobs(training, self._training, self.cluster, self.logs)
        measuring = [job for job in self.jobs(names) if job.kind == MEASURE]
        alone = replace(self.cluster, workers=1) if self.cluster.cluster == LOCAL else self.cluster
        return outcomes + run_jobs(measuring, self._measuring, alone, self.logs)

    def _training(self, job: Job) -> Work:
        return self._work(job, measure=False, options=replace(self.training, threads=self._threads()))

    def _measuring(self, job: Job) -> Work:
        return self._work(job, measure=True, options=self.training)

    def _work(self, job: Job, measure: bool, options: TrainingOptions) -> Work:
        environment = nnunet_environment(self.folders)
        return RunWork(job.run, measure, self.folders, self.records, options, environment)

    def _threads(self) -> int | None:
        """Share the cores of this machine between jobs that run at once, where the user has not said otherwise."""
        at_once = self.cluster.limit if self.cluster.cluster == LOCAL else 1
        if self.training.threads is not None or at_once in (None, 1) or "OMP_NUM_THREADS" in os.environ:
            return self.training.threads
        from nnunet_textguided.comparison.resource_use import usable_cores

        return max(1, usable_cores() // at_once)
