from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from nnunet_textguided.cli import demo
from nnunet_textguided.cli.hold_out import copy_validation_cases
from nnunet_textguided.cli.stage_runner import Stage, StageRunner, find_executable, launch_process
from nnunet_textguided.errors import UserError


class FakeLaunch:
    """Notes the commands and fails where it is told to."""

    def __init__(self, fail_on: str = "") -> None:
        self.commands: list[tuple[str, ...]] = []
        self.environments: list[Mapping[str, str]] = []
        self.fail_on = fail_on

    def __call__(self, command: Sequence[str], environment: Mapping[str, str], log: Path, progress: str) -> int:
        self.commands.append(tuple(command))
        self.environments.append(environment)
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("".join(f"line {number}\n" for number in range(40)) + "out of luck\n")
        return 3 if self.fail_on and self.fail_on in command else 0

    @property
    def names(self) -> list[str]:
        return [command[1] if command[0] == "nnunet_textguided" else command[0] for command in self.commands]


def _arguments(out: Path, *words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    demo.add_arguments(parser)
    return parser.parse_args(["--out", str(out), *words])


def test_demo_runs_the_commands_of_the_way_in_order(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    launch = FakeLaunch()
    assert demo.run(_arguments(tmp_path / "demo"), launch) == 0
    assert launch.names == [
        "python",
        "python",
        "pretrain-image",
        "pretrain-text",
        "convert",
        "nnUNetv2_plan_and_preprocess",
        "plan",
        "embed",
        "nnUNetv2_train",
        "python",
        "predict",
        "evaluate",
        "python",
        "report",
    ]
    train = " ".join(launch.commands[8])
    assert train == "nnUNetv2_train 901 2d 0 -tr TextGuidedTrainer_short -p nnUNetPlansTextGuided -device cpu"
    shown = capsys.readouterr().out
    assert train in shown
    for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results", "nnUNet_extTrainer", "nnUNet_n_proc_DA"):
        assert f"export {name}=" in shown
        assert all(name in environment for environment in launch.environments)
    assert str(tmp_path / "demo" / "pictures") in shown


def test_findings_are_planned_and_reported(tmp_path: Path):
    launch = FakeLaunch()
    demo.run(_arguments(tmp_path / "demo"), launch)
    assert launch.commands[6][-5:] == ("--findings", "all", "--seed", "0", "--overwrite")
    assert str(tmp_path / "demo" / "reports") in launch.commands[-1]


def test_without_findings_the_masks_are_predicted_by_nnunets_own_command(tmp_path: Path):
    launch = FakeLaunch()
    demo.run(_arguments(tmp_path / "demo", "--no-findings"), launch)
    assert "--findings" not in launch.commands[6]
    assert launch.names[-3:] == ["nnUNetv2_predict", "evaluate", "python"]


def test_the_model_starts_from_what_was_pretrained(tmp_path: Path):
    launch = FakeLaunch()
    demo.run(_arguments(tmp_path / "demo"), launch)
    image, text = (launch.commands[place] for place in (2, 3))
    assert image[3] == str(tmp_path / "demo" / "unlabeled" / "images")
    plan = " ".join(launch.commands[6])
    assert f"--encoder-weights {image[5]}/encoder.safetensors" in plan
    assert f"--text-model {text[5]}/open_clip_config.json --text-weights {text[5]}/open_clip_model.pt" in plan


def test_without_pretraining_both_encoders_start_from_scratch(tmp_path: Path):
    launch = FakeLaunch()
    demo.run(_arguments(tmp_path / "demo", "--no-pretrain"), launch)
    assert launch.names[:3] == ["python", "convert", "nnUNetv2_plan_and_preprocess"]
    assert "--encoder-weights none --text-model random" in " ".join(launch.commands[3])


def test_own_data_are_not_pretrained_on_generated_scans(tmp_path: Path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "1_t2.mha").touch()
    launch = FakeLaunch()
    demo.run(_arguments(tmp_path / "a", "--data", str(tmp_path)), launch)
    assert "pretrain-image" not in launch.names
    with pytest.raises(UserError, match="pretrain-image and pretrain-text"):
        demo.run(_arguments(tmp_path / "b", "--data", str(tmp_path), "--pretrain"), FakeLaunch())


def test_data_without_findings_are_trained_without_unless_they_are_asked_for(tmp_path: Path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "1_t2.mha").touch()
    launch = FakeLaunch()
    demo.run(_arguments(tmp_path / "a", "--data", str(tmp_path)), launch)
    assert launch.names[-1] == "python"
    with pytest.raises(UserError, match=r"radiological_gradings\.csv"):
        demo.run(_arguments(tmp_path / "b", "--data", str(tmp_path), "--findings"), FakeLaunch())
    (tmp_path / "radiological_gradings.csv").touch()
    launch = FakeLaunch()
    demo.run(_arguments(tmp_path / "c", "--data", str(tmp_path)), launch)
    assert launch.names[-1] == "report"


def test_failed_stage_names_command_log_and_way_on_and_the_next_run_starts_there(tmp_path: Path):
    launch = FakeLaunch(fail_on="embed")
    with pytest.raises(UserError) as caught:
        demo.run(_arguments(tmp_path / "demo"), launch)
    text = str(caught.value)
    assert "nnunet_textguided embed -d 901" in text
    assert "exit status 3" in text
    assert "out of luck" in text
    assert "line 5\n" not in text  # only the end of the log
    assert "same nnunet_textguided command again" in text
    second = FakeLaunch()
    demo.run(_arguments(tmp_path / "demo"), second)
    assert second.names == ["embed", "nnUNetv2_train", "python", "predict", "evaluate", "python", "report"]
    third = FakeLaunch()
    demo.run(_arguments(tmp_path / "demo"), third)
    assert third.names == []


@pytest.mark.parametrize("checkpoint", ["checkpoint_latest.pth", "checkpoint_best.pth", "checkpoint_final.pth"])
def test_interrupted_training_continues_from_its_checkpoint(tmp_path: Path, checkpoint: str):
    out = tmp_path / "demo"
    with pytest.raises(UserError):
        demo.run(_arguments(out), FakeLaunch(fail_on="nnUNetv2_train"))
    fold = out / "nnUNet_results/Dataset901_Demo/TextGuidedTrainer_short__nnUNetPlansTextGuided__2d/fold_0"
    fold.mkdir(parents=True)
    (fold / checkpoint).touch()
    launch = FakeLaunch()
    demo.run(_arguments(out), launch)
    assert launch.names[0] == "nnUNetv2_train"
    assert launch.commands[0][-1] == "--c"


def test_a_stage_that_has_to_run_makes_later_ones_run(tmp_path: Path):
    demo.run(_arguments(tmp_path / "demo"), FakeLaunch())
    (tmp_path / "demo" / "done" / "predict.json").write_text("{ broken")
    launch = FakeLaunch()
    demo.run(_arguments(tmp_path / "demo"), launch)
    assert launch.names == ["predict", "evaluate", "python", "report"]


def test_folder_of_a_demo_with_other_options_is_refused(tmp_path: Path):
    demo.run(_arguments(tmp_path / "demo"), FakeLaunch())
    with pytest.raises(UserError, match="other options"):
        demo.run(_arguments(tmp_path / "demo", "--quick"), FakeLaunch())


def test_interruption_says_how_to_go_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    def interrupt(*_: object) -> int:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        demo.run(_arguments(tmp_path / "demo"), interrupt)
    assert "same command continues" in capsys.readouterr().out


def test_own_data_is_not_generated_and_its_sequences_are_found(tmp_path: Path):
    images = tmp_path / "spider" / "images"
    images.mkdir(parents=True)
    for name in ("1_t1", "1_t2", "2_t1", "2_t2", "3_t2"):
        (images / f"{name}.mha").touch()
    launch = FakeLaunch()
    demo.run(_arguments(tmp_path / "a", "--data", str(tmp_path / "spider")), launch)
    assert launch.names[0] == "convert"
    assert str(tmp_path / "spider") in launch.commands[0]
    assert launch.commands[0][-5:-2] == ("--channels", "t1", "t2")
    for file in images.iterdir():
        file.rename(file.with_name(file.name.replace("t1", "x").replace("t2", "t2_SPACE")))
    assert demo.data_sequences(tmp_path / "spider") == ("t2_SPACE",)


def test_own_data_without_images_is_an_error(tmp_path: Path):
    with pytest.raises(UserError, match="SPIDER's layout"):
        demo.run(_arguments(tmp_path / "a", "--data", str(tmp_path)), FakeLaunch())
    assert not (tmp_path / "a").exists()


def test_output_goes_to_the_log_and_only_progress_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    log = tmp_path / "logs" / "x.log"
    code = "import os; print('Epoch 1'); print('noise'); print(os.environ['GREETING'])"
    assert launch_process(("python", "-c", code), {"GREETING": "hello"}, log, "Epoch") == 0
    assert {"Epoch 1", "noise", "hello"} <= set(log.read_text().splitlines())
    assert capsys.readouterr().out.split() == ["Epoch", "1"]


def test_exit_status_of_a_failing_command_is_returned(tmp_path: Path):
    assert launch_process(("python", "-c", "raise SystemExit(7)"), {}, tmp_path / "x.log", "x") == 7


def test_unknown_command_says_how_to_install():
    with pytest.raises(UserError, match="pip install"):
        find_executable("nnUNetv2_no_such_command")


def test_commands_are_found_without_an_activated_environment(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    assert Path(find_executable("nnunet_textguided")).is_file()


def test_terminating_the_demo_ends_the_stage_and_its_children(tmp_path: Path):
    pid_file = tmp_path / "pid"
    child = f"import os,time; open({str(pid_file)!r},'w').write(str(os.getpid())); time.sleep(60)"
    stage = f"import subprocess,sys; subprocess.run([sys.executable, '-c', {child!r}])"
    code = (
        "from pathlib import Path; from nnunet_textguided.cli.stage_runner import launch_process;"
        f"launch_process(('python','-c',{stage!r}), {{}}, Path({str(tmp_path / 'x.log')!r}), 'x')"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    _wait_for(lambda: pid_file.exists() and pid_file.read_text().strip())
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=20) != 0
    _wait_for(lambda: not _is_running(int(pid_file.read_text())))


def test_marker_holds_command_and_time(tmp_path: Path):
    StageRunner(tmp_path, {}, FakeLaunch()).run([Stage("one", "first", ("nnUNetv2_train", "1"))])
    marker = json.loads((tmp_path / "done" / "one.json").read_text())
    assert marker["command"] == ["nnUNetv2_train", "1"]
    assert marker["seconds"] >= 0


def test_another_command_under_the_same_name_is_not_done(tmp_path: Path):
    runner = StageRunner(tmp_path, {}, FakeLaunch())
    runner.run([Stage("one", "first", ("a", "1"))])
    assert runner.is_done(Stage("one", "first", ("a", "1")))
    assert not runner.is_done(Stage("one", "first", ("a", "2")))


@pytest.fixture
def converted(tmp_path: Path) -> Path:
    for folder in ("imagesTr", "labelsTr"):
        (tmp_path / "raw" / folder).mkdir(parents=True)
    for case in ("spider_001", "spider_001_t2", "spider_002"):
        for channel in range(2):
            (tmp_path / "raw" / "imagesTr" / f"{case}_{channel:04d}.nii.gz").write_text(f"{case} {channel}")
        (tmp_path / "raw" / "labelsTr" / f"{case}.nii.gz").write_text(case)
    (tmp_path / "raw" / "dataset.json").write_text(json.dumps({"file_ending": ".nii.gz"}))
    splits = [{"train": ["spider_002"], "val": ["spider_001"]}]
    (tmp_path / "splits_final.json").write_text(json.dumps(splits))
    return tmp_path


def test_exactly_the_validation_cases_are_held_out(converted: Path):
    out = converted / "held_out"
    assert copy_validation_cases(converted / "raw", converted / "splits_final.json", 0, out) == ["spider_001"]
    assert sorted(file.name for file in (out / "imagesTs").iterdir()) == [
        "spider_001_0000.nii.gz",
        "spider_001_0001.nii.gz",
    ]
    assert (out / "labelsTs" / "spider_001.nii.gz").read_text() == "spider_001"


def test_findings_are_held_out_with_the_cases(converted: Path):
    (converted / "raw" / "findings.csv").write_text("case,structure,finding,present\nspider_001,L5/S,bulge,1\n")
    copy_validation_cases(converted / "raw", converted / "splits_final.json", 0, converted / "held_out")
    assert "spider_001,L5/S,bulge,1" in (converted / "held_out" / "findings.csv").read_text()


def test_missing_validation_image_is_named(converted: Path):
    (converted / "raw" / "labelsTr" / "spider_001.nii.gz").unlink()
    with pytest.raises(UserError, match="spider_001"):
        copy_validation_cases(converted / "raw", converted / "splits_final.json", 0, converted / "held_out")


def _wait_for(condition, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not (stat.exists() and stat.read_text().rsplit(")", 1)[1].split()[0] == "Z")
