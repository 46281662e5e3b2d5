"""How the time of a training step is divided among encoder, decoders, masks, loss and optimiser."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile, record_function

from nnunet_textguided.benchmark.bench import Bench
from nnunet_textguided.benchmark.measurement import Measurement
from nnunet_textguided.benchmark.roles import OPTIMISER, QUERY_HEAD, REST, has_query_head, modules_by_role
from nnunet_textguided.benchmark.setting import Effort
from nnunet_textguided.benchmark.turns import in_turns

PART = "shares"
HEAD_SHARE = "query decoder and masks"
MARK = "role: "
STEP = "benchmarked step"
BACKWARD = "autograd::engine::evaluate_function"
"""Name of the profiler's entry around the backward pass of one operation."""
PROFILED_ROUNDS = 3
"""Steps that are profiled; a profile is dear and its shares scatter less than seconds do."""


def measure_shares(bench: Bench) -> list[Measurement]:
    """Profile steps of every system at its own plans.

    Args:
        bench: Builds the trainers.
    """
    rows = []
    for system in bench.setting.systems:
        trainer = bench.eager_trainer(system)
        rows += share_rows(PART, system.label, trainer, bench.setting.effort)
    return rows


def share_rows(
    part: str, label: str, trainer: Any, effort: Effort, at: dict[str, Any] | None = None
) -> list[Measurement]:
    """Profile some steps of one trainer.

    Args:
        part: Of the benchmark.
        label: Of the system.
        trainer: With a batch to repeat.
        effort: How often; at most `PROFILED_ROUNDS` times.
        at: Conditions.

    Returns:
        A row a role, and one of the query head as a whole where the network has one.
    """
    task = {label: lambda: step_shares(trainer, trainer.fixed_batch)}
    shares = in_turns(task, min(PROFILED_ROUNDS, effort.rounds), warm_up=min(1, effort.warm_up))[label]
    roles = dict.fromkeys(role for one in shares for role in one)
    values = {role: [one.get(role, 0.0) for one in shares] for role in roles}
    if has_query_head(trainer):
        values[HEAD_SHARE] = [sum(one.get(role, 0.0) for role in QUERY_HEAD) for one in shares]
    return [Measurement(part, role, label, "share", tuple(own), at or {}) for role, own in values.items()]


def step_shares(trainer: Any, batch: dict[str, Any]) -> dict[str, float]:
    """Profile one training step.

    Args:
        trainer: Initialised.
        batch: For its `train_step`.

    Returns:
        Role -> its part of the time, backward pass included; the parts sum to 1. On a GPU time is that of its
        kernels, on the CPU that of the operations and of what Python does between them.
    """
    return shares_of(lambda: trainer.train_step(batch), modules_by_role(trainer), trainer.device)


def shares_of(
    step: Callable[[], Any], modules: Iterable[tuple[str, nn.Module]], device: torch.device
) -> dict[str, float]:
    """Divide the time of a call among modules, as `step_shares` does.

    Args:
        step: What is profiled.
        modules: Role and module; several may have one role.
        device: Where they are.
    """
    on_gpu = device.type == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    with marked(modules), profile(activities=activities) as profiler, record_function(STEP):
        step()
    times: Counter[str] = Counter()
    events = profiler.events()
    forward_roles = _roles_by_sequence(events)
    for event in events:
        seconds = event.self_device_time_total if on_gpu else event.self_cpu_time_total
        if seconds > 0 and event.device_type.name == "CPU":
            times[_role(event, forward_roles)] += seconds
    total = sum(times.values())
    return {role: seconds / total for role, seconds in times.items()}


@contextlib.contextmanager
def marked(modules: Iterable[tuple[str, nn.Module]]) -> Iterator[None]:
    """Name the forward pass of modules in the profiles taken inside the block.

    Args:
        modules: Role and module.
    """
    handles = []
    for role, module in modules:
        ranges: list[record_function] = []
        handles.append(module.register_forward_pre_hook(_opener(role, ranges)))
        handles.append(module.register_forward_hook(_closer(ranges), always_call=True))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _opener(role: str, ranges: list[record_function]) -> Callable[..., None]:
    def open_range(*_: Any) -> None:
        ranges.append(record_function(MARK + role))
        ranges[-1].__enter__()

    return open_range


def _closer(ranges: list[record_function]) -> Callable[..., None]:
    def close_range(*_: Any) -> None:
        ranges.pop().__exit__(None, None, None)

    return close_range


def _roles_by_sequence(events: Iterable[Any]) -> dict[int, str]:
    """Number of a differentiable operation -> role of its forward pass; its backward pass carries the same number.

    What is not differentiable shows the number of the next one, so the last to begin is the one it belongs to.
    """
    roles: dict[int, str] = {}
    for event in sorted(events, key=lambda event: event.time_range.start):
        if event.sequence_nr >= 0 and _backward(event) is None:
            roles[event.sequence_nr] = _role(event, {})
    return roles


def _role(event: Any, forward_roles: dict[int, str]) -> str:
    for above in _upwards(event):
        if above.name.startswith(MARK):
            return above.name.removeprefix(MARK)
        if above.name.startswith("Optimizer."):
            return OPTIMISER
    backward = _backward(event)
    return REST if backward is None else forward_roles.get(backward.sequence_nr, REST)


def _backward(event: Any) -> Any | None:
    return next((above for above in _upwards(event) if above.name.startswith(BACKWARD)), None)


def _upwards(event: Any) -> Iterator[Any]:
    while event is not None:
        yield event
        event = event.cpu_parent
