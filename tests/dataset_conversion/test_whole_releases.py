"""Releases of 500 small studies: rate, memory, and that nnU-Net accepts what comes out."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from small_volumes import write_image, write_mask
from study_trees import write_rsna, write_sudirman, write_tianchi

pytestmark = pytest.mark.slow

STUDIES = 500
SMALLEST_RATE = 10.0  # studies a second on two cores
LARGEST_GROWTH_MB = 60.0  # of the parent from 50 to 500 studies: records only

_RUN = """
import json, resource, sys, time
from pathlib import Path
from nnunet_textguided.dataset_conversion.base.conversion import RunSettings
from nnunet_textguided.dataset_conversion.{module} import convert_{module}

if __name__ == "__main__":
    begin = time.monotonic()
    _, manifest = convert_{module}(Path(sys.argv[1]), int(sys.argv[2]), settings=RunSettings(processes=2))
    print(json.dumps({{
        "seconds": time.monotonic() - begin,
        "cases": len(manifest.cases),
        "problems": list(manifest.problems.values()),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "worker_mb": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024,
    }}))
"""
WRITERS = {"tianchi": write_tianchi, "rsna2024": write_rsna, "sudirman": write_sudirman}


def convert(tmp_path: Path, module: str, source: Path, dataset_id: int) -> dict:
    script = tmp_path / f"convert_{module}.py"
    script.write_text(_RUN.format(module=module))
    environment = {**os.environ, "nnUNet_raw": str(tmp_path / "raw")}
    environment.pop("nnUNet_preprocessed", None)
    done = subprocess.run(
        [sys.executable, str(script), str(source), str(dataset_id)],
        capture_output=True,
        text=True,
        env=environment,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("module", list(WRITERS))
def test_five_hundred_studies_convert_fast_and_in_bounded_memory(tmp_path: Path, module: str):
    few = convert(tmp_path, module, WRITERS[module](tmp_path / "few", STUDIES // 10), 1)
    shutil.rmtree(tmp_path / "raw")
    many = convert(tmp_path, module, WRITERS[module](tmp_path / "many", STUDIES), 2)
    rate = many["cases"] / many["seconds"]
    (tmp_path / "figures.json").write_text(json.dumps({"studies_a_second": rate, "few": few, "many": many}))
    assert (many["cases"], many["problems"]) == (STUDIES, [])
    assert rate > SMALLEST_RATE
    assert many["peak_mb"] - few["peak_mb"] < LARGEST_GROWTH_MB
    assert many["worker_mb"] - few["worker_mb"] < LARGEST_GROWTH_MB


def nnunet_accepts(tmp_path: Path, arguments: list[str], dataset_id: int) -> None:
    """Convert by the command, then let nnU-Net check the data set and take its fingerprint."""
    environment = {
        **os.environ,
        **{name: str(tmp_path / name) for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results")},
    }
    command = [sys.executable, "-m", "nnunet_textguided.cli.main", "convert", *arguments, "-d", str(dataset_id)]
    subprocess.run([*command, "--processes", "2"], check=True, env=environment)
    check = shutil.which("nnUNetv2_extract_fingerprint", path=str(Path(sys.executable).parent))
    done = subprocess.run(
        [check, "-d", str(dataset_id), "--verify_dataset_integrity", "-np", "2"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search("verify_dataset_integrity Done", done.stdout), done.stdout


@pytest.mark.parametrize("module", list(WRITERS))
def test_nnunet_accepts_studies_without_masks(tmp_path: Path, module: str):
    source = WRITERS[module](tmp_path / "source", 6)
    nnunet_accepts(tmp_path, [module, str(source)], 3)


def test_nnunet_accepts_mrspineseg(tmp_path: Path):
    for number in range(1, 6):
        write_image(tmp_path / "source" / "MR" / f"Case{number}.nii.gz", seed=number)
        write_mask(tmp_path / "source" / "Mask" / f"mask_case{number}.nii.gz", (1, 2, 19))
    nnunet_accepts(tmp_path, ["mrspineseg", str(tmp_path / "source")], 3)


def test_nnunet_accepts_real_spider_and_hippocampus_and_rsna(tmp_path: Path, real_data: Path):
    (tmp_path / "labels.json").write_text(json.dumps({"1": "anterior", "2": "posterior"}))
    hippocampus = ["generic", str(real_data / "hippocampus"), "--labels", str(tmp_path / "labels.json")]
    nnunet_accepts(tmp_path, [*hippocampus, "--name", "Hippocampus"], 4)
    nnunet_accepts(tmp_path, ["spider", str(real_data / "spider_mini")], 5)
    nnunet_accepts(tmp_path, ["rsna2024", str(real_data / "rsna2024_mini"), "--channels", "T2"], 6)
    nnunet_accepts(tmp_path, ["combined", "5", "6"], 7)
