"""The real command on the tiny data set, all parts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nnunet_textguided.benchmark.run import PARTS, run_benchmark
from nnunet_textguided.cli import main as cli
from nnunet_textguided.errors import UserError


def test_unknown_part_is_refused_with_those_there_are(make_setting):
    with pytest.raises(UserError, match=r"--only speed: .* There are: process, start-up, export, step"):
        run_benchmark(make_setting(), ["speed"])


@pytest.mark.slow
def test_command_measures_every_part_and_writes_both_files(
    tiny_dataset: Path, text_guided_plans: str, results: Path, tmp_path: Path, capsys
):
    line = f"benchmark -d 900 --systems Ours=TextGuidedTrainer:{text_guided_plans} -o {tmp_path}/out/b -device cpu"
    line += " --rounds 2 --epochs 2 --iterations 1 --classes 1 4 --cases 1 2 --workers 0 1"
    assert cli.main(line.split()) == 0
    result = json.loads((tmp_path / "out" / "b.json").read_text())
    assert result["parts"] == list(PARTS)
    assert {row["part"] for row in result["measurements"]} == set(PARTS) - {"compilation"}
    assert {row["system"] for row in result["measurements"] if row["part"] == "step"} == {"nnU-Net", "Ours"}
    assert result["provenance"]["plans_sha256"].keys() == {text_guided_plans}
    assert "Targets" in (tmp_path / "out" / "b.md").read_text()
    assert "written:" in capsys.readouterr().out
    assert not (results / tiny_dataset.name).exists()
