"""Systems take turns, warm-up does not count, and ratios are between values of one round."""

from __future__ import annotations

import time

import pytest
import torch

from nnunet_textguided.benchmark.measurement import Measurement, Spread, compared
from nnunet_textguided.benchmark.turns import Stopwatch, in_turns

CPU = torch.device("cpu")


class Machine:
    """A clock that work moves on; the machine is slower in every round."""

    def __init__(self):
        self.time, self.load = 0.0, 1.0

    def clock(self):
        return self.time

    def work(self, seconds):
        self.time += seconds * self.load


def test_systems_are_called_in_turns_and_warm_up_is_dropped():
    calls = []
    tasks = {name: lambda name=name: calls.append(name) or len(calls) for name in "ABC"}
    assert in_turns(tasks, rounds=2, warm_up=1) == {"A": [4, 7], "B": [5, 8], "C": [6, 9]}
    assert "".join(calls) == "ABCABCABC"


def test_ratios_do_not_feel_a_load_that_doubles_from_round_to_round():
    machine = Machine()
    watch = Stopwatch(CPU, machine.clock)

    def reference():
        machine.load *= 2
        return watch.seconds(machine.work, 3.0)

    seconds = in_turns({"ref": reference, "ours": lambda: watch.seconds(machine.work, 1.5)}, rounds=4)
    assert seconds["ref"] == [6, 12, 24, 48]
    rows = {row.system: row for row in compared("step", "training step", "s", seconds, "ref")}
    assert rows["ours"].ratio == Spread(0.5, 0.5, 0.5, 4)
    assert rows["ours"].spread.q75 > 2 * rows["ours"].spread.q25


def test_a_system_beside_itself_has_ratio_one_without_spread():
    machine = Machine()
    watch = Stopwatch(CPU, machine.clock)
    twins = {name: lambda: watch.seconds(machine.work, 0.25) for name in ("one", "two")}
    rows = compared("step", "training step", "s", in_turns(twins, rounds=3), "one")
    assert [row.ratio for row in rows] == [Spread(1, 1, 1, 3)] * 2


def test_quartiles_are_those_of_the_values():
    assert Spread.of([5, 1, 4, 2, 3]) == Spread(3, 2, 4, 5)


def test_without_a_reference_there_are_no_ratios():
    (row,) = compared("step", "training step", "s", {"ours": [1.0, 2.0]}, None)
    assert row.ratio is None
    assert row.to_json()["ratio"] is None


def test_what_is_written_holds_every_single_value():
    row = Measurement("step", "training step", "ours", "s", (1.0, 3.0), {"classes": 4}, (0.5, 1.5))
    expected = {"part": "step", "quantity": "training step", "system": "ours", "unit": "s", "at": {"classes": 4}}
    expected |= {"median": 2.0, "q25": 1.5, "q75": 2.5, "n": 2, "values": [1.0, 3.0]}
    assert row.to_json() == {**expected, "ratio": {"median": 1.0, "q25": 0.75, "q75": 1.25, "n": 2}}


def test_waiting_takes_no_processor_time():
    wall, processor = Stopwatch(CPU).both(time.sleep, 0.05)
    assert wall >= 0.05
    assert processor < 0.04


def test_clock_waits_for_a_gpu_before_it_is_read(monkeypatch):
    order = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: order.append("wait"))
    watch = Stopwatch(torch.device("cuda"), lambda: order.append("read") or float(len(order)))
    assert watch.seconds(order.append, "work") == pytest.approx(3.0)
    assert order == ["wait", "read", "work", "wait", "read"]
