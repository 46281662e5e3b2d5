"""One process at a time is at a fold, and a dead one does not block it; clocks do not matter."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time

import pytest

from nnunet_textguided.errors import UserError
from nnunet_textguided.locks import HELD, RunBusyError, RunLock, fold_lock_path, take_unless_held

QUICK = {"settle_seconds": 0, "watch_seconds": 0.2}


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.setenv(HELD, "")
    return fold_lock_path(tmp_path / "model" / "fold_3")


def content(path):
    return json.loads(path.read_text())


def rewrite(path, **changes):
    path.write_text(json.dumps({**content(path), **changes}))


@pytest.fixture
def left_behind(path):
    """A lock as a process that was killed leaves it; `changes` say whose it was."""

    def leave(**changes):
        lock = RunLock(path)
        lock.acquire()
        lock._ended.set()  # no heartbeat any more
        rewrite(path, token="somebody else", **changes)

    return leave


def test_lock_lies_beside_the_fold_where_nnunet_does_not_look(tmp_path):
    path = fold_lock_path(tmp_path / "model" / "fold_all")
    assert path.parent == tmp_path / "model"
    assert not path.match("fold_*")


def test_second_one_is_refused_and_told_who_has_it(path):
    with (
        RunLock(path),
        pytest.raises(RunBusyError, match=rf"process {os.getpid()} on .* since 2\d\d\d-.*delete .*fold_3\.lock"),
    ):
        RunLock(path).acquire()


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
    with RunLock(path, **QUICK):
        assert content(path)["pid"] == os.getpid()


def test_later_process_of_the_same_number_is_not_taken_for_the_holder(path, left_behind):
    left_behind(birth="0")
    with RunLock(path, **QUICK):
        assert content(path)["birth"] != "0"


def test_lock_from_before_the_machine_was_started_again_does_not_block_it(path, left_behind):
    left_behind(boot="an earlier one")
    with RunLock(path, **QUICK):
        assert content(path)["boot"] != "an earlier one"


@pytest.mark.parametrize("clock", [0.0, 4e9], ids=["in 1970", "in 2096"])
def test_other_machine_blocks_as_long_as_it_touches_the_file_whatever_its_clock_says(path, left_behind, clock):
    left_behind(place="elsewhere", host="elsewhere", pid=1)
    stop = threading.Event()

    def touch():
        number = 0
        while not stop.wait(0.02):
            number += 1
            os.utime(path, (clock - number,) * 2)  # its clock may even run backwards

    thread = threading.Thread(target=touch)
    thread.start()
    try:
        with pytest.raises(RunBusyError, match="process 1 on elsewhere"):
            RunLock(path, settle_seconds=0, watch_seconds=5).acquire()
    finally:
        stop.set()
        thread.join()
    with RunLock(path, **QUICK):  # nobody touches it any more
        assert content(path)["pid"] == os.getpid()


def test_process_started_by_the_holder_is_let_in_and_does_not_give_the_lock_back(path):
    code = "import sys; from pathlib import Path; from nnunet_textguided.locks import take_unless_held\n"
    code += "print(take_unless_held(Path(sys.argv[1])))"
    with RunLock(path):
        assert take_unless_held(path) is None
        child = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
        assert child.stdout.strip() == "None"
        assert path.exists()
        stranger = {**os.environ, HELD: ""}
        refused = subprocess.run([sys.executable, "-c", code, str(path)], env=stranger, capture_output=True, text=True)
        assert f"process {os.getpid()}" in refused.stderr
    lock = take_unless_held(path)
    lock.release()
    assert not path.exists()


def test_forked_worker_does_not_give_the_lock_of_its_parent_back(path):
    with RunLock(path) as lock:
        lock._own["pid"] += 1  # as a child sees it
        lock.release()
        assert path.exists()
        lock._own["pid"] -= 1


def test_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "model").write_text("a file in the way")
    with pytest.raises(UserError, match="Could not write the lock"):
        RunLock(fold_lock_path(tmp_path / "model" / "fold_0")).acquire()


def test_full_disk_leaves_no_empty_lock_behind(path, monkeypatch):
    def full(*args, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(json, "dump", full)
    with pytest.raises(UserError, match="No space left"):
        RunLock(path).acquire()
    assert not path.exists()


def test_requeued_cluster_job_takes_its_own_lock_over_on_another_machine(path, left_behind, monkeypatch):
    left_behind(place="elsewhere", job="77")
    monkeypatch.setenv("SLURM_JOB_ID", "78")
    monkeypatch.setattr(RunLock, "_shows_life", lambda self, holder: True)
    with pytest.raises(RunBusyError, match="cluster job 77"):
        RunLock(path, **QUICK).acquire()
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    with RunLock(path, **QUICK):
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
            lock.acquire()
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


def test_unreadable_lock_counts_while_it_changes(path):
    path.parent.mkdir(parents=True)
    path.write_text("{")
    timer = threading.Timer(0.1, os.utime, (path, (0, 0)))
    timer.start()
    with pytest.raises(RunBusyError):
        RunLock(path, settle_seconds=0, watch_seconds=5).acquire()
    timer.join()
    with RunLock(path, **QUICK):
        assert content(path)["pid"] == os.getpid()


def test_lock_given_back_while_it_is_looked_at_is_taken(path, left_behind):
    left_behind(place="elsewhere", pid=1)
    timer = threading.Timer(0.1, path.unlink)
    timer.start()
    with RunLock(path, settle_seconds=0, watch_seconds=5):
        assert content(path)["pid"] == os.getpid()
    timer.join()
