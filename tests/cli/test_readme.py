"""Every command line of the README is one that the command's own parser takes."""

from __future__ import annotations

import argparse
import re
import shlex
from pathlib import Path

import pytest

from nnunet_textguided.cli import main as cli

README = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
BLOCKS = "\n".join(re.findall(r"```bash\n(.*?)```", README, flags=re.DOTALL))
LINES = [part.strip() for line in BLOCKS.splitlines() for part in line.split("&&")]
OURS = [line for line in LINES if line.startswith("nnunet_textguided ")]


def test_the_two_first_commands_stand_in_the_readme():
    assert "pip install . && nnunet_textguided demo" in BLOCKS
    assert "pip install '.[test]' && pytest" in BLOCKS


@pytest.mark.parametrize("line", OURS)
def test_command_of_the_readme_is_understood(line):
    _, name, *words = shlex.split(line)
    module = cli.load_command(name)
    parser = argparse.ArgumentParser(exit_on_error=False)
    module.add_arguments(parser)
    parser.parse_args(words)


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`nnunet_textguided ([a-z-]+)", README))))
def test_command_named_in_the_text_exists(name):
    assert name in cli.COMMANDS


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\(((?!https?:)[^)#]+)", README))))
def test_link_leads_somewhere(target):
    assert (Path(__file__).resolve().parents[2] / target).exists()
