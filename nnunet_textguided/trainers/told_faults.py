"""Failures of the machine during a training, told with what the plans ask of it."""

from __future__ import annotations

from pathlib import Path

from nnunet_textguided.faults import explained
from nnunet_textguided.trainers.host import TrainerHost


class ToldFaults(TrainerHost):
    """Mixin for nnU-Net trainers: full memory or disk, folders that are gone and dead workers are told in words."""

    def run_training(self) -> None:
        """nnU-Net's.

        Raises:
            UserError: The machine failed.
        """
        again = "Then run the same command with --c: it goes on from the last whole checkpoint."
        with explained(self._doing("Training"), again, self._less_memory(), _FEWER_WORKERS):
            super().run_training()

    def perform_actual_validation(self, save_probabilities: bool = False) -> None:
        """nnU-Net's; the summary of an earlier validation goes first, so that no half one looks whole.

        Raises:
            UserError: The machine failed.
        """
        again = "Then run the same command with --val."
        with explained(self._doing("Validation"), again, self._less_memory(), _FEWER_WORKERS):
            if self.local_rank == 0:
                (Path(self.output_folder) / "validation" / "summary.json").unlink(missing_ok=True)
            super().perform_actual_validation(save_probabilities)

    def _doing(self, what: str) -> str:
        return f"{what} of {self.output_folder} on {self.device} stopped"

    def _less_memory(self) -> str:
        configuration, plans = self.configuration_manager, self.plans_manager.plans_name
        patch = " x ".join(map(str, configuration.patch_size))
        return (
            f"Configuration {self.configuration_name} of {plans} takes patches of {patch} and a batch of "
            f"{configuration.batch_size}. See whether other processes hold memory (nvidia-smi, free -h). Else plan for "
            "less with nnUNetv2_plan_experiment -gpu_memory_target and -overwrite_plans_name, preprocess, and call "
            "nnunet_textguided plan -p with these plans (docs/faults.md has the lines), or halve batch_size of the "
            f"configuration in {plans}.json; in main memory, lower nnUNet_n_proc_DA."
        )


_FEWER_WORKERS = "Lower nnUNet_n_proc_DA (data loading) or nnUNet_def_n_proc (export of predictions)."
