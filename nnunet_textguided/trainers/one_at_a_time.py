"""Two trainings of one fold would write into each other's files: the second one is refused."""

from __future__ import annotations

import weakref
from pathlib import Path

from nnunet_textguided.files import remove_leftovers
from nnunet_textguided.locks import RunBusyError, fold_lock_path, take_unless_held
from nnunet_textguided.trainers.host import TrainerHost


class OneAtATime(TrainerHost):
    """Mixin for nnU-Net trainers: takes the fold's lock before anything is read from or written into its folder.

    The lock is given back after the validation, or with the end of the trainer or process. A job of `compare` that
    holds it already is not refused, nor are the processes of one training on several GPUs.
    """

    _fold_is_taken = False

    def load_checkpoint(self, filename_or_checkpoint: dict | str) -> None:
        """nnU-Net's, with the fold taken."""
        self._take_fold()
        super().load_checkpoint(filename_or_checkpoint)

    def on_train_start(self) -> None:
        """nnU-Net's, with the fold taken."""
        self._take_fold()
        super().on_train_start()

    def perform_actual_validation(self, save_probabilities: bool = False) -> None:
        """nnU-Net's, with the fold taken; it is given back at the end."""
        self._take_fold()
        super().perform_actual_validation(save_probabilities)
        self._fold_is_taken = False
        if self._give_fold_back is not None:
            self._give_fold_back()

    def _take_fold(self) -> None:
        """Take the lock, and remove what an earlier process left half written.

        Raises:
            RunBusyError: Another process is at this fold.
        """
        if self._fold_is_taken or self.local_rank != 0:
            return
        folder = Path(self.output_folder)
        try:
            lock = take_unless_held(fold_lock_path(folder))
        except RunBusyError as error:
            raise RunBusyError(f"{folder} is being trained or validated already: {error}") from error
        self._give_fold_back = None if lock is None else weakref.finalize(self, lock.release)
        self._fold_is_taken = True
        for part in (folder, folder / "validation"):
            for file in remove_leftovers(part, alone=True):
                self.print_to_log_file(f"removed {file}, left half written by an earlier process")
