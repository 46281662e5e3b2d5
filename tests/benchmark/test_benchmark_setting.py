"""What is measured is settled before anything is built."""

from __future__ import annotations

import pytest
import torch

from nnunet_textguided.benchmark.setting import Effort, with_reference
from nnunet_textguided.comparison.grid import System
from nnunet_textguided.errors import UserError

OURS, STOCK = System("Ours", "TextGuidedTrainer", ("P",)), System("U", "nnUNetTrainer", ("Q",))


def test_reference_is_nnunet_on_the_plans_of_the_first_system():
    assert with_reference([OURS], None) == ((System("nnU-Net", "nnUNetTrainer", ("P",)), OURS), "nnU-Net")


def test_nnunet_among_the_systems_is_the_reference_and_comes_first():
    assert with_reference([OURS, STOCK], None) == ((STOCK, OURS), "U")


def test_reference_can_be_named():
    assert with_reference([STOCK, OURS], "Ours") == ((OURS, STOCK), "Ours")


@pytest.mark.parametrize(
    ("systems", "reference", "words"),
    [
        ([], None, "--systems"),
        ([OURS], "other", "none of the systems: Ours"),
        ([System("S", "T", ("P", "Q"))], None, "one plans identifier"),
    ],
)
def test_what_cannot_be_measured_is_refused(systems, reference, words):
    with pytest.raises(UserError, match=words):
        with_reference(systems, reference)


def test_a_gpu_has_nnunets_own_effort_and_what_is_given_wins():
    gpu = Effort.for_device(torch.device("cuda"), rounds=3, epochs=None)
    assert (gpu.rounds, gpu.epochs, gpu.iterations) == (3, 5, 250)
    assert Effort.for_device(torch.device("cpu")).iterations < 10


def test_no_rounds_are_refused():
    with pytest.raises(UserError, match="--rounds"):
        Effort.for_device(torch.device("cpu"), rounds=0)


@pytest.mark.parametrize(
    ("changed", "words"),
    [({"classes": (0,)}, "--classes"), ({"workers": (-1,)}, "--workers"), ({"configuration": "4d"}, "4d")],
)
def test_setting_is_checked(make_setting, changed, words):
    with pytest.raises(UserError, match=words):
        make_setting(**changed)


def test_setting_knows_dimensions_and_encoders(make_setting):
    setting = make_setting(configuration="3d_fullres")
    assert setting.dimensions == 3
    assert [setting.encoder_of(system) for system in setting.systems] == ["convnextv2_atto"] * 2
