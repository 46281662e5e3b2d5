"""Checkpoints are whole or not there, and run nothing when they are read."""

from __future__ import annotations

from pathlib import Path

from nnunet_textguided.checkpoint_files import check_still_there, check_whole, what_follows
from nnunet_textguided.files import atomic_path
from nnunet_textguided.safe_checkpoint import check_checkpoints
from nnunet_textguided.trainers.host import TrainerHost


class WholeCheckpoints(TrainerHost):
    """Mixin for nnU-Net trainers: a checkpoint gets its name once it is on the disk, and is checked before it is read.

    nnU-Net unpickles whatever a checkpoint holds, so it is opened here first in a way that runs nothing.

    nnU-Net writes under the final name. A process killed meanwhile leaves a file that is taken for the newest
    checkpoint and does not load, while the one before is gone.
    """

    def save_checkpoint(self, filename: str) -> None:
        """nnU-Net's, under a temporary name at first.

        Raises:
            UserError: The folder is gone or full; the checkpoint before is kept.
        """
        if self.local_rank != 0 or self.disable_checkpointing:  # then nnU-Net writes nothing
            super().save_checkpoint(filename)
            return
        check_still_there(Path(filename).parent, "checkpoint")
        with atomic_path(filename, durable=True) as temporary:
            super().save_checkpoint(str(temporary))

    def load_checkpoint(self, filename_or_checkpoint: dict | str) -> None:
        """nnU-Net's, from a whole file that is safe to open.

        Raises:
            UserError: The file is cut short, or would run code and is not trusted.
        """
        if isinstance(filename_or_checkpoint, str):
            path = Path(filename_or_checkpoint)
            check_whole(path, what_follows(path))
            check_checkpoints([path])
        super().load_checkpoint(filename_or_checkpoint)
