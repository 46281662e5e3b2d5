"""The export line, as a shell reads it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from nnunet_textguided import ext_path
from nnunet_textguided.ext_path import VARIABLE, activate, ext_dir, lists_ext_dir, with_ext_dir


def evaluated_by_a_shell(current: str | None) -> str:
    environment = {key: value for key, value in os.environ.items() if key != VARIABLE}
    environment["PYTHONPATH"] = str(ext_dir().parents[1])  # the package under test, installed or not
    if current is not None:
        environment[VARIABLE] = current
    script = f'eval "$({sys.executable} -m nnunet_textguided.cli.main env)"; printf %s "${VARIABLE}"'
    return subprocess.run(["sh", "-c", script], capture_output=True, text=True, env=environment, check=True).stdout


def test_ext_dir_holds_exactly_one_module_besides_its_init():
    modules = sorted(path.name for path in ext_dir().glob("*.py"))
    assert modules == ["__init__.py", "textguided_trainers.py"]


def test_unset_gives_our_folder_alone():
    assert evaluated_by_a_shell(None) == str(ext_dir())


def test_set_is_appended_to():
    assert evaluated_by_a_shell("/opt/theirs") == f"/opt/theirs{os.pathsep}{ext_dir()}"


@pytest.mark.parametrize("nasty", ["/a b/c", '/quo"te', "/do$HOME", "/back`id`tick", "/back\\slash", "/it's"])
def test_the_shell_reads_back_what_was_there(nasty):
    assert evaluated_by_a_shell(nasty) == f"{nasty}{os.pathsep}{ext_dir()}"


def test_only_one_line_on_stdout():
    done = subprocess.run(
        [sys.executable, "-m", "nnunet_textguided.cli.main", "env"], capture_output=True, text=True, check=True
    )
    assert done.stdout.count("\n") == 1
    assert done.stdout.startswith(f'export {VARIABLE}="')


def test_already_listed_is_left_as_it_is():
    current = f"/opt/theirs{os.pathsep}{ext_dir()}{os.sep}"
    assert with_ext_dir(current) == current


def test_same_folder_through_a_link_counts_as_listed(tmp_path):
    (tmp_path / "link").symlink_to(ext_dir(), target_is_directory=True)
    assert lists_ext_dir(str(tmp_path / "link"))


def test_folder_whose_name_merely_begins_alike_does_not_count():
    assert not lists_ext_dir(f"{ext_dir()}_old")


@pytest.mark.parametrize("blank", ["", os.pathsep, " "])
def test_blank_counts_as_unset(blank):
    assert with_ext_dir(blank) == str(ext_dir())


def test_trailing_separator_makes_no_empty_entry():
    assert with_ext_dir(f"/opt/theirs{os.pathsep}") == f"/opt/theirs{os.pathsep}{ext_dir()}"


def test_activate_sets_the_variable_once(monkeypatch):
    monkeypatch.setenv(VARIABLE, "/opt/theirs")
    activate()
    activate()
    assert os.environ[VARIABLE] == f"/opt/theirs{os.pathsep}{ext_path.ext_dir()}"
