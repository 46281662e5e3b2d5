"""nnU-Net finds our trainers by name, and what it finds is the real class."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys

import pytest

from nnunet_textguided.ext_path import VARIABLE, ext_dir

NAMES = [
    "MultiTaskUNetTrainer",
    "MultiTaskUNetTrainer_short",
    "TextGuidedTrainer",
    "TextGuidedTrainer_medium",
    "TextGuidedTrainer_quick",
    "TextGuidedTrainer_short",
    "TextGuidedTrainer_twice",
    "MixedTransformerUNetTrainer",
    "MixedTransformerUNetTrainer_short",
    "VisualOnlyTrainer",
    "VisualOnlyTrainer_short",
    "nnUNetTrainerMatched",
    "nnUNetTrainerMatched_short",
    "nnUNetTrainerOrderPreserving",
    "nnUNetTrainer_short",
]
LOOK_UP_ALL = f"""
import json, os, pickle
from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name as find
variable = os.environ.pop("{VARIABLE}")
try:
    find("TextGuidedTrainer")
    refusal = ""
except RuntimeError as error:
    refusal = str(error)
os.environ["{VARIABLE}"] = variable
found = {{name: find(name) for name in {NAMES}}}
again = {{name: find(name) for name in {NAMES}}}
import nnunet_textguided.trainers as trainers
answers = {{
    name: dict(
        name=cls.__name__,
        module=cls.__module__,
        same=cls is getattr(trainers, name) and cls is again[name],
        pickled=pickle.loads(pickle.dumps(cls)) is cls,
    )
    for name, cls in found.items()
}}
print(json.dumps(answers | {{"refusal": refusal}}))
"""


@pytest.fixture(scope="module")
def found() -> dict[str, dict[str, object]]:
    """Answers of one fresh process for all trainers, because importing nnU-Net takes seconds."""
    environment = {**os.environ, VARIABLE: str(ext_dir())}
    command = [sys.executable, "-c", LOOK_UP_ALL]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("name", NAMES)
def test_trainer_is_found_under_its_true_home(found, name):
    assert found[name]["name"] == name
    assert str(found[name]["module"]).startswith("nnunet_textguided.trainers")


@pytest.mark.parametrize("name", NAMES)
def test_trainer_found_is_the_packages_own_class_at_every_lookup(found, name):
    assert found[name]["same"] is True


@pytest.mark.parametrize("name", NAMES)
def test_trainer_found_is_picklable(found, name):
    assert found[name]["pickled"] is True


def test_without_the_variable_nnunet_says_which_one_to_set(found):
    assert "Could not find requested nnunet trainer TextGuidedTrainer" in found["refusal"]
    assert VARIABLE in found["refusal"]


def test_the_shim_offers_exactly_what_the_package_offers():
    from nnunet_textguided import trainers

    shim = ast.parse((ext_dir() / "textguided_trainers.py").read_text())
    [imported] = [node for node in shim.body if isinstance(node, ast.ImportFrom)]
    assert imported.module == "nnunet_textguided.trainers"
    assert {alias.name for alias in imported.names} == set(trainers.__all__) == set(NAMES)


def test_the_shim_defines_nothing_of_its_own():
    shim = ast.parse((ext_dir() / "textguided_trainers.py").read_text())
    assert not [node for node in ast.walk(shim) if isinstance(node, (ast.ClassDef, ast.FunctionDef))]
