"""Every trainer by name, through nnU-Net's own lookup, in a fresh process as `nnUNetv2_train` would be."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from nnunet_textguided.cli.doctor_checks.check import Check
from nnunet_textguided.ext_path import VARIABLE, with_ext_dir

TIMEOUT = 300  # seconds; importing torch and nnU-Net from a slow network disk takes a minute
MARK = "nnunet_textguided doctor: "

LOOKUP = f"""
import json, pickle
from nnunet_textguided import trainers
from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name

answers = {{}}
for name in trainers.__all__:
    try:
        found = recursive_find_trainer_class_by_name(name)
        same = found is getattr(trainers, name) and pickle.loads(pickle.dumps(found)) is found
        answers[name] = "" if same else f"nnU-Net finds another class of this name, {{found.__module__}}"
    except Exception as error:  # reported, trainer by trainer
        answers[name] = f"{{type(error).__name__}}: {{error}}"
print("{MARK}" + json.dumps(answers))
"""


def check_trainers() -> list[Check]:
    """Look all trainers up in one fresh process, with our folder in the variable whether or not it is set outside."""
    environment = {**os.environ, VARIABLE: with_ext_dir(os.environ.get(VARIABLE))}
    try:
        done = subprocess.run(
            [sys.executable, "-c", LOOKUP],
            env=environment,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return [Check("trainers", "FAIL", f"looking them up took more than {TIMEOUT} s", "Is the disk very slow?")]
    answers = [line for line in done.stdout.splitlines() if line.startswith(MARK)]
    if not answers:
        last = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        mend = "Mend what is reported above, or install the package again: pip install ."
        return [Check("trainers", "FAIL", f"could not be looked up: {last}", mend)]
    return [_verdict(name, problem) for name, problem in json.loads(answers[-1][len(MARK) :]).items()]


def _verdict(name: str, problem: str) -> Check:
    if not problem:
        return Check(name, "OK", "found by nnU-Net")
    mend = f"Look for modules of yours that fail to import or bear the same name in the folders of {VARIABLE}."
    return Check(name, "FAIL", problem, mend)
