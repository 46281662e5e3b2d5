"""Failures of the machine are told in words; errors of the program are not hidden by them."""

from __future__ import annotations

import errno
import os
from concurrent.futures import ProcessPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from nnunet_textguided.cli import main as cli
from nnunet_textguided.errors import UserError
from nnunet_textguided.faults import explained, explanation


@pytest.mark.parametrize("allocate", [lambda: torch.empty(10**15), lambda: np.ones(10**15)])
def test_memory_of_the_processor_that_runs_out_is_recognised(allocate):
    with pytest.raises(UserError, match=r"Trying: Memory ran out \(.+\)\. Take less\. Go on\."):  # noqa: SIM117
        with explained("Trying", "Go on.", memory="Take less."):
            allocate()


@pytest.mark.parametrize(
    "text",
    [
        "CUDA out of memory. Tried to allocate 2.00 GiB.",
        "MPS backend out of memory (MPS allocated: 8.00 GB)",
        "CUDA error: out of memory",
        "CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate(handle)",
    ],
)
def test_memory_of_a_gpu_that_runs_out_is_recognised(text):
    assert explanation(RuntimeError(text), "Take less.").endswith("Take less.")


def test_worker_that_is_killed_is_told():
    with pytest.raises(UserError, match=r"worker process ended before its time.*Fewer\."):  # noqa: SIM117
        with explained("Trying", "", workers="Fewer."), ProcessPoolExecutor(1) as pool:
            pool.submit(os._exit, 1).result()


@pytest.mark.parametrize(
    ("number", "hint"),
    [
        (errno.ENOSPC, "free some space"),
        (errno.EDQUOT, "your share"),
        (errno.EROFS, "permissions"),
        (errno.EACCES, "permissions"),
        (errno.ESTALE, "unmounted"),
        (errno.ENOTCONN, "unmounted"),
        (errno.EIO, "unmounted"),
    ],
)
def test_failure_of_a_disk_names_the_file_and_a_way_out(number, hint):
    text = explanation(OSError(number, os.strerror(number), "/data/file"))
    assert text.startswith(f"/data/file: {os.strerror(number)}.")
    assert hint in text


@pytest.mark.parametrize(
    "error", [RuntimeError("shapes do not match"), OSError(errno.EAGAIN, "Try again"), KeyError(1)]
)
def test_other_errors_are_none_of_the_machines(error):
    assert explanation(error) is None
    with pytest.raises(type(error)), explained("Trying", ""):
        raise error


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/out/a.csv"), "error: /out/a.csv: No space left on device."),
        (torch.OutOfMemoryError("CUDA out of memory."), "error: Memory ran out (CUDA out of memory.)."),
    ],
)
def test_any_command_ends_with_a_line_and_status_2(monkeypatch, capsys, error, told):
    def fail(args):
        raise error

    module = SimpleNamespace(add_arguments=lambda parser: None, run=fail)
    monkeypatch.setattr(cli, "load_command", lambda name: module)
    assert cli.main(["predict"]) == 2
    assert capsys.readouterr().err.startswith(told)
