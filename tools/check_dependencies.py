#!/usr/bin/env python3
"""Install the oldest and the newest versions that setup.py allows, each into a fresh environment, and test in both.

    python tools/check_dependencies.py [--only oldest|newest] [--python 3.10] [--tests tests/architectures ...] [--keep]

Needs `uv` (pip install uv), whose `--resolution lowest-direct` takes every dependency at its lower bound. An
environment takes about 6 GB under $TMPDIR and is removed afterwards.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESOLUTIONS = {"oldest": "lowest-direct", "newest": "highest"}
IMPORT_ALL = """
import importlib, pkgutil
import nnunet_textguided
for module in pkgutil.walk_packages(nnunet_textguided.__path__, "nnunet_textguided."):
    importlib.import_module(module.name)
"""


def main() -> int:
    """Check what was asked for; 1 if an environment cannot be made or its tests fail."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=RESOLUTIONS, help="one of the two; both if left out")
    parser.add_argument("--python", help="version or path for uv; this interpreter if left out")
    parser.add_argument("--tests", nargs="+", default=[], help="folders or files; all fast tests if left out")
    parser.add_argument("--keep", action="store_true", help="leave the environments where they are")
    args = parser.parse_args()
    if shutil.which("uv") is None:
        print("uv is not on the PATH: pip install uv", file=sys.stderr)
        return 1
    failed = []
    for name in [args.only] if args.only else RESOLUTIONS:
        folder = Path(tempfile.mkdtemp(prefix=f"nnunet_textguided_{name}."))
        try:
            check(name, folder, args.python or sys.executable, args.tests)
        except subprocess.CalledProcessError as error:
            print(f"== {name}: failed with {error.returncode}: {' '.join(map(str, error.cmd))[:200]}", file=sys.stderr)
            failed.append(name)
        finally:
            if args.keep:
                print(f"== {name}: kept in {folder}")
            else:
                shutil.rmtree(folder, ignore_errors=True)
    return 1 if failed else 0


def check(name: str, folder: Path, python: str, tests: list[str]) -> None:
    """Make one environment and test in it.

    Args:
        name: Key of `RESOLUTIONS`.
        folder: Where the environment goes.
        python: Interpreter, for uv.
        tests: Relative to the checkout; empty = all fast ones.

    Raises:
        subprocess.CalledProcessError: A step failed.
    """
    environment = folder / "venv"
    inside = environment / "bin" / "python"
    sources = folder / "source"  # a build leaves build/ and *.egg-info beside the sources
    shutil.copytree(ROOT, sources, ignore=shutil.ignore_patterns(".git", ".venv", "build", "*.egg-info", "__pycache__"))
    run("uv", "venv", "--quiet", "--python", python, environment)
    # build tools at their newest: the lower bounds are about what runs
    run("uv", "pip", "install", "--quiet", "--python", inside, "--resolution", RESOLUTIONS[name], f"{sources}[test]")
    run("uv", "pip", "freeze", "--python", inside)
    run(inside, "-W", "ignore", "-c", IMPORT_ALL, cwd=folder)
    chosen = [ROOT / test for test in tests] or [ROOT / "tests"]
    run(inside, "-m", "pytest", "-c", ROOT / "pyproject.toml", "-p", "no:cacheprovider", *chosen, cwd=folder)


def run(*command: str | Path, cwd: Path | None = None) -> None:
    """Run a command of which nothing comes back but its output.

    Args:
        command: Program and arguments.
        cwd: Where; here if None.

    Raises:
        subprocess.CalledProcessError: It failed.
    """
    print("==", " ".join(str(part) for part in command if "\n" not in str(part)), flush=True)
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    subprocess.run([str(part) for part in command], check=True, cwd=cwd, env=environment)


if __name__ == "__main__":
    sys.exit(main())
