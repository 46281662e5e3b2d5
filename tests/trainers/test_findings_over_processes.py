"""Under nnU-Net's -num_gpus every process sees other patches: the findings' scores are over all of them."""

from __future__ import annotations

import multiprocessing
from datetime import timedelta

import numpy as np
import pytest
from torch import distributed

from nnunet_textguided.trainers.finding_training import _gather

PARTS = (
    [np.array([0.1, 0.9]), np.array([], dtype=float)],  # what process 0 has: two findings, the second never assessed
    [np.array([0.4]), np.array([0.7])],
)


def gather_in_process(rank, meeting, answers):
    distributed.init_process_group("gloo", meeting, timedelta(seconds=60), world_size=len(PARTS), rank=rank)
    answers.put((rank, _gather(PARTS[rank])))
    distributed.destroy_process_group()


@pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods() or not distributed.is_gloo_available(),
    reason="processes are forked and meet through gloo",
)
def test_every_process_gets_what_all_have_finding_by_finding(tmp_path):
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    meeting = f"file://{tmp_path / 'meeting'}"
    processes = [context.Process(target=gather_in_process, args=(rank, meeting, answers)) for rank in range(2)]
    for process in processes:
        process.start()
    found = dict(answers.get(timeout=60) for _ in processes)
    for process in processes:
        process.join(timeout=60)
        assert process.exitcode == 0
    for rank in range(2):
        first, second = found[rank]
        np.testing.assert_array_equal(first, [0.1, 0.9, 0.4])
        np.testing.assert_array_equal(second, [0.7])
