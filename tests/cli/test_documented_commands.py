"""Command lines of README and docs are ones that the command's own parser takes; links lead somewhere."""

from __future__ import annotations

import argparse
import re
import shlex
from pathlib import Path

import pytest

from nnunet_textguided.cli import main as cli

ROOT = Path(__file__).resolve().parents[2]
PAGES = {
    path.relative_to(ROOT).as_posix(): path for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
}
TEXTS = {name: path.read_text(encoding="utf-8") for name, path in PAGES.items()}
PLACEHOLDERS = re.compile(r"[\[\]]|\bDATASET\b|\bID\b|\bN\b|\.\.\.")
"""Of lines that show how a command is written; they are not run."""


def command_lines(text: str) -> list[str]:
    """Return our commands in the bash blocks of a page."""
    blocks = "\n".join(re.findall(r"```bash\n(.*?)```", text, flags=re.DOTALL)).replace("\\\n", " ")
    lines = [part.strip() for line in blocks.splitlines() for part in line.split("&&")]
    return [line for line in lines if line.startswith("nnunet_textguided ") and not PLACEHOLDERS.search(line)]


def test_the_two_first_commands_stand_in_the_readme():
    assert "pip install . && nnunet_textguided demo" in TEXTS["README.md"]
    assert "pip install '.[test]' && pytest" in TEXTS["README.md"]


@pytest.mark.parametrize(
    ("page", "line"), [(page, line) for page, text in TEXTS.items() for line in command_lines(text)]
)
def test_documented_command_is_understood(page, line):
    _, name, *words = shlex.split(line)
    module = cli.load_command(name)
    parser = argparse.ArgumentParser(exit_on_error=False)
    module.add_arguments(parser)
    parser.parse_args(words)


def found(pattern: str) -> list[tuple[str, str]]:
    """Return page and match of a pattern's group on all pages."""
    return sorted({(page, match) for page, text in TEXTS.items() for match in re.findall(pattern, text)})


@pytest.mark.parametrize(("page", "name"), found(r"`nnunet_textguided ([a-z-]+)"))
def test_command_named_in_the_text_exists(page, name):
    assert name in cli.COMMANDS


@pytest.mark.parametrize(("page", "target"), found(r"\]\(((?!https?:)[^)#]+)"))
def test_link_leads_somewhere(page, target):
    assert (PAGES[page].parent / target).exists()
