"""An epoch with loading has no reserve of batches from before, and its loader has the machine to itself."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from nnunet_textguided.benchmark.bench import Bench, draw_batch
from nnunet_textguided.benchmark.epochs import loaded_epoch, measure_epochs
from nnunet_textguided.benchmark.loading import batches_ahead
from nnunet_textguided.benchmark.setting import Effort

RESERVE = 2 + 2 + 1 + 1


class InProcess:
    """A loader that makes a batch when it is asked for one."""

    def __init__(self, label, log, batch=None):
        self.label, self.log, self.batch = label, log, batch

    def __next__(self):
        self.log.append(self.label)
        return self.batch


class Stored(InProcess):
    """A loader of one process that keeps 2 + 2 batches in queues and 2 in hand."""

    num_cached, num_processes, at_work = 2, 1, False

    def __next__(self):
        self.at_work = True
        return super().__next__()

    def _finish(self):
        self.at_work = False


class Trainer:
    """What is asked of a measured trainer; an epoch logs who is loading."""

    fixed_batch = None

    def __init__(self, iterations, log, everyone, kind=Stored):
        self.num_iterations_per_epoch, self.log, self.everyone = iterations, log, everyone
        self.dataloader_train, self.dataloader_val = kind("training", log), kind("validation", log)
        everyone.append(self)

    def on_train_start(self):
        pass

    def settle(self, steps):
        for _ in range(steps):
            next(self.dataloader_train)

    def run_epoch(self):
        self.log.append("epoch")
        others = [one for one in self.everyone if one is not self]
        assert not any(loader.at_work for one in others for loader in (one.dataloader_train, one.dataloader_val))
        return 1.0

    def close(self):
        pass


def test_reserve_of_a_real_loader_is_all_that_its_queues_processes_and_thread_hold():
    from batchgenerators.dataloading.nondet_multi_threaded_augmenter import NonDetMultiThreadedAugmenter

    assert batches_ahead(NonDetMultiThreadedAugmenter(None, None, num_processes=2, num_cached=6)) == 6 + 6 + 2 + 1


@pytest.mark.parametrize(("iterations", "settling"), [(3, 3), (250, RESERVE)])
def test_reserve_is_drawn_and_steps_at_the_networks_pace_follow_before_the_epoch(iterations, settling):
    log = []
    assert loaded_epoch(Trainer(iterations, log, [])) == 1.0
    assert log == ["validation"] * RESERVE + ["training"] * (RESERVE + settling) + ["epoch"]


def test_where_batches_are_made_in_the_training_process_there_is_nothing_to_draw_first():
    log = []
    loaded_epoch(Trainer(3, log, [], kind=InProcess))
    assert log == ["epoch"]


def test_no_other_system_loads_during_an_epoch(monkeypatch):
    log, everyone = [], []
    monkeypatch.setattr("nnunet_textguided.benchmark.epochs.draw_batch", lambda trainer: {})
    systems = [SimpleNamespace(label=label) for label in "AB"]
    setting = SimpleNamespace(systems=systems, reference="A", effort=Effort(1, 0, 3, 5))
    bench = SimpleNamespace(setting=setting, build=lambda system: Trainer(5, log, everyone))
    rows = measure_epochs(bench)
    assert [len(row.values) for row in rows] == [3, 3, 1, 1] * 2
    assert log.count("epoch") == 2 * 2 * 3
    assert not any(one.dataloader_train.at_work for one in everyone)


def test_all_iterations_of_the_epoch_are_left_after_the_steps_before_it(make_setting, tmp_path):
    bench = Bench(make_setting(effort=Effort(1, 0, 1, 2)), tmp_path)
    trainer, log = bench.build(bench.setting.systems[1]), []
    batch, run_epoch = draw_batch(trainer), trainer.run_epoch
    loaders = Stored("training", log, batch), Stored("validation", log, batch)
    trainer.get_dataloaders = lambda: loaders
    trainer.run_epoch = lambda: log.append("epoch") or run_epoch()
    assert loaded_epoch(trainer) > 0
    assert log[log.index("epoch") - 2 :] == ["training", "training", "epoch", "training", "training", "validation"]
