"""Findings must cost prediction next to nothing: the network's stage, timed in turns."""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from toy_model import make_text_guided

from nnunet_textguided.architectures import NetworkSpec, build_text_guided_network
from nnunet_textguided.inference.finding_predictor import FindingPredictor

STRUCTURES, FINDINGS, CASES = 19, 5, 20
ALLOWED = 1.05


@pytest.fixture
def predictors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[nnUNetPredictor]:
    """nnU-Net's predictor and ours, around one network of the lumbar spine's size for slices of 288 x 160."""
    monkeypatch.setenv("nnUNet_compile", "f")
    folder = make_text_guided(tmp_path / "model")
    plans = json.loads((folder / "plans.json").read_text())
    plans["configurations"]["2d"]["patch_size"] = [288, 160]
    dataset_json = json.loads((folder / "dataset.json").read_text())
    dataset_json["labels"] = {"background": 0} | {f"s{code}": code for code in range(1, STRUCTURES + 1)}
    spec = NetworkSpec(
        encoder="convnextv2_atto",
        input_channels=2,
        num_classes=1 + STRUCTURES,
        num_findings=FINDINGS,
        embedding_dim=64,
        pool_op_kernel_sizes=((1, 1), *5 * ((2, 2),)),
        deep_supervision=False,
    )
    network = build_text_guided_network(spec)
    manager = PlansManager(plans)
    made = []
    for kind in (nnUNetPredictor, FindingPredictor):
        predictor = kind(device=torch.device("cpu"), allow_tqdm=False)
        configuration = manager.get_configuration("2d")
        weights = [network.state_dict()]
        predictor.manual_initialization(network, manager, configuration, weights, dataset_json, "T", None)
        made.append(predictor)
    return made


@pytest.mark.slow
def test_the_network_stage_takes_at_most_five_percent_longer_with_findings(predictors: list[nnUNetPredictor]):
    generator = torch.Generator().manual_seed(0)
    seconds = np.zeros((CASES + 1, 2))
    for case in range(CASES + 1):
        image = torch.randn(2, 12, 288, 160, generator=generator)
        for which in (0, 1) if case % 2 else (1, 0):
            start = time.perf_counter()
            predictors[which].predict_logits_from_preprocessed_data(image)
            seconds[case, which] = time.perf_counter() - start
    stock, ours = seconds[1:].T  # the first case warms up
    ratio = float(np.median(ours / stock))
    logging.getLogger(__name__).info("nnU-Net %.3f s, with findings %.3f s: %.3f", stock.mean(), ours.mean(), ratio)
    assert ratio <= ALLOWED
