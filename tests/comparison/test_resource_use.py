"""Memory is in MB whatever the system counts in, and of this process."""

from __future__ import annotations

import re
import resource
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from nnunet_textguided.comparison import resource_use
from nnunet_textguided.comparison.resource_use import device_name, peak_memory_mb, set_threads, usable_cores

CPU = torch.device("cpu")


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the kernel's own figure is in /proc")
def test_peak_is_what_the_kernel_says_of_this_process():
    kilobytes = int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text()).group(1))
    assert peak_memory_mb(CPU) == pytest.approx(kilobytes / 1024, rel=0.1)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the kernel's own figure is in /proc")
def test_peak_of_the_process_that_started_this_one_does_not_count(monkeypatch):
    """getrusage(2) of a started process begins with its parent's peak; 1 TB stands for a large one."""
    monkeypatch.setattr(resource, "getrusage", lambda who: SimpleNamespace(ru_maxrss=2**30))
    assert 10 < peak_memory_mb(CPU) < 2**20


def test_memory_now_is_at_most_the_peak():
    now = resource_use.resident_memory_mb()
    assert now is None or 10 < now <= peak_memory_mb(CPU)


@pytest.mark.parametrize(("platform", "counted"), [("linux", 3 * 1024), ("darwin", 3 * 1024 * 1024)])
def test_units_of_the_system_are_minded(monkeypatch, platform, counted):
    monkeypatch.setattr(resource_use, "_kernels_peak_kb", lambda: None)
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(resource, "getrusage", lambda who: SimpleNamespace(ru_maxrss=counted))
    assert peak_memory_mb(CPU) == 3.0


def test_what_nobody_counts_is_not_known():
    assert peak_memory_mb(torch.device("mps")) is None


def test_threads_follow_the_users_word_then_the_environment_then_the_cores(monkeypatch):
    before = torch.get_num_threads()
    try:
        assert set_threads(CPU, 2) == 2
        monkeypatch.setenv("OMP_NUM_THREADS", "1")
        assert set_threads(CPU, None) == 2  # torch has read the variable at its start
        monkeypatch.delenv("OMP_NUM_THREADS")
        assert set_threads(CPU, None) == usable_cores()
        assert set_threads(torch.device("cuda"), 5) == 1
    finally:
        torch.set_num_threads(before)


def test_processor_has_a_name():
    assert device_name(CPU).strip()
