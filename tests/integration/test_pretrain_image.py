"""pretrain-image as its users run it: killed and started again, on two processes, on many slices."""

from __future__ import annotations

import csv
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from safetensors.torch import load_file

pytestmark = pytest.mark.slow
COMMAND = [sys.executable, "-m", "nnunet_textguided.cli.main", "pretrain-image"]
OPTIONS = ["--encoder", "convnextv2_atto", "--size", "64", "64", "--batch", "4", "--accelerator", "cpu"]
OPTIONS += ["--workers", "1", "--report-every", "5"]


def write_scans(folder: Path, patients: int, slices: int) -> Path:
    """Volumes of random blocks with some noise; without it they would be taken for labels."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for n in range(patients):
        coarse = rng.random((slices, 5, 5))
        volume = np.kron(coarse, np.ones((1, 16, 16))) + 0.1 * rng.random((slices, 80, 80))
        image = sitk.GetImageFromArray((1000 * volume).astype(np.int16))
        image.SetSpacing((1.0, 1.0, 4.0))
        sitk.WriteImage(image, str(folder / f"{n}.mha"))
    return folder


def losses(folder: Path) -> list[float]:
    with (folder / "progress.csv").open() as file:
        return [float(row["loss"]) for row in csv.DictReader(file)][1:]


def test_kill_and_resume_gives_the_same_weights(tmp_path):
    scans = write_scans(tmp_path / "scans", 6, 5)
    arguments = [*OPTIONS, "-i", str(scans), "--steps", "30", "--devices", "1"]
    subprocess.run([*COMMAND, *arguments, "-o", str(tmp_path / "whole")], check=True)
    cut = [*COMMAND, *arguments, "-o", str(tmp_path / "cut")]
    process = subprocess.Popen(cut, start_new_session=True)
    while not (tmp_path / "cut" / "checkpoint.pth").is_file():
        time.sleep(0.1)
    time.sleep(random.uniform(0, 3))
    killed = process.poll() is None
    os.killpg(process.pid, signal.SIGKILL) if killed else None
    process.wait()
    subprocess.run(cut, check=True)
    whole, resumed = (load_file(tmp_path / name / "encoder.safetensors") for name in ("whole", "cut"))
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)


def test_two_processes_have_the_loss_of_one(tmp_path):
    scans = write_scans(tmp_path / "scans", 6, 5)
    for devices in ("1", "2"):
        arguments = [*OPTIONS, "-i", str(scans), "--steps", "10", "--devices", devices]
        subprocess.run([*COMMAND, *arguments, "-o", str(tmp_path / devices)], check=True, timeout=300)
    assert losses(tmp_path / "1") == pytest.approx(losses(tmp_path / "2"), rel=1e-4)


def test_memory_does_not_grow_with_the_number_of_slices(tmp_path):
    script = (
        "import sys; from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage\n"
        "from nnunet_textguided.cli.main import main\n"
        "status = main(sys.argv[1:])\n"
        "print('PEAKS', *(getrusage(who).ru_maxrss for who in (RUSAGE_SELF, RUSAGE_CHILDREN)), flush=True)\n"
        "sys.exit(status)"
    )
    peaks = []
    for slices in (20, 2000):
        scans = write_scans(tmp_path / f"scans{slices}", 5, slices)
        arguments = ["pretrain-image", *OPTIONS, "-i", str(scans), "--steps", "5", "--devices", "1"]
        arguments += ["-o", str(tmp_path / f"out{slices}")]
        run = subprocess.run([sys.executable, "-c", script, *arguments], check=True, capture_output=True, text=True)
        peaks.append([int(kilobytes) for kilobytes in run.stdout.split("PEAKS")[1].split()[:2]])
    for few, many in zip(*peaks, strict=True):  # of the training, and of the process that reads slices
        assert many < 1.05 * few, peaks
