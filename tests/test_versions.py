"""setup.py, the doctor and the gates name the same versions."""

from __future__ import annotations

import re
from pathlib import Path

from nnunet_textguided.cli.doctor_checks.installation import OLDEST_PYTHON, RANGES

ROOT = Path(__file__).resolve().parent.parent
SETUP = (ROOT / "setup.py").read_text(encoding="utf-8")


def lower_bounds() -> dict[str, str]:
    return dict(re.findall(r'"([\w-]+)>=([\d.]+)[",<!]', SETUP))


def test_every_dependency_has_a_lower_bound():
    block = SETUP[SETUP.index("install_requires=[") : SETUP.index("extras_require")]
    named = re.findall(r'^ +"([\w-]+)', block, re.M)
    assert len(named) > 15
    assert set(named) <= set(lower_bounds())


def test_the_doctor_asks_for_what_setup_installs():
    bounds = lower_bounds()
    assert {name: bounds[name] for name in RANGES} == {name: lowest for name, (lowest, *_) in RANGES.items()}


def test_the_oldest_python_is_the_same_everywhere():
    oldest = ".".join(map(str, OLDEST_PYTHON))
    assert f'python_requires=">={oldest}"' in SETUP
    pyproject = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert f'target-version = "py{oldest.replace(".", "")}"' in pyproject
    assert f'python_version = "{oldest}"' in pyproject
    assert f'"{oldest}"' in (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
