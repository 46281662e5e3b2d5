"""What a process takes of its machine: memory, threads, the name of the device."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import torch

from nnunet_textguided.comparison.provenance import hardware

_MB = 1024**2


def usable_cores() -> int:
    """Return how many processor cores this process may use; a cluster's job often has a part of them."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def set_threads(device: torch.device, threads: int | None) -> int:
    """Give torch as many threads as nnU-Net's own commands do: one beside a GPU, all cores without.

    Args:
        device: Where the network runs.
        threads: Of the CPU; None for OMP_NUM_THREADS, or all cores where that is not set.

    Returns:
        The number of threads.
    """
    if device.type == "cuda":
        torch.set_num_threads(1)
    elif threads is not None:
        torch.set_num_threads(threads)
    elif "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(usable_cores())
    return torch.get_num_threads()


def start_measuring(device: torch.device) -> None:
    """Forget the peak so far, where it can be forgotten.

    Args:
        device: Where the network runs.
    """
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory_mb(device: torch.device) -> float | None:
    """Return the largest amount of memory so far in MB (1024 * 1024 bytes).

    On CUDA what tensors took of the GPU; on the CPU the resident memory of this process without the ones it started.

    Args:
        device: Where the network runs.

    Returns:
        None where the system does not say.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / _MB
    if device.type != "cpu":
        return None
    peak = _kernels_peak_kb()
    if peak is not None:
        return peak / 1024
    try:
        import resource  # not on Windows
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / _MB if sys.platform == "darwin" else peak / 1024  # macOS counts bytes, Linux kilobytes: getrusage(2)


def resident_memory_mb() -> float | None:
    """Return what this process holds in main memory now, in MB (1024 * 1024 bytes); None where the system says not."""
    now = _status_kb("VmRSS")
    return None if now is None else now / 1024


def _kernels_peak_kb() -> int | None:
    """Linux's own figure of this process; getrusage's also holds the peak of the process that started it."""
    return _status_kb("VmHWM")


def _status_kb(entry: str) -> int | None:
    status = Path("/proc/self/status")
    found = re.search(rf"{entry}:\s+(\d+) kB", status.read_text(encoding="utf-8")) if status.is_file() else None
    return None if found is None else int(found.group(1))


def device_name(device: torch.device) -> str:
    """Return the name of the GPU or the processor.

    Args:
        device: Where the network runs.
    """
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return hardware()["processor"]
