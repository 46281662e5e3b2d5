"""SIGTERM, which clusters send before they take a machine away, ends a training with a checkpoint."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from types import FrameType

from nnunet_textguided.checkpoint_files import LATEST
from nnunet_textguided.trainers.host import TrainerHost
from nnunet_textguided.trainers.schedule import WarmupPolyLR

TERMINATED = 128 + signal.SIGTERM
"""Exit status, 143, as a shell reports a process that SIGTERM ended."""
ITERATIONS_DONE = "iterations_done"
"""Entry of the optimiser's first group; nnU-Net saves and restores groups as they are, and has no use for it."""


class SigtermRequest:
    """Notes SIGTERM instead of dying of it, from `start` to `stop`.

    A handler that somebody else installed, such as submitit's on a cluster, is left in place.
    """

    def __init__(self) -> None:
        self.asked = False
        self._pid: int | None = None

    def start(self) -> None:
        """Note SIGTERM from now on; only the main thread may, elsewhere nothing changes."""
        main = threading.current_thread() is threading.main_thread()
        if main and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
            self._pid = os.getpid()
            signal.signal(signal.SIGTERM, self._note)

    def stop(self) -> None:
        """Let SIGTERM end the process again."""
        if self._pid == os.getpid():
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        self._pid = None

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        if self._pid != os.getpid():  # a forked worker has a copy of this handler and is to end when it is asked to
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)


class EndsOnSigterm(TrainerHost):
    """Mixin for nnU-Net trainers: after SIGTERM the iteration in hand is finished, a checkpoint written, and left.

    nnU-Net counts whole epochs. `checkpoint_latest.pth` written here also says how many iterations of its epoch are
    done (`ITERATIONS_DONE`), and a training that is resumed with `--c` does the rest of them, at the rates they would
    have had: no iteration is lost and none is done twice. The training loss that nnU-Net logs for that epoch is over
    the rest. Stock nnU-Net reads such a checkpoint, too, and does its epoch from the start.

    A training on several GPUs ends at once and goes on from nnU-Net's last checkpoint, as its processes would leave at
    different iterations.
    """

    iterations_done = 0
    """Of the epoch in hand."""
    _left_out = 0
    _sigterm: SigtermRequest | None = None

    def before_iteration(self) -> None:
        """Called before the data of every iteration are drawn, and before an epoch's validation."""

    def load_checkpoint(self, filename_or_checkpoint: dict | str) -> None:
        """nnU-Net's, and how far its epoch was."""
        super().load_checkpoint(filename_or_checkpoint)
        done = self.optimizer.param_groups[0].pop(ITERATIONS_DONE, 0)
        self.iterations_done = min(done, self.num_iterations_per_epoch)

    def run_training(self) -> None:
        """nnU-Net's; leaves with exit status 143 where it was asked to."""
        self._sigterm = SigtermRequest()
        try:
            super().run_training()
        except RuntimeError:
            if not self._sigterm.asked:  # else the signal has ended the workers that load data, too
                raise
            self._leave()
        finally:
            self._sigterm.stop()
        if self._sigterm.asked:
            self.print_to_log_file(
                "SIGTERM: stopped after the last epoch. The same command with --val goes on from there."
            )
            raise SystemExit(TERMINATED)

    def on_train_start(self) -> None:
        """nnU-Net's; from here on there is something to save."""
        super().on_train_start()
        if not self.is_ddp and self._sigterm is not None:
            self._sigterm.start()

    def on_train_epoch_start(self) -> None:
        """nnU-Net's; of an epoch that was left, the iterations that are done are left out."""
        super().on_train_epoch_start()
        self._left_out = self.iterations_done
        self.num_iterations_per_epoch -= self._left_out
        if isinstance(self.lr_scheduler, WarmupPolyLR):
            self.lr_scheduler.iteration += self._left_out
        self.before_iteration()

    def train_step(self, batch: dict) -> dict:
        """nnU-Net's; counts."""
        result = super().train_step(batch)
        self.iterations_done += 1
        self.before_iteration()
        if self.iterations_done < self.num_iterations_per_epoch + self._left_out:
            self._leave_if_asked()
        return result

    def on_train_epoch_end(self, train_outputs: list[dict]) -> None:
        """nnU-Net's; where all iterations were done before, their loss is in the log already."""
        self.num_iterations_per_epoch += self._left_out
        self._left_out = 0
        if train_outputs:
            super().on_train_epoch_end(train_outputs)
        self._leave_if_asked()

    def validation_step(self, batch: dict) -> dict:
        """nnU-Net's; an epoch that is left here does its validation again."""
        result = super().validation_step(batch)
        self._leave_if_asked()
        return result

    def on_epoch_end(self) -> None:
        """nnU-Net's; the next epoch begins with its first iteration."""
        self.iterations_done = 0
        super().on_epoch_end()
        if self.current_epoch < self.num_epochs:  # after the last one nnU-Net writes the final checkpoint at once
            self._leave_if_asked()

    def _leave_if_asked(self) -> None:
        if self._sigterm is not None and self._sigterm.asked:
            self._leave()

    def _leave(self) -> None:
        """Write the checkpoint and end the process.

        Raises:
            SystemExit: Always.
        """
        self.optimizer.param_groups[0][ITERATIONS_DONE] = self.iterations_done
        self.current_epoch -= 1  # nnU-Net stores the next epoch, and this one is not done
        self.save_checkpoint(str(Path(self.output_folder) / LATEST))
        self.current_epoch += 1
        self.print_to_log_file(
            f"SIGTERM: stopped after iteration {self.iterations_done} of epoch {self.current_epoch}. The same command "
            "with --c goes on from there."
        )
        raise SystemExit(TERMINATED)
