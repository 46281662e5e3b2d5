"""One process at a time is at a run, and a dead one does not block it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time

import pytest

from nnunet_textguided.comparison.grid import Run
from nnunet_textguided.comparison.run_lock import RunBusyError, RunLock, lock_path

RUN = Run("Dataset900_Tiny", "2d", "Trainer", "Plans", 3)


@pytest.fixture
def path(tmp_path):
    return lock_path(RUN, tmp_path)


def content(path):
    return json.loads(path.read_text())


def rewrite(path, **changes):
    path.write_text(json.dumps({**content(path), **changes}))


@pytest.fixture
def left_behind(path):
    """A lock as a process that was killed leaves it; `changes` say whose it was."""

    def leave(**changes):
        lock = RunLock(path)
        lock.__enter__()
        lock._ended.set()  # no heartbeat any more
        rewrite(path, token="somebody else", **changes)

    return leave


def test_lock_lies_beside_the_fold_where_nnunet_does_not_look(tmp_path):
    path = lock_path(RUN, tmp_path)
    assert path.parent == RUN.model_folder(tmp_path)
    assert not list(path.parent.glob("fold_*"))


def test_second_one_is_refused_and_told_who_has_it(path):
    with RunLock(path), pytest.raises(RunBusyError, match=rf"process {os.getpid()} on .*delete .*fold_3\.lock"):
        RunLock(path).__enter__()


def test_given_back_it_can_be_taken_again(path):
    for _ in range(2):
        with RunLock(path):
            assert content(path)["pid"] == os.getpid()
        assert not path.exists()


def test_given_back_after_an_error(path):
    with pytest.raises(ZeroDivisionError), RunLock(path):
        raise ZeroDivisionError
    assert not path.exists()


def test_process_that_is_no_more_does_not_block_its_machine(path, left_behind):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    left_behind(pid=ended.pid)
    with RunLock(path, settle_seconds=0):
        assert content(path)["pid"] == os.getpid()


def test_later_process_of_the_same_number_is_not_taken_for_the_holder(path, left_behind):
    left_behind(birth="0")
    with RunLock(path, settle_seconds=0):
        assert content(path)["birth"] != "0"


def test_other_machine_blocks_as_long_as_it_touches_the_file(path, left_behind):
    left_behind(place="elsewhere", host="elsewhere", pid=1)
    with pytest.raises(RunBusyError, match="process 1 on elsewhere"):
        RunLock(path, settle_seconds=0).__enter__()
    os.utime(path, (time.time() - 1000,) * 2)
    with RunLock(path, settle_seconds=0):
        assert content(path)["pid"] == os.getpid()


def test_requeued_cluster_job_takes_its_own_lock_over_on_another_machine(path, left_behind, monkeypatch):
    left_behind(place="elsewhere", job="77")
    monkeypatch.setenv("SLURM_JOB_ID", "78")
    with pytest.raises(RunBusyError, match="cluster job 77"):
        RunLock(path, settle_seconds=0).__enter__()
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    with RunLock(path, settle_seconds=0):
        assert content(path)["job"] == "77"


def test_of_two_that_find_the_same_stale_lock_one_gets_it(path, left_behind):
    left_behind(birth="0")
    start, got = threading.Barrier(2), []

    def take():
        lock = RunLock(path, settle_seconds=0.3)
        stale = lock._is_stale

        def judged_together(holder):
            verdict = stale(holder)
            start.wait()
            return verdict

        lock._is_stale = judged_together
        try:
            lock.__enter__()
            got.append(lock)
        except RunBusyError:
            pass

    threads = [threading.Thread(target=take) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 1
    assert got[0]._is_mine()


def test_holder_touches_the_file_while_it_works(path):
    with RunLock(path, beat_seconds=0.05):
        os.utime(path, (0, 0))
        deadline = time.monotonic() + 5
        while path.stat().st_mtime < 1000 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert path.stat().st_mtime > 1000


def test_holder_whose_lock_was_taken_over_leaves_it_alone(path):
    with RunLock(path):
        rewrite(path, token="somebody else")
    assert content(path)["token"] == "somebody else"


def test_unreadable_lock_counts_until_it_is_old(path):
    path.parent.mkdir(parents=True)
    path.write_text("{")
    with pytest.raises(RunBusyError):
        RunLock(path, settle_seconds=0).__enter__()
    os.utime(path, (0, 0))
    with RunLock(path, settle_seconds=0):
        assert content(path)["pid"] == os.getpid()
