"""Fixtures: hand-made model folders and volumes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import SimpleITK as sitk
from toy_model import toy_volume, write_model_folder


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A 2D model trained in PIR."""
    return write_model_folder(tmp_path_factory.mktemp("models") / "nnUNetTrainer__nnUNetPlans__2d")


@pytest.fixture(scope="session")
def make_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Make other model folders."""
    return lambda **kinds: write_model_folder(tmp_path_factory.mktemp("model") / "m", **kinds)


@pytest.fixture
def volume() -> sitk.Image:
    """One PIR volume."""
    return toy_volume()
