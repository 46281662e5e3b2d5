from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
import time
from multiprocessing.pool import ThreadPool
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import SimpleITK as sitk
from spider_trees import Writer

from nnunet_textguided.cli.main import main
from nnunet_textguided.dataset_conversion.base import manifest, workers
from nnunet_textguided.dataset_conversion.base.cases import CaseTask, convert_case


def test_the_command_writes_reports_and_names_the_next_step(
    spider_source: Path, write_series: Writer, nnunet_raw: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_series("1_t2", (100, 102))
    write_series("2_t2")
    arguments = [*("convert", "spider", str(spider_source), "-d", "501", "--name", "Spine", "--processes", "1")]
    assert main([*arguments, "--canal", "--partial", "ignore"]) == 0
    printed = capsys.readouterr().out
    assert str(nnunet_raw / "Dataset501_Spine") in printed
    assert "nnUNetv2_plan_and_preprocess -d 501" in printed
    labels = json.loads((nnunet_raw / "Dataset501_Spine" / "dataset.json").read_text())["labels"]
    assert (labels["canal"], labels["ignore"]) == (20, 21)
    label_map = sitk.ReadImage(str(nnunet_raw / "Dataset501_Spine" / "labelsTr" / "spider_001.nii.gz"))
    assert set(np.unique(sitk.GetArrayFromImage(label_map))) == {0, 20, 21}
    assert main(arguments) == 2
    assert "--overwrite" in capsys.readouterr().err


def test_problems_are_listed_and_the_status_is_not_zero(
    spider_source: Path, write_series: Writer, nnunet_raw: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_series("1_t2", (99,))
    write_series("2_t2", (98,))
    write_series("3_t2")
    write_series("4 t2")
    assert main(["convert", "spider", str(spider_source), "-d", "501", "--processes", "1"]) == 1
    errors = capsys.readouterr().err
    assert "spider_001: unknown label code 99" in errors
    assert "spider_002: unknown label code 98" in errors
    assert "4 t2.mha: expected a file named" in errors


def convert_or_die(task: CaseTask, write: bool) -> dict:
    """Convert a case; the second one ends its process once another case is in the manifest."""
    if task.case != "spider_002":
        return convert_case(task, write)
    deadline = time.monotonic() + 60
    while "spider_001" not in (task.target / "manifest.json").read_text() and time.monotonic() < deadline:
        time.sleep(0.01)
    os._exit(1)


def test_a_dead_worker_is_told_and_the_same_command_goes_on_from_the_cases_that_are_done(
    spider_source: Path,
    write_series: Writer,
    nnunet_raw: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for patient in (1, 2, 3, 4):
        write_series(f"{patient}_t2", (patient, 201))
    arguments = ["convert", "spider", str(spider_source), "-d", "501", "--processes"]
    with monkeypatch.context() as patch:
        patch.setattr(workers, "convert_case", convert_or_die)  # the workers import it from this file
        patch.setattr(manifest, "_SECONDS_BETWEEN_SAVES", 0)
        assert main([*arguments, "2"]) == 2
    errors = capsys.readouterr().err
    assert "error: A worker process was killed" in errors
    assert "Cases already written are kept: run the same command again with fewer --processes." in errors
    folder = nnunet_raw / "Dataset501_SPIDER"
    assert not (folder / "dataset.json").exists()
    cases = json.loads((folder / "manifest.json").read_text())["cases"]
    assert "spider_001" in cases
    assert "spider_002" not in cases
    kept = {folder / name: (folder / name).stat().st_mtime_ns for case in cases.values() for name in case["files"]}
    assert main([*arguments, "1"]) == 0
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    monkeypatch.setenv("nnUNet_raw", str(tmp_path / "undisturbed"))
    assert main([*arguments, "1"]) == 0
    found, expected = (
        {str(path.relative_to(raw)): path.read_bytes() for path in raw.rglob("*.*")}
        for raw in (nnunet_raw, tmp_path / "undisturbed")
    )
    assert found == expected


def test_help_needs_neither_arrays_nor_images() -> None:
    code = (
        "import argparse, sys; from nnunet_textguided.cli import convert; "
        "convert.add_arguments(argparse.ArgumentParser()); "
        "sys.exit(bool({'numpy', 'SimpleITK', 'torch', 'tqdm'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.fixture
def real_dataset(real_data: Path, tmp_path: Path, nnunet_raw: Path) -> tuple[Path, Path]:
    source = tmp_path / "spider"
    for sub in ("images", "masks"):
        (source / sub).mkdir(parents=True)
        for patient in (5, 81):
            shutil.copy(real_data / "spider_mini" / sub / f"{patient}_t2_SPACE.mha", source / sub)
    assert main(["convert", "spider", str(source), "-d", "501", "--processes", "1"]) == 0
    return source, nnunet_raw / "Dataset501_SPIDER"


def test_real_cases_keep_their_structures_in_anatomical_order(real_dataset: tuple[Path, Path]) -> None:
    source, folder = real_dataset
    truth = sitk.GetArrayFromImage(sitk.ReadImage(str(source / "masks" / "81_t2_SPACE.mha")))
    written = sitk.GetArrayFromImage(sitk.ReadImage(str(folder / "labelsTr" / "spider_081.nii.gz")))
    assert written.shape == truth.shape == (8, 310, 256)
    assert np.array_equal(written == 2, truth == 1)
    assert np.array_equal(written == 17, truth == 207)
    assert not (written == 1).any()
    rows = [np.argwhere(written == code)[:, 1].mean() for code in (2, 3, 4, 5, 6)]
    assert rows == sorted(rows, reverse=True)  # from L5 up to L1, and rows run to the feet


def test_real_cases_pass_nnunets_own_check(
    real_dataset: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    verify = importlib.import_module("nnunetv2.experiment_planning.verify_dataset_integrity")
    utils = importlib.import_module("nnunetv2.utilities.utils")
    monkeypatch.setattr(utils, "Pool", ThreadPool)  # threads, as a process that imports nnU-Net takes seconds
    monkeypatch.setattr(verify.multiprocessing, "get_context", lambda _: SimpleNamespace(Pool=ThreadPool))
    verify.verify_dataset_integrity(str(real_dataset[1]), 1)
    printed = capsys.readouterr().out
    assert "verify_dataset_integrity Done" in printed
    assert "Warning" not in printed
