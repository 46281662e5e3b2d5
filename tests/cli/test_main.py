"""The command line's front door: what it imports, how it answers, which status it leaves."""

from __future__ import annotations

import argparse
import importlib
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from nnunet_textguided import __version__
from nnunet_textguided.cli import main as cli
from nnunet_textguided.errors import UserError

HEAVY = ("torch", "numpy", "nnunetv2", "open_clip", "timm", "SimpleITK", "matplotlib", "scipy", "pandas")
RUN_AND_LIST_IMPORTS = """
import sys
from nnunet_textguided.cli.main import main
try:
    sys.exit(main(sys.argv[1:]))
finally:
    print("LOADED", *sorted(set({heavy}) & set(sys.modules)), file=sys.stderr)
"""


def run_fresh(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    script = RUN_AND_LIST_IMPORTS.format(heavy=HEAVY)
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment}, timeout=60)


def install_command(monkeypatch: pytest.MonkeyPatch, run, **attributes) -> None:
    module = SimpleNamespace(add_arguments=lambda parser: None, run=run, **attributes)
    monkeypatch.setattr(cli, "load_command", lambda name: module)


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("env",), ("env", "--help")])
def test_light_commands_import_nothing_heavy(arguments):
    done = run_fresh(*arguments)
    assert done.returncode == 0
    assert done.stderr.splitlines()[-1].split() == ["LOADED"]


@pytest.mark.skipif(os.name == "nt", reason="no times of children")
@pytest.mark.parametrize("arguments", [("--help",), ("env",)])
def test_light_commands_take_under_a_third_of_a_second(arguments):
    def processor_seconds() -> float:  # not wall time, which other processes of the machine lengthen
        before = os.times()
        subprocess.run(
            [sys.executable, "-m", "nnunet_textguided.cli.main", *arguments], check=True, capture_output=True
        )
        after = os.times()
        return sum(after[2:4]) - sum(before[2:4])

    assert min(processor_seconds() for _ in range(3)) < 0.3


def test_every_command_module_can_be_imported_without_anything_heavy():
    names = [f"nnunet_textguided.cli.{module}" for module, _ in cli.COMMANDS.values()]
    script = (
        f"import importlib, sys; [importlib.import_module(n) for n in {names}]; print(set({HEAVY}) & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "set()", done.stderr


@pytest.mark.parametrize("name", list(cli.COMMANDS))
def test_every_command_has_what_main_calls(name):
    module = importlib.import_module(f"nnunet_textguided.cli.{cli.COMMANDS[name][0]}")
    assert callable(module.run)
    if not getattr(module, "PASSTHROUGH", False):
        parser = argparse.ArgumentParser()
        module.add_arguments(parser)
        assert f"usage: {parser.prog}" in parser.format_help()


def test_help_lists_every_command(capsys):
    assert cli.main(["--help"]) == 0
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines() if line.startswith("  ")]
    assert listed == list(cli.COMMANDS)


def test_version(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"nnunet_textguided {__version__}\n"


def test_no_command_prints_the_help_and_fails(capsys):
    assert cli.main([]) == 2
    assert "usage: nnunet_textguided" in capsys.readouterr().out


def test_unknown_command_names_the_nearest(capsys):
    assert cli.main(["evalute"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: 'evalute' is not a command")
    assert "Did you mean evaluate?" in captured.err


def test_command_like_no_other_lists_them_all(capsys):
    assert cli.main(["xyzzy"]) == 2
    assert "doctor" in capsys.readouterr().err


def test_user_error_is_one_message_without_traceback(monkeypatch, capsys):
    def fail(args):
        raise UserError("expected a folder at /there, found a file; give another")

    install_command(monkeypatch, fail)
    assert cli.main(["doctor"]) == 2
    assert capsys.readouterr().err == "error: expected a folder at /there, found a file; give another\n"


def test_other_errors_keep_their_traceback(monkeypatch):
    def fail(args):
        raise RuntimeError("a fault of ours")

    install_command(monkeypatch, fail)
    with pytest.raises(RuntimeError, match="a fault of ours"):
        cli.main(["doctor"])


def test_interrupt_exits_as_a_shell_reports_it(monkeypatch):
    def interrupt(args):
        raise KeyboardInterrupt

    install_command(monkeypatch, interrupt)
    assert cli.main(["doctor"]) == 130


def test_the_commands_own_status_is_returned(monkeypatch):
    install_command(monkeypatch, lambda args: 7)
    assert cli.main(["doctor"]) == 7


def test_passthrough_command_gets_every_argument_unread(monkeypatch):
    seen = []
    install_command(monkeypatch, lambda args: seen.extend(args.arguments) or 0, PASSTHROUGH=True)
    assert cli.main(["train", "-tr", "X", "--help", "--c", "501"]) == 0
    assert seen == ["-tr", "X", "--help", "--c", "501"]


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.skipif(os.name == "nt", reason="pipes of POSIX")
def test_reader_that_goes_away_leaves_no_traceback(unbuffered):
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "nnunet_textguided.cli.main", "--help"]
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, env=environment, timeout=60)
    os.close(writer)
    assert done.returncode == 141
    assert done.stderr == ""


def test_broken_pipe_between_workers_is_not_hidden(monkeypatch):
    def fail(args):
        raise BrokenPipeError("a worker died")

    install_command(monkeypatch, fail)
    with pytest.raises(BrokenPipeError, match="a worker died"):
        cli.main(["doctor"])
