"""`nnunet_textguided relabel` as users type it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from nnunet_textguided.cli.main import main


@pytest.fixture
def masks(tmp_path: Path) -> Path:
    folder = tmp_path / "masks"
    folder.mkdir()
    for name, codes in {"five": (24, 26), "six": (24, 25, 26)}.items():
        mask = np.zeros((3, 4, 5), np.uint8)
        mask.flat[: len(codes)] = codes
        sitk.WriteImage(sitk.GetImageFromArray(mask), str(folder / f"{name}.nii.gz"))
    return folder


def values(path: Path) -> list[int]:
    return np.unique(sitk.GetArrayFromImage(sitk.ReadImage(str(path)))).tolist()


def test_a_problem_is_one_line_and_the_rest_is_written(
    masks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["relabel", str(masks), str(out), "--from", "spineps"]) == 1
    printed = capsys.readouterr()
    lines = [line for line in printed.err.splitlines() if line.startswith("not written: ")]
    assert len(lines) == 1
    assert lines[0].startswith("not written: six.nii.gz: ")
    assert "code 25 is L6 (1 voxels)" in lines[0]
    assert "1 masks relabelled" in printed.out
    assert values(out / "five.nii.gz") == [0, 1, 2]
    assert not (out / "six.nii.gz").exists()


def test_choices_of_the_command_line_reach_the_masks(
    masks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["relabel", str(masks), str(tmp_path / "out"), "--from", "spineps"]
    assert main([*command, "--map", "25=L5", "--map", "24=L4"]) == 0
    assert values(tmp_path / "out" / "six.nii.gz") == [0, 1, 2, 3]
    assert "warning: five.nii.gz: levels are not contiguous: L5 missing between L4 and S" in capsys.readouterr().err
    assert main([*command, "--transitional", "keep"]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert main([*command, "--transitional", "keep", "--overwrite"]) == 0
    assert values(tmp_path / "out" / "six.nii.gz") == [0, 1, 2, 20]


def test_one_mask_can_be_given_another_format(masks: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "five.nrrd"
    assert main(["relabel", str(masks / "five.nii.gz"), str(out), "--from", "spineps", "--to", "totalspineseg"]) == 0
    assert values(out) == [0, 45, 50]
    assert (tmp_path / "new" / "five_relabel.json").is_file()


def test_what_a_source_never_annotates_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(np.full((2, 2, 2), 1, np.uint8)), str(tmp_path / "a.mha"))
    assert main(["relabel", str(tmp_path / "a.mha"), str(tmp_path / "b.mha"), "--from", "spider"]) == 0
    assert "Never annotated in spider, so to be declared as missing: S\n" in capsys.readouterr().out


@pytest.mark.parametrize("choice", ["25", "=L5", "25=", "L6=L5", "-1=L5", "²=L5"])
def test_a_choice_of_another_form_is_refused(masks: Path, choice: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["relabel", str(masks), "out", "--from", "spineps", f"--map={choice}"]) == 2
    assert "expected CODE=NAME such as 25=L5" in capsys.readouterr().err


def test_two_names_for_one_code_are_refused(masks: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["relabel", str(masks), "out", "--from", "spineps"]
    assert main([*arguments, "--map", "25=L5", "--map", "25=S"]) == 2
    assert "code 25 is to become L5 and S. Choose one." in capsys.readouterr().err
