from __future__ import annotations

import pytest

from nnunet_textguided.errors import UserError
from nnunet_textguided.text.prompts import DEFAULT_TEMPLATES, build_prompts, modality_from_channel_names


@pytest.mark.parametrize(
    ("channels", "modality"),
    [
        (["T1", "T2"], "T1- and T2-weighted MRI"),
        (["t2", "t2_SPACE"], "T2-weighted MRI"),
        (["T1w"], "T1-weighted MRI"),
        (["MRI"], "MRI"),
        (["MR"], "MRI"),
        (["CT"], "CT"),
        (["CT", "PET"], "CT and PET"),
        (["T1", "T2", "FLAIR"], "T1- and T2-weighted MRI and FLAIR MRI"),
        (["noNorm"], "medical image"),
        (["T1", "rescale_0_1"], "medical image"),
        (["R", "G", "B"], "medical image"),
        ([], "medical image"),
    ],
)
def test_modality_is_named_from_the_channels(channels, modality):
    assert modality_from_channel_names({str(i): name for i, name in enumerate(channels)}) == modality


def test_templates_are_filled():
    assert build_prompts("sacrum", "CT", ["{modality} of the {term}", "{term}"]) == ["CT of the sacrum", "sacrum"]
    prompts = build_prompts("sacrum", "CT")
    assert len(set(prompts)) == len(DEFAULT_TEMPLATES)
    assert all("sacrum" in prompt and "{" not in prompt for prompt in prompts)


def test_a_term_with_braces_stays_as_it_is():
    assert build_prompts("{modality}", "CT", ["the {term}"]) == ["the {modality}"]


@pytest.mark.parametrize("template", ["a scan", "{Term}", "{modality}", "{term} {level}", "{term", "{term} {}", ""])
def test_unusable_templates_are_named(template):
    with pytest.raises(UserError, match="template"):
        build_prompts("sacrum", "CT", ["{term}", template])


def test_no_template_and_a_bare_text_are_errors():
    with pytest.raises(UserError, match="at least one"):
        build_prompts("sacrum", "CT", [])
    with pytest.raises(UserError, match="list"):
        build_prompts("sacrum", "CT", "{term}")
