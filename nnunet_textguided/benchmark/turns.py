"""A clock that waits for the device, and turns: A B C A B C ..., so that the load of the machine hits all alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping
from typing import Any, NamedTuple, TypeVar

import torch

Label = TypeVar("Label", bound=Hashable)
Result = TypeVar("Result")


class Stopwatch:
    """Times calls; on a GPU a call has ended when its work has.

    Args:
        device: Where the work is done.
        clock: Returns seconds.
    """

    def __init__(self, device: torch.device, clock: Callable[[], float] = time.perf_counter) -> None:
        self.device = device
        self.clock = clock

    def now(self) -> float:
        """Wait for the device and return the time in s."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        elif self.device.type == "mps":
            torch.mps.synchronize()
        return self.clock()

    def seconds(self, function: Callable[..., Any], *arguments: Any) -> float:
        """Return how long a call takes.

        Args:
            function: What is called.
            arguments: With what.
        """
        return self.both(function, *arguments).wall

    def both(self, function: Callable[..., Any], *arguments: Any) -> Seconds:
        """Return how long a call takes, and how much of the processor it takes, which other processes do not change.

        Args:
            function: What is called.
            arguments: With what.
        """
        start, processor = self.now(), time.process_time()
        function(*arguments)
        return Seconds(self.now() - start, time.process_time() - processor)


class Seconds(NamedTuple):
    """Of one call: on the clock, and of all cores that this process had."""

    wall: float
    processor: float


def in_turns(tasks: Mapping[Label, Callable[[], Result]], rounds: int, warm_up: int = 0) -> dict[Label, list[Result]]:
    """Call every task once a round.

    Args:
        tasks: Label -> what is called.
        rounds: Rounds that count.
        warm_up: Rounds before them whose results are dropped.

    Returns:
        Label -> one result a round.
    """
    results: dict[Label, list[Result]] = {label: [] for label in tasks}
    for number in range(warm_up + rounds):
        for label, task in tasks.items():
            result = task()
            if number >= warm_up:
                results[label].append(result)
    return results
