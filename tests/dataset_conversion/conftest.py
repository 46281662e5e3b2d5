"""Tiny SPIDER trees in odd orientations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from spider_trees import Writer, volume


@pytest.fixture
def spider_source(tmp_path: Path) -> Path:
    source = tmp_path / "source"
    for sub in ("images", "masks"):
        (source / sub).mkdir(parents=True)
    return source


@pytest.fixture
def write_series(spider_source: Path) -> Writer:
    """Write one series with the given source codes at the start of the mask."""

    def write(name: str, codes: tuple[int, ...] = (1, 201, 2), **kwargs: object) -> None:
        intensities = np.arange(4 * 6 * 5, dtype=np.int16).reshape(4, 6, 5)
        mask = np.zeros((4, 6, 5), dtype=np.int16)
        mask.flat[: len(codes)] = codes
        sitk.WriteImage(volume(intensities, **kwargs), str(spider_source / "images" / f"{name}.mha"))
        sitk.WriteImage(volume(mask, **kwargs), str(spider_source / "masks" / f"{name}.mha"))

    return write


@pytest.fixture
def nnunet_raw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("nnUNet_raw", str(tmp_path / "raw"))
    monkeypatch.delenv("nnUNet_preprocessed", raising=False)
    monkeypatch.delenv("nnUNet_results", raising=False)
    return tmp_path / "raw"
