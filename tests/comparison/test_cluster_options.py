"""What users say about jobs is checked before the first one starts, and SLURM's parameters are ones submitit takes."""

from __future__ import annotations

import os

import pytest

from nnunet_textguided.comparison.cluster_options import SLURM_KEYS, ClusterOptions, parse_slurm, visible_devices
from nnunet_textguided.errors import UserError


def test_values_get_the_type_slurm_expects():
    items = ["partition=gpu", "time=720", "gpus_per_node=1", "mem_gb=48.5", "exclusive=yes", "comment=a=b"]
    assert parse_slurm(items) == {
        "partition": "gpu",
        "time": 720,
        "gpus_per_node": 1,
        "mem_gb": 48.5,
        "exclusive": True,
        "comment": "a=b",
    }


def test_setup_lines_are_collected_in_order():
    assert parse_slurm(["setup=module load cuda", "setup=ulimit -n 4096"])["setup"] == [
        "module load cuda",
        "ulimit -n 4096",
    ]


@pytest.mark.parametrize(
    ("items", "message"),
    [
        (["partition"], "KEY=VALUE, got 'partition'"),
        (["partition="], "KEY=VALUE"),
        (["walltime=3"], r"Keys: account.*SBATCH_RESERVATION"),
        (["time=12:00:00"], r"above 0 \(minutes\) for --slurm time"),
        (["time=0"], "above 0"),
        (["mem_gb=nan"], "above 0"),
        (["exclusive=true"], "exclusive=yes or exclusive=no"),
        (["time=1", "time=2"], "time twice: 1 and '2'"),
    ],
)
def test_wrong_parameters_are_refused(items, message):
    with pytest.raises(UserError, match=message):
        parse_slurm(items)


def test_submitit_takes_every_key():
    from submitit.slurm.slurm import SlurmExecutor

    known = SlurmExecutor._valid_parameters() | {"mem_gb"}  # of its generic ones
    assert set(SLURM_KEYS) <= known


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cluster": "pbs"}, "local or slurm"),
        ({"workers": 0}, "--workers of at least 1"),
        ({"slurm": {"time": 3}}, "add --cluster slurm"),
        ({"cluster": "slurm"}, "--slurm time=720"),
        ({"gpus": 2, "devices": ("0",)}, "2 GPUs, but 1 are visible"),
    ],
)
def test_options_that_do_not_fit_each_other_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        ClusterOptions(**options)


def test_one_job_at_a_time_here_and_no_limit_on_slurm():
    assert ClusterOptions().limit == 1
    assert ClusterOptions(workers=3).limit == 3
    assert ClusterOptions("slurm", slurm={"time": 1}).limit is None


def test_jobs_side_by_side_get_gpus_of_their_own_while_there_are_enough():
    options = ClusterOptions(workers=3, gpus=2, devices=("4", "5", "GPU-6", "7"))
    assert [options.devices_of(slot) for slot in range(3)] == ["4,5", "GPU-6,7", "4,5"]


def test_without_gpus_a_job_sees_none_and_slurm_gives_its_own():
    assert ClusterOptions().devices_of(0) == ""
    assert ClusterOptions("slurm", slurm={"time": 1}, devices=("0",)).devices_of(0) is None


@pytest.mark.parametrize(("value", "devices"), [("2, 3", ("2", "3")), ("", ()), ("MIG-1", ("MIG-1",))])
def test_gpus_are_those_the_user_left_visible(monkeypatch, value, devices):
    monkeypatch.setitem(os.environ, "CUDA_VISIBLE_DEVICES", value)
    assert visible_devices() == devices
