"""Jobs through submitit: processes of their own, failures that stop nobody else, what SLURM is handed."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from nnunet_textguided.cli.interruption import interruption_raises
from nnunet_textguided.comparison import submission
from nnunet_textguided.comparison.cluster_options import ClusterOptions
from nnunet_textguided.comparison.grid import Run
from nnunet_textguided.comparison.jobs import Job
from nnunet_textguided.comparison.started_task import StartedTask, WorkResult
from nnunet_textguided.comparison.submission import run_jobs
from nnunet_textguided.errors import UserError


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(submission, "_POLL_SECONDS", 0.05)
    monkeypatch.setattr(submission, "_PATIENCE_SECONDS", 0.5)


def jobs(*trainers):
    return [Job(Run("Dataset001_X", "2d", trainer, "p", 0), "train", "not trained") for trainer in trainers]


def worker(body):
    """Return what makes a picklable piece of work of a job: `body` gets the trainer's name and a result's class."""

    def work_of(job):
        name, result = job.run.trainer, WorkResult
        return lambda: body(name, result)

    return work_of


def by_trainer(outcomes):
    return {outcome.job.run.trainer: outcome for outcome in outcomes}


def test_failed_job_is_reported_with_its_log_and_the_others_go_on(tmp_path):
    def body(name, result):
        import os
        import sys

        sys.stdout.write(f"{name} speaks\n")
        if name == "Bad":
            raise ValueError("no such patch")
        if name == "Killed":
            os.kill(os.getpid(), 9)
        return result("busy", "someone else") if name == "Busy" else result("finished")

    options = ClusterOptions(workers=4)
    outcomes = by_trainer(run_jobs(jobs("Bad", "Killed", "Busy", "Good"), worker(body), options, tmp_path))
    assert {name: outcome.status for name, outcome in outcomes.items()} == {
        "Bad": "failed",
        "Killed": "failed",
        "Busy": "busy",
        "Good": "finished",
    }
    assert outcomes["Bad"].reason == "ValueError: no such patch"
    assert outcomes["Killed"].reason == "its process was ended from outside"
    assert outcomes["Busy"].reason == "someone else"
    for name in ("Bad", "Killed"):
        assert outcomes[name].log.parent == tmp_path / f"Dataset001_X/{name}__p__2d/fold_0/attempt_1"
        assert f"{name} speaks" in outcomes[name].last_lines()
    assert outcomes["Bad"].last_lines().endswith("ValueError: no such patch")


def test_one_job_at_a_time_in_the_given_order_each_in_a_process_that_leads_a_group(tmp_path):
    diary = tmp_path / "diary"

    def body(name, result):
        import os
        import time

        for word in ("begin", "end"):
            with diary.open("a") as stream:
                stream.write(f"{name} {word} {os.getpid() == os.getpgid(0)} {os.environ['CUDA_VISIBLE_DEVICES']}\n")
            time.sleep(0.1)
        return result("finished")

    run_jobs(jobs("B", "A"), worker(body), ClusterOptions(devices=("5",)), tmp_path / "logs")
    lines = diary.read_text().splitlines()
    assert lines == [f"{name} {word} True 5" for name in "BA" for word in ("begin", "end")]


def wait_for(path: Path) -> str:
    deadline = time.monotonic() + 60
    while not (path.is_file() and path.read_text()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return path.read_text()


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@pytest.fixture
def interruptible():
    """Ctrl-C raises, also where the tests were started in the background, which a shell lets ignore it."""
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, previous)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads processes' states from /proc")
def test_interruption_ends_what_is_running_with_all_it_started(tmp_path, interruptible):
    note = tmp_path / "child"

    def body(name, result):
        import subprocess
        import time

        note.write_text(str(subprocess.Popen(["sleep", "60"]).pid))
        time.sleep(60)

    def interrupt():
        wait_for(note)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        run_jobs(jobs("A", "B"), worker(body), ClusterOptions(), tmp_path / "logs")
    thread.join()
    assert not is_alive(int(note.read_text()))
    [pid_file] = (tmp_path / "logs").rglob("pid")  # B was never started
    assert not is_alive(int(pid_file.read_text()))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_job_has_the_time_to_write_its_checkpoint_however_the_command_is_ended(
    tmp_path, interruptible, monkeypatch, number
):
    monkeypatch.setattr(submission, "_PATIENCE_SECONDS", 30)
    started, checkpoint = tmp_path / "started", tmp_path / "checkpoint"

    def body(name, result):
        import signal
        import time

        asked = []
        if signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:  # as trainers do: another's handler stays
            signal.signal(signal.SIGTERM, lambda *_: asked.append(True))
        started.write_text("ready")
        while not asked:
            time.sleep(0.05)
        time.sleep(1)  # the iteration in hand
        checkpoint.write_text("whole")

    def interrupt():
        wait_for(started)
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt), interruption_raises():
        run_jobs(jobs("A"), worker(body), ClusterOptions(), tmp_path / "logs")
    thread.join()
    assert checkpoint.read_text() == "whole"
    [pid_file] = (tmp_path / "logs").rglob("pid")
    assert not is_alive(int(pid_file.read_text()))


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads processes' states from /proc")
def test_what_a_killed_process_started_is_ended(tmp_path):
    note = tmp_path / "child"

    def body(name, result):
        import os
        import subprocess

        note.write_text(str(subprocess.Popen(["sleep", "60"]).pid))
        os.kill(os.getpid(), 9)

    [outcome] = run_jobs(jobs("A"), worker(body), ClusterOptions(), tmp_path / "logs")
    assert outcome.status == "failed"
    assert not is_alive(int(note.read_text()))


def test_forked_workers_end_when_they_are_asked_to(tmp_path):
    """submitit's own process passes SIGTERM over; nnU-Net ends its augmentation workers with it."""

    def body(name, result):
        import multiprocessing
        import time

        context = multiprocessing.get_context("fork")
        started = context.Event()

        def wait():
            started.set()
            time.sleep(60)

        process = context.Process(target=wait)
        process.start()
        started.wait()
        process.terminate()
        process.join(20)
        if process.exitcode is None:
            process.kill()
            return result("busy", "still there")
        return result("finished")

    [outcome] = run_jobs(jobs("A"), worker(body), ClusterOptions(), tmp_path)
    assert (outcome.status, outcome.reason) == ("finished", "")


PASSES_SIGNALS_OVER = """
import os, signal, sys, time
from nnunet_textguided.comparison.started_task import default_signals_in_children

os.register_at_fork(after_in_child=lambda: time.sleep(1))  # a machine so busy that a worker is long in starting
signal.signal(signal.SIGTERM, lambda number, frame: print("passed over", flush=True))
default_signals_in_children()
child = os.fork()
if child == 0:
    time.sleep(30)
    os._exit(0)
time.sleep(0.2)
os.kill(child, signal.SIGTERM)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
os.kill(os.getpid(), signal.SIGTERM)  # this process passes it over as before
"""


def test_a_worker_that_is_ended_before_it_has_started_does_not_pass_it_over():
    script = [sys.executable, "-c", PASSES_SIGNALS_OVER]
    done = subprocess.run(script, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split("\n") == [str(-signal.SIGTERM), "passed over", ""]


def test_queued_again_a_task_does_the_same_once_more():
    again = StartedTask(lambda: WorkResult("finished")).checkpoint()
    assert again.result() == WorkResult("finished")


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """Stand in for SLURM: `sbatch` runs the script at once, `srun` what it is given, `sacct` knows nothing."""
    folder = tmp_path / "bin"
    folder.mkdir()
    count = tmp_path / "count"
    commands = {
        "sbatch": f'echo x >> {count}; n=$(wc -l < {count}); cp "$1" {tmp_path}/script_$n.sh; '
        f'export SLURM_JOB_ID=$n; bash "$1" >/dev/null 2>{tmp_path}/err_$n & echo "Submitted batch job $n"',
        "srun": 'while [ "${1#-}" != "$1" ]; do if [ "$1" = "--output" ]; then out=${2//%j/$SLURM_JOB_ID}; '
        'out=${out//%t/0}; shift; fi; shift; done; exec "$@" > "$out" 2>&1',
        "sacct": "true",
        "scancel": "true",
    }
    for name, line in commands.items():
        (folder / name).write_text(f"#!/bin/bash\n{line}\n")
        (folder / name).chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return tmp_path


def test_parameters_reach_slurm_and_results_come_back(slurm):
    def body(name, result):
        import os

        return result("busy", f"{os.environ['SLURM_JOB_ID']} {os.environ.get('CUDA_VISIBLE_DEVICES')}")

    parameters = {"partition": "gpu", "time": 720, "gpus_per_node": 1, "mem_gb": 48.0, "setup": ["export X=1"]}
    options = ClusterOptions("slurm", slurm=parameters)
    [outcome] = run_jobs(jobs("A"), worker(body), options, slurm / "logs")
    assert outcome.reason == f"1 {os.environ.get('CUDA_VISIBLE_DEVICES')}"
    script = (slurm / "script_1.sh").read_text()
    flags = {"job-name=Dataset001_X/A__p__2d/fold_0", "partition=gpu", "time=720", "gpus-per-node=1", "mem=48GB"}
    assert {f"#SBATCH --{flag}" for flag in flags} <= set(script.splitlines())
    assert "\nexport X=1\n" in script


def test_job_that_slurm_refuses_is_reported_and_the_others_go_on_each_start_in_its_own_folder(slurm):
    (slurm / "bin" / "sbatch").write_text("#!/bin/bash\necho 'queue is full' >&2; exit 1\n")
    options = ClusterOptions("slurm", slurm={"time": 1})
    for _ in range(2):
        outcomes = run_jobs(jobs("A", "B"), worker(lambda name, result: result("finished")), options, slurm / "logs")
        assert [outcome.status for outcome in outcomes] == ["failed", "failed"]
        assert all("queue is full" in outcome.reason for outcome in outcomes)
    attempts = [path.name for path in (slurm / "logs" / outcomes[0].job.name).iterdir()]
    assert sorted(attempts) == ["attempt_1", "attempt_2"]


def test_slurm_that_is_not_there_is_said_at_once(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="sbatch, srun, sacct, scancel on the PATH"):
        run_jobs(jobs("A"), worker(None), ClusterOptions("slurm", slurm={"time": 1}), tmp_path / "logs")
