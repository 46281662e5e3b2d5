"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Before torch is imported here or in any process the tests start: tensors are tiny, and threads that wait for each
# other on two busy cores cost far more than they bring.
os.environ.setdefault("OMP_NUM_THREADS", "1")

pytest_plugins = ["tiny_dataset", "tiny_findings", "tiny_partial"]

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder with the real MRI the tests may read, found beside the project or through TEXTGUIDED_REAL_DATA."""
    candidates = [os.environ.get("TEXTGUIDED_REAL_DATA"), ROOT.parent / "shared" / "data"]
    for candidate in candidates:
        if candidate and Path(candidate).is_dir():
            return Path(candidate)
    pytest.skip("no real data: set TEXTGUIDED_REAL_DATA to the folder that holds spider_mini, hippocampus, ...")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run every test away from the checkout: `python -m` then finds the installed package, as users have it."""
    monkeypatch.chdir(tmp_path)
