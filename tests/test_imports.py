"""The package's own rules, held by reading its source: imports run one way, files stay short, only the CLI prints."""

from __future__ import annotations

import ast
import importlib
import sys
from pathlib import Path

import pytest

PACKAGE = "nnunet_textguided"
ROOT = Path(__file__).resolve().parent.parent / PACKAGE

LEVELS = {
    "leaf": 0,
    "evaluation": 1,
    "architectures": 1,
    "findings": 1,
    "text": 1,
    "inference": 2,
    "trainers": 3,
    "dataset_conversion": 4,
    "pretraining": 4,
    "comparison": 4,
    "synthetic": 4,
    "benchmark": 5,
    "ext": 6,
    "cli": 6,
}
"""A part may import itself and any part of a lower level; ext and cli are imported by nobody."""

NUMERIC = {"torch", "timm", "numpy", "safetensors"}
MAX_FILE_LINES = 250
MAX_FUNCTION_LINES = 60


def part_of(module: str) -> str:
    """Return the sub-package a module belongs to; modules directly in the package are leaves."""
    names = module.split(".")
    return names[1] if len(names) > 1 and names[1] in LEVELS else "leaf"


def imported_modules(tree: ast.AST, module: str, is_package: bool) -> list[tuple[int, str]]:
    """List (line, absolute module name) of every import, also of those inside functions."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = module.split(".") if is_package else module.split(".")[:-1]
                base = ".".join([*parents[: len(parents) - node.level + 1], *filter(None, [base])])
            # `from package import part` names a module, too; of other imports the extra name changes no part
            found += [(node.lineno, f"{base}.{alias.name}") for alias in node.names]
    return found


def import_violations(source: str, module: str, is_package: bool = False) -> list[str]:
    """List the imports of a module that the rules forbid."""
    part = "cli" if module == PACKAGE else part_of(module)  # the package itself may offer anything, lazily
    broken = []
    for line, name in imported_modules(ast.parse(source), module, is_package):
        top = name.split(".")[0]
        if top == PACKAGE:
            target = part_of(name)
            if target != part and (target in ("ext", "cli") or LEVELS[target] >= LEVELS[part]):
                broken.append(f"{module}:{line}: {part} must not import {target} ({name})")
        elif top == "open_clip" and part not in ("text", "cli"):
            broken.append(f"{module}:{line}: only text knows open_clip")
        elif part == "architectures" and top not in NUMERIC | sys.stdlib_module_names:
            broken.append(f"{module}:{line}: architectures knows {', '.join(sorted(NUMERIC))} only, not {top}")
    return broken


def style_violations(source: str, module: str) -> list[str]:
    """List what makes a file hard to read or hides errors."""
    broken = []
    if source.count("\n") > MAX_FILE_LINES:
        broken.append(f"{module}: {source.count(chr(10))} lines, at most {MAX_FILE_LINES}")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ExceptHandler) and node.type is None:
            broken.append(f"{module}:{node.lineno}: bare except")
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
            if part_of(module) != "cli":
                broken.append(f"{module}:{node.lineno}: print outside cli")
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            length = node.end_lineno - node.lineno + 1
            if length > MAX_FUNCTION_LINES:
                broken.append(f"{module}:{node.lineno}: {node.name} has {length} lines, at most {MAX_FUNCTION_LINES}")
    return broken


def module_name(path: Path) -> str:
    """Return the dotted name of a file of the package."""
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = sorted(ROOT.rglob("*.py"))
MODULES = [module_name(path) for path in FILES]


@pytest.mark.parametrize("path", FILES, ids=MODULES)
def test_imports_run_one_way(path):
    source = path.read_text(encoding="utf-8")
    assert import_violations(source, module_name(path), is_package=path.name == "__init__.py") == []


@pytest.mark.parametrize("path", FILES, ids=MODULES)
def test_files_are_short_and_quiet(path):
    assert style_violations(path.read_text(encoding="utf-8"), module_name(path)) == []


@pytest.mark.parametrize("module", [name for name in MODULES if not name.endswith("__main__")])
def test_every_module_can_be_imported(module):
    assert importlib.import_module(module).__name__ == module


def test_every_folder_with_code_is_a_package_so_that_a_wheel_carries_it():
    bare = {str(path.parent) for path in FILES if not (path.parent / "__init__.py").exists()}
    assert bare == set()


def test_every_part_has_a_level():
    parts = {path.name for path in ROOT.iterdir() if (path / "__init__.py").exists()}
    assert parts <= set(LEVELS)


FORBIDDEN = [
    ("architectures.encoder", "import nnunetv2"),
    ("architectures.encoder", "from open_clip import tokenize"),
    ("architectures.encoder", "import SimpleITK as sitk"),
    ("architectures.encoder", "def f():\n    from nnunet_textguided.text import bank"),
    ("architectures.encoder", "from nnunet_textguided import trainers"),
    ("architectures.encoder", "from ..trainers import plan"),
    ("architectures.encoder", "from .. import inference"),
    ("text.bank", "from nnunet_textguided.architectures import encoder"),
    ("text.bank", "if True:\n    import nnunet_textguided.inference.predictor"),
    ("trainers.plan", "from nnunet_textguided.dataset_conversion import spider"),
    ("trainers.plan", "import open_clip"),
    ("trainers.plan", "class A:\n    def f(self):\n        from nnunet_textguided.cli import main"),
    ("inference.predictor", "from nnunet_textguided.trainers.guidance import TextGuidance"),
    ("synthetic.phantom", "from nnunet_textguided.dataset_conversion import spider"),
    ("comparison.costs", "from nnunet_textguided.benchmark import steps"),
    ("ext_path", "from nnunet_textguided.text import bank"),
    ("cli.env", "from nnunet_textguided.ext import textguided_trainers"),
    ("evaluation.report", "from nnunet_textguided.cli.main import main"),
]


@pytest.mark.parametrize(("module", "source"), FORBIDDEN)
def test_a_forbidden_import_is_caught(module, source):
    assert len(import_violations(source, f"{PACKAGE}.{module}")) == 1


ALLOWED = [
    ("architectures.encoder", "import math, torch\nfrom timm.layers import DropPath\nfrom .stem import Stem"),
    ("architectures.encoder", "from nnunet_textguided.errors import UserError"),
    ("text.bank", "import open_clip\nfrom nnunet_textguided import files"),
    ("trainers.plan", "import nnunetv2\nfrom nnunet_textguided.inference import predictor\nfrom ..text import bank"),
    ("synthetic.phantom", "from nnunet_textguided.text.spine_names import NAMES"),
    ("cli.demo", "from nnunet_textguided.trainers import plan\nfrom nnunet_textguided.synthetic import phantom"),
    ("ext.textguided_trainers", "from nnunet_textguided.trainers import TextGuidedTrainer"),
]


@pytest.mark.parametrize(("module", "source"), ALLOWED)
def test_an_allowed_import_is_let_through(module, source):
    assert import_violations(source, f"{PACKAGE}.{module}") == []


def test_relative_imports_of_a_package_count_from_itself():
    assert import_violations("from .text_guided import X", f"{PACKAGE}.trainers", is_package=True) == []
    assert len(import_violations("from ..cli import main", f"{PACKAGE}.trainers", is_package=True)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("text.bank", "def f():\n    print('hello')"),
        ("cli.env", "try:\n    pass\nexcept:\n    pass"),
        ("cli.env", "x = 1\n" * (MAX_FILE_LINES + 1)),
        ("cli.env", "def f():\n" + "    x = 1\n" * MAX_FUNCTION_LINES),
    ],
)
def test_poor_style_is_caught(module, source):
    assert len(style_violations(source, f"{PACKAGE}.{module}")) == 1


def test_good_style_is_let_through():
    source = (
        "def f():\n" + "    x = 1\n" * (MAX_FUNCTION_LINES - 1) + "try:\n    print(f())\nexcept OSError:\n    pass\n"
    )
    assert style_violations(source, f"{PACKAGE}.cli.env") == []
