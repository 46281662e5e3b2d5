"""Several results become one table: each target with its worst figure and the file that has it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nnunet_textguided.benchmark.joined import join_results
from nnunet_textguided.benchmark.targets import TARGETS
from nnunet_textguided.cli import main as cli
from nnunet_textguided.errors import UserError

FLAT, DEEP, PASS = "training step, CPU, 2D", "training step, CPU, 3D", "one forward pass of a prediction"


def write(path: Path, measured: dict[str, float], **changed) -> Path:
    """A result as the benchmark writes it, as far as its table of targets goes."""
    targets = [
        {
            "target": target.text,
            "limit": target.limit,
            "measured": measured.get(target.text),
            "system": "Ours" if target.text in measured else None,
            "met": True if target.text in measured else None,
        }
        for target in TARGETS
    ]
    about = {"device": "cpu", "dataset": "Dataset900_Tiny", "configuration": "2d", "threads": 2}
    about |= {"measured": "2026-01-01", "load_at_the_end": 1.5, "hardware": {"processor": "P|Q"}}
    path.write_text(json.dumps({"provenance": about, "targets": targets, "measurements": [], **changed}))
    return path


def joined(*files: Path) -> dict[str, tuple]:
    rows = join_results(files)["targets"]
    return {row["target"]: (row["measured"], row["system"], row["met"], row["file"]) for row in rows}


def test_each_target_is_taken_from_the_file_that_measured_it(tmp_path):
    table = joined(write(tmp_path / "flat.json", {FLAT: 0.3}), write(tmp_path / "deep.json", {DEEP: 0.6}))
    assert list(table) == [target.text for target in TARGETS]
    assert table.pop(FLAT) == (0.3, "Ours", True, "flat.json")
    assert table.pop(DEEP) == (0.6, "Ours", False, "deep.json")
    assert set(table.values()) == {(None, None, None, None)}


@pytest.mark.parametrize("order", [1, -1])
def test_of_several_figures_the_worst_counts(tmp_path, order):
    files = [write(tmp_path / "a.json", {PASS: 0.4}), write(tmp_path / "b.json", {PASS: 0.7})]
    assert joined(*files[::order])[PASS] == (0.7, "Ours", False, "b.json")


def test_figure_of_zero_is_a_figure(tmp_path):
    assert joined(write(tmp_path / "a.json", {"graph breaks, GPU": 0.0}))["graph breaks, GPU"][:3] == (0, "Ours", True)


@pytest.mark.parametrize(
    "content",
    [
        [],
        {},
        {"provenance": {}, "targets": []},
        {"provenance": {"hardware": {}}, "targets": "none"},
        {"provenance": {"hardware": {}}, "targets": [{"target": FLAT, "measured": "fast", "system": "Ours"}]},
        {"provenance": {"hardware": {}}, "targets": [{"target": FLAT, "measured": 10**400, "system": "Ours"}]},
        {"provenance": {"hardware": {}}, "targets": [{"target": FLAT, "measured": 0.1}]},
    ],
)
def test_what_is_no_result_is_refused_by_name(tmp_path, content):
    other = tmp_path / "comparison.json"
    other.write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"comparison\.json: expected a result of `nnunet_textguided benchmark"):
        join_results([write(tmp_path / "a.json", {}), other])


def test_a_joined_table_is_no_result(tmp_path, capsys):
    line = f"benchmark --join {write(tmp_path / 'a.json', {FLAT: 0.3})} -o {tmp_path}/all"
    assert cli.main(line.split()) == 0
    assert cli.main(["benchmark", "--join", str(tmp_path / "all.json"), "-o", str(tmp_path / "again")]) == 2
    assert "all.json: expected a result" in capsys.readouterr().err


def test_targets_of_another_version_are_refused(tmp_path):
    rows = [{"target": "something else", "limit": 1, "measured": 0.5, "system": "Ours", "met": True}]
    file = write(tmp_path / "a.json", {}, targets=rows)
    with pytest.raises(UserError, match=r"a\.json: its target 'something else' is none of this version's"):
        join_results([file])


def test_files_of_one_name_are_refused(tmp_path):
    (tmp_path / "b").mkdir()
    files = [write(folder / "a.json", {}) for folder in (tmp_path, tmp_path / "b")]
    with pytest.raises(UserError, match=r"two files a\.json"):
        join_results(files)


def test_command_writes_one_table_as_page_and_json(tmp_path, capsys):
    files = [write(tmp_path / "flat.json", {FLAT: 0.3}), write(tmp_path / "deep.json", {DEEP: 0.6})]
    assert cli.main(["benchmark", "--join", *map(str, files), "-o", str(tmp_path / "out" / "targets")]) == 0
    page = (tmp_path / "out" / "targets.md").read_text()
    assert "| target | limit | measured | system | met | file |" in page
    assert f"| {FLAT} | at most 0.350 | 0.300 | Ours | yes | flat.json |" in page
    assert f"| {DEEP} | at most 0.500 | 0.600 | Ours | no | deep.json |" in page
    assert f"| {PASS} | at most 0.500 | - | - | not measured | - |" in page
    assert "| deep.json | cpu | Dataset900_Tiny | 2d | 2 | 1.50 | P\\|Q | 2026-01-01 |" in page
    written = json.loads((tmp_path / "out" / "targets.json").read_text())
    assert [one["file"] for one in written["files"]] == ["flat.json", "deep.json"]
    assert page in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("benchmark", "Name what is measured"),
        ("benchmark -d 900", "Name what is measured"),
        ("benchmark --join {0}/a.json -d 900", "leave -d and --systems out"),
        ("benchmark --join {0}/a.json -o {0}/a", "would replace one of the files"),
        ("benchmark --join {0}/none.json", "none.json"),
    ],
)
def test_a_command_that_cannot_be_done_says_why(tmp_path, capsys, line, words):
    file = write(tmp_path / "a.json", {})
    before = file.read_bytes()
    assert cli.main(line.format(tmp_path).split()) == 2
    assert words in capsys.readouterr().err
    assert file.read_bytes() == before
