"""A training that is cut off goes on as if nothing had happened; what cannot go on says why."""

from __future__ import annotations

import errno
import os
import re
import signal
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from toy_trainer import ToyLoop, toy_trainer

from nnunet_textguided import trainers
from nnunet_textguided.errors import UserError
from nnunet_textguided.locks import HELD, RunBusyError, RunLock, fold_lock_path
from nnunet_textguided.trainers.fault_tolerance import FaultTolerance
from nnunet_textguided.trainers.interruption import ITERATIONS_DONE, SigtermRequest
from nnunet_textguided.trainers.shared_recipe import seed_iteration


@pytest.fixture(autouse=True)
def _no_lock_of_others(monkeypatch):
    monkeypatch.setenv(HELD, "")


@pytest.fixture
def undisturbed(results):
    """What a training gives that nobody interrupts: weights, rates, Dice of every epoch."""
    trainer = toy_trainer()
    trainer.run_training()
    dice = list(trainer.logger.get_value("mean_fg_dice", step=None))
    (Path(trainer.output_folder) / "checkpoint_final.pth").unlink()
    return SimpleNamespace(weights=weights(trainer), rates=trainer.rates, dice=dice)


def weights(trainer) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in trainer.network.state_dict().items()}


def asked_at(trainer, method: str, call: int) -> None:
    """SIGTERM comes while a method runs for the n-th time."""
    plain, calls = getattr(trainer, method), []

    def signalled(*args):
        calls.append(args)
        if len(calls) == call:
            os.kill(os.getpid(), signal.SIGTERM)
        return plain(*args)

    setattr(trainer, method, signalled)


def test_every_trainer_of_ours_is_fault_tolerant_before_all_else():
    for name in trainers.__all__:
        order = getattr(trainers, name).__mro__
        assert FaultTolerance in order, name
        assert all(order.index(FaultTolerance) < order.index(base) for base in order if "train_step" in vars(base)), (
            name
        )


@pytest.mark.parametrize(
    ("method", "call", "done_at_the_end"),
    [("train_step", 2, 2), ("on_validation_epoch_start", 1, 3), ("train_step", 3, 3), ("on_epoch_end", 1, 0)],
    ids=["in an epoch", "in its validation", "at its last iteration", "between epochs"],
)
def test_sigterm_leaves_a_checkpoint_from_which_the_result_is_that_of_an_undisturbed_training(
    undisturbed, method, call, done_at_the_end
):
    first = toy_trainer()
    asked_at(first, method, call)
    with pytest.raises(SystemExit) as left:
        first.run_training()
    assert left.value.code == 143
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    checkpoint = Path(first.output_folder) / "checkpoint_latest.pth"
    group = torch.load(checkpoint, weights_only=False)["optimizer_state"]["param_groups"][0]
    assert group.get(ITERATIONS_DONE) == done_at_the_end

    second = toy_trainer()
    second.load_checkpoint(str(checkpoint))
    second.run_training()
    assert first.rates + second.rates == undisturbed.rates
    for name, value in weights(second).items():
        assert torch.equal(value, undisturbed.weights[name]), name
    log = second.logger.local_logger.my_fantastic_logging
    assert {len(values) for values in log.values()} == {2}
    assert log["mean_fg_dice"] == undisturbed.dice
    assert ITERATIONS_DONE not in second.optimizer.param_groups[0]


def test_training_killed_between_checkpoints_ends_as_an_undisturbed_one_where_seeded(undisturbed):

    class Killed(BaseException):
        pass

    first = toy_trainer()
    whole = first.on_validation_epoch_start

    def killed_in_the_second():
        if first.current_epoch == 1:
            raise Killed
        whole()

    first.on_validation_epoch_start = killed_in_the_second
    with pytest.raises(Killed):
        first.run_training()
    second = toy_trainer()
    second.load_checkpoint(str(Path(first.output_folder) / "checkpoint_latest.pth"))
    assert second.current_epoch == 1
    second.run_training()
    for name, value in weights(second).items():
        assert torch.equal(value, undisturbed.weights[name]), name


def test_workers_that_the_signal_ended_too_do_not_hide_it(results):
    trainer = toy_trainer()
    trainer.initialize()

    def step(batch):
        os.kill(os.getpid(), signal.SIGTERM)
        raise RuntimeError("One or more background workers are no longer alive. Exiting.")

    trainer.train_step = step
    with pytest.raises(SystemExit) as left:
        trainer.run_training()
    assert left.value.code == 143
    assert (Path(trainer.output_folder) / "checkpoint_latest.pth").is_file()


def test_a_handler_of_somebody_else_is_left_in_place(monkeypatch):
    seen = []
    before = signal.signal(signal.SIGTERM, lambda *_: seen.append(1))
    try:
        request = SigtermRequest()
        request.start()
        os.kill(os.getpid(), signal.SIGTERM)
        request.stop()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert seen == [1]
    assert not request.asked


def test_forked_worker_ends_when_it_is_asked_to():
    request = SigtermRequest()
    request.start()
    try:
        child = os.fork()
        if child == 0:
            os.kill(os.getpid(), signal.SIGTERM)
            os._exit(0)
        _, status = os.waitpid(child, 0)
    finally:
        request.stop()
    assert os.WTERMSIG(status) == signal.SIGTERM
    assert not request.asked


@pytest.fixture
def ready(results):
    trainer = toy_trainer()
    trainer.initialize()
    return trainer


def test_checkpoint_that_could_not_be_written_leaves_the_one_before(ready, monkeypatch):
    path = Path(ready.output_folder) / "checkpoint_latest.pth"
    ready.save_checkpoint(str(path))
    before = path.read_bytes()

    def cut_off(content, file):
        Path(file).write_bytes(before[:1000])
        raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 704 vs 598")  # torch's words

    monkeypatch.setattr(torch, "save", cut_off)
    with pytest.raises(UserError, match=r"Could not write .*checkpoint_latest.pth: it could not be written to its end"):
        ready.save_checkpoint(str(path))
    assert path.read_bytes() == before
    assert not list(path.parent.glob(".partial-*"))


def test_nothing_is_written_where_checkpoints_are_disabled(ready):
    ready.disable_checkpointing = True
    ready.save_checkpoint(str(Path(ready.output_folder) / "checkpoint_latest.pth"))
    assert not list(Path(ready.output_folder).glob("*.pth"))


def test_folder_that_is_gone_is_not_made_anew(ready, results):
    gone = Path(ready.output_folder).rename(results / "elsewhere")
    with pytest.raises(UserError, match="unmounted"):
        ready.save_checkpoint(str(Path(ready.output_folder) / "checkpoint_latest.pth"))
    assert not Path(ready.output_folder).exists()
    assert gone.exists()


@pytest.mark.parametrize(("others", "then"), [(["best"], "goes on from checkpoint_best.pth"), ([], "starts anew")])
def test_checkpoint_cut_short_is_named_with_what_follows(results, others, then):
    trainer = toy_trainer()
    folder = Path(trainer.output_folder)
    for name in others:
        with zipfile.ZipFile(folder / f"checkpoint_{name}.pth", "w") as archive:
            archive.writestr("data.pkl", "x")
    (folder / "checkpoint_latest.pth").write_bytes(b"PK\x03\x04 and no end")
    with pytest.raises(UserError, match=rf"checkpoint_latest.pth is cut short.*rm .*{then}"):
        trainer.load_checkpoint(str(folder / "checkpoint_latest.pth"))


def test_fold_in_work_is_refused_until_it_is_given_back(results, monkeypatch):
    trainer = toy_trainer()
    folder = Path(trainer.output_folder)
    with RunLock(fold_lock_path(folder)):
        monkeypatch.setenv(HELD, "")  # another process, which did not start this one
        with pytest.raises(RunBusyError, match=rf"{re.escape(str(folder))} is being trained.*process {os.getpid()} on"):
            trainer.run_training()
        assert not list(folder.glob("*.pth"))


def test_job_that_holds_the_fold_trains_in_it(ready):
    folder = Path(ready.output_folder)
    with RunLock(fold_lock_path(folder)):
        ready._take_fold()
        del ready
        assert fold_lock_path(folder).exists()


def test_leftovers_of_a_killed_process_go_when_the_fold_is_taken(ready):
    folder = Path(ready.output_folder)
    (folder / "validation").mkdir()
    left = [folder / ".partial-0badcafe-77-checkpoint_latest.pth", folder / "validation" / ".partial-7-case.nii.gz"]
    for file in left:
        file.write_bytes(b"half")
    ready._take_fold()
    assert not any(file.exists() for file in left)
    assert fold_lock_path(folder).exists()


MACHINE_FAULTS = [
    (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB."), "16 x 16 and a batch of 2"),
    (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"), "-gpu_memory_target"),
    (MemoryError(), "Configuration 2d of nnUNetPlans takes"),
    (RuntimeError("One or more background workers are no longer alive."), "nnUNet_n_proc_DA"),
    (OSError(errno.ENOSPC, "No space left on device", "/r/plans.json"), r"/r/plans.json: No space left.*free some"),
    (OSError(errno.EROFS, "Read-only file system"), "permissions"),
    (FileNotFoundError(errno.ENOENT, "No such file or directory", "/p/case.b2nd"), "/p/case.b2nd.*unmounted"),
]


@pytest.mark.parametrize(("error", "told"), MACHINE_FAULTS, ids=lambda entry: type(entry).__name__)
def test_faults_of_the_machine_are_told_with_the_plan_and_the_way_on(results, monkeypatch, error, told):
    trainer = toy_trainer()

    def fail(*_):
        raise error

    for hook in ("on_train_start", "do_split"):
        monkeypatch.setattr(trainer, hook, fail)
    with pytest.raises(UserError, match=rf"(?s)Training of .*fold_0 on cpu stopped: .*{told}.*--c"):
        trainer.run_training()


@pytest.mark.parametrize("step", ["train_step", "validation_step"])
def test_memory_that_runs_out_in_a_step_is_told(results, step):
    trainer = toy_trainer()

    def fail(batch):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    setattr(trainer, step, fail)
    with pytest.raises(UserError, match="Memory ran out"):
        trainer.run_training()


def test_validation_begun_anew_has_no_summary_of_an_earlier_one(ready, monkeypatch):
    summary = Path(ready.output_folder) / "validation" / "summary.json"
    summary.parent.mkdir()
    summary.write_text("{}")

    def fail():
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(ToyLoop, "perform_actual_validation", lambda self, save: fail())
    with pytest.raises(UserError, match=r"(?s)Validation of .* stopped: Memory ran out.*--val"):
        ready.perform_actual_validation()
    assert not summary.exists()


def test_errors_of_the_program_pass_as_they_are(results, monkeypatch):
    trainer = toy_trainer()

    def fail():
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(trainer, "on_train_start", fail)
    with pytest.raises(RuntimeError, match="mat1"):
        trainer.run_training()


def test_every_iteration_of_a_seeded_training_draws_other_data_and_the_same_when_it_is_repeated():
    def draw(position):
        seed_iteration(*position)
        return np.random.random(), float(torch.rand(1))

    positions = [(seed, epoch, iteration) for seed in (1, 2) for epoch in range(3) for iteration in range(3)]
    first = [draw(position) for position in positions]
    assert len(set(first)) == len(positions)
    assert [draw(position) for position in positions] == first
