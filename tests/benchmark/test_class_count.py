"""Plans with another number of classes are those of the data set in all but names, findings and bank."""

from __future__ import annotations

import copy

import torch

from nnunet_textguided.benchmark.bench import relabelled
from nnunet_textguided.benchmark.class_count import with_classes, with_encoder
from nnunet_textguided.trainers.guidance import TextGuidance

PLANS = {
    "plans_name": "P",
    "text_guidance": {
        "names": ["L5"],
        "terms": {"L5": "fifth lumbar vertebra"},
        "findings": {"bulge": {"term": "bulging", "applies_to": ["L5"]}},
        "encoder": "convnextv2_atto",
        "encoder_weights": "timm",
        "bank": {"file": "f", "sha256": "0", "embedding_dim": 4},
    },
}
DATASET = {"labels": {"background": 0, "L5": 1}, "text_guidance": {"missing": {}}, "file_ending": ".nii.gz"}


def test_every_structure_has_a_name_a_term_and_a_label():
    plans, dataset = with_classes(PLANS, DATASET, 3)
    guidance = TextGuidance.for_dataset(dataset, plans["text_guidance"])
    assert guidance.names == ["structure 1", "structure 2", "structure 3"]
    assert dataset["labels"] == {"background": 0, "structure 1": 1, "structure 2": 2, "structure 3": 3}
    assert (guidance.findings, guidance.bank, guidance.encoder) == ({}, None, "convnextv2_atto")
    assert dataset["file_ending"] == ".nii.gz"


def test_what_was_given_is_not_changed():
    before = copy.deepcopy((PLANS, DATASET))
    with_classes(with_encoder(PLANS, "convnextv2_tiny"), DATASET, 2)
    assert before == (PLANS, DATASET)


def test_no_weights_are_fetched_and_another_encoder_is_taken():
    assert with_encoder(PLANS, None)["text_guidance"]["encoder"] == "convnextv2_atto"
    block = with_encoder(PLANS, "convnextv2_tiny")["text_guidance"]
    assert (block["encoder"], block["encoder_weights"]) == ("convnextv2_tiny", "none")


def test_labels_of_a_batch_fit_the_number_of_classes_and_marks_are_gone():
    level = torch.tensor([0.0, 1, 4, 5]).reshape(1, 1, 4).repeat(1, 2, 1)
    batch = relabelled({"target": [level], "keys": ["a"]}, classes=2)
    assert batch["target"][0].tolist() == [[[0, 1, 1, 2]]]
    assert batch["keys"] == ["a"]
