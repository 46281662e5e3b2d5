from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn
from toy import ToyDataset, write_json, write_toy_dataset

from nnunet_textguided.comparison.costs import costs_of, seconds_per_epoch, stored_numbers
from nnunet_textguided.errors import UserError


@pytest.fixture
def toy(tmp_path: Path) -> ToyDataset:
    return write_toy_dataset(tmp_path, cases=2)


def test_costs_come_from_checkpoint_log_and_measured_files(toy: ToyDataset, tmp_path: Path):
    run, records = toy.run(), tmp_path / "records"
    toy.write_model(run, weights={"a": torch.zeros(3, 5), "b": torch.zeros(7)}, epoch_seconds=(9.0, 11.0, 100.0, 12.0))
    costs = costs_of(run, toy.folders.results, records)
    assert costs["parameters"] == 22
    assert costs["seconds_per_epoch"] == pytest.approx(11.5)  # the median; the mean is 33
    assert (costs["epochs"], costs["iterations"]) == (4, 100)
    measured = ("device", "training_memory_mb", "seconds_per_case", "inference_memory_mb")
    assert [costs[name] for name in measured] == [None] * 4
    write_json(records / run.name / "training_cost.json", {"peak_memory_mb": 812.5, "device": "A GPU"})
    write_json(
        records / run.name / "inference_cost.json", {"peak_memory_mb": 300, "seconds_per_case": 2.5, "threads": 2}
    )
    costs = costs_of(run, toy.folders.results, records)
    assert [costs[name] for name in measured] == ["A GPU", 812.5, 2.5, 300]
    assert costs["inference_threads"] == 2
    assert costs_of(run, toy.folders.results, None)["device"] is None


def test_the_time_of_a_prediction_by_another_checkpoint_is_not_this_ones(toy: ToyDataset, tmp_path: Path):
    run, records = toy.run(), tmp_path / "records"
    toy.write_model(run)
    write_json(records / run.name / "inference_cost.json", {"seconds_per_case": 2.5, "checkpoint": "of before"})
    assert costs_of(run, toy.folders.results, records, "of now")["seconds_per_case"] is None
    assert costs_of(run, toy.folders.results, records, "of before")["seconds_per_case"] == 2.5


def test_iterations_are_unknown_without_debug_json(toy: ToyDataset):
    fold = toy.write_model(toy.run())
    (fold / "debug.json").unlink()
    costs = costs_of(toy.run(), toy.folders.results, None)
    assert (costs["epochs"], costs["iterations"]) == (3, None)


def test_a_tensor_under_two_names_counts_once_also_from_a_file(tmp_path: Path):
    shared = nn.Conv2d(3, 4, 3)
    network = nn.ModuleDict({"encoder": shared, "decoder": nn.Sequential(shared, nn.BatchNorm2d(4))})
    expected = sum(p.numel() for p in network.parameters()) + 2 * 4  # running mean and variance
    torch.save(network.state_dict(), tmp_path / "w.pth")
    loaded = torch.load(tmp_path / "w.pth", mmap=True)
    assert stored_numbers(network.state_dict()) == stored_numbers(loaded) == expected
    halves = torch.arange(10.0)
    assert stored_numbers({"first": halves[:4], "second": halves[4:]}) == 10


def test_an_epoch_that_did_not_end_is_left_out():
    log = {"epoch_start_timestamps": [0.0, 10.0, 20.0], "epoch_end_timestamps": [4.0, 16.0]}
    assert seconds_per_epoch(log) == 5.0
    assert seconds_per_epoch({}) is None


def test_a_damaged_checkpoint_is_named(toy: ToyDataset):
    fold = toy.write_model(toy.run())
    (fold / "checkpoint_final.pth").write_bytes(b"PK")
    with pytest.raises(UserError, match=r"checkpoint_final.pth is not a checkpoint"):
        costs_of(toy.run(), toy.folders.results, None)


def test_a_damaged_measurement_is_named(toy: ToyDataset, tmp_path: Path):
    toy.write_model(toy.run())
    path = tmp_path / toy.run().name / "inference_cost.json"
    path.parent.mkdir(parents=True)
    path.write_text("{broken")
    with pytest.raises(UserError, match=r"inference_cost.json"):
        costs_of(toy.run(), toy.folders.results, tmp_path)
