from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_partial import BARE, CUT, IGNORE, WHOLE

from nnunet_textguided.errors import UserError
from nnunet_textguided.trainers import TextGuidedTrainer, VisualOnlyTrainer, nnUNetTrainerMatched
from nnunet_textguided.trainers.lacking import LackingClasses, mask_content
from nnunet_textguided.trainers.marginal_loss import MarginalLoss
from nnunet_textguided.trainers.partial_labels import repeats

BARE_BATCH = (BARE[0], BARE[1])


def batch_of(trainer, cases: tuple[str, ...], code: int) -> dict:
    """Noise, and label maps of one code."""
    torch.manual_seed(0)
    target = torch.full((len(cases), 1, 32, 32), float(code))
    scales = trainer._get_deep_supervision_scales()
    targets = [target[:, :, :: round(1 / s[0]), :: round(1 / s[1])].clone() for s in scales]
    return {"data": torch.randn(len(cases), 1, 32, 32), "target": targets, "keys": np.array(cases)}


def ready(trainer):
    trainer.initialize()
    trainer.get_tr_and_val_datasets()
    return trainer


def log_of(trainer) -> str:
    return Path(trainer.log_file).read_text()


@pytest.mark.parametrize("trainer_class", [TextGuidedTrainer, VisualOnlyTrainer, nnUNetTrainerMatched])
def test_background_of_a_source_without_the_sacrum_may_be_sacrum_in_every_trainer(make_partial_trainer, trainer_class):
    trainer = ready(make_partial_trainer(trainer_class, findings=[]))
    assert isinstance(trainer.loss, MarginalLoss)
    assert (trainer.lacking.of_case(CUT[0]), trainer.lacking.of_case(WHOLE[0])) == ({1}, frozenset())
    assert "source cut does not annotate S; its background may be S;" in log_of(trainer)
    for case, hidden in ((CUT[0], True), (WHOLE[0], False)):
        batch = batch_of(trainer, (case, case), 0)
        trainer.validation_step(batch)  # announces
        outputs = [torch.zeros(2, 4, *level.shape[2:]) for level in batch["target"]]
        lost = trainer.loss(outputs, batch["target"]).item()
        for level in outputs:
            level[:, 1] = 4.0  # sure of the sacrum
        assert (trainer.loss(outputs, batch["target"]).item() > lost) != hidden


def test_a_source_that_leaves_out_what_no_training_case_has_trains_it_as_background(make_partial_trainer):
    trainer = ready(make_partial_trainer(TextGuidedTrainer, fold=1))
    assert trainer.lacking.of_case(CUT[0]) == frozenset()
    assert "background everywhere, as no training case shows it: S" in log_of(trainer)


def test_a_mask_with_what_its_source_leaves_out_is_refused_by_case_and_class(make_partial_trainer):
    trainer = make_partial_trainer(TextGuidedTrainer, missing={"whole": ["S", "L5"]})
    trainer.initialize()
    with pytest.raises(UserError, match=r"whole_0\d: its mask holds L5, S.*Remove the name"):
        trainer.get_tr_and_val_datasets()


def test_missing_names_that_are_no_labels_and_regions_are_refused():
    labels = {"background": 0, "S": 1, "L5": 2, "ignore": 3}
    block = {"text_guidance": {"missing": {"a": ["S"], "b": ["T9", "ignore"]}}}
    with pytest.raises(UserError, match=r"\['T9', 'ignore'\] are not among its labels"):
        LackingClasses.of_dataset({"labels": labels, **block})
    with pytest.raises(UserError, match="regions"):
        LackingClasses.of_dataset({"labels": {**labels, "S": [1, 2]}, "text_guidance": {"missing": {"a": ["S"]}}})


def test_a_fold_without_any_training_mask_is_refused(make_partial_trainer):
    trainer = make_partial_trainer(TextGuidedTrainer, fold=2)
    trainer.initialize()
    with pytest.raises(UserError, match=r"2 training cases of fold 2 has a mask.*splits_final.json"):
        trainer.get_tr_and_val_datasets()


def test_complete_data_sets_are_left_alone(make_trainer, tmp_path, monkeypatch):
    monkeypatch.setenv("nnUNet_results", str(tmp_path))
    trainer = make_trainer(nnUNetTrainerMatched)
    trainer.initialize()
    assert not isinstance(trainer.loss, MarginalLoss)
    monkeypatch.setattr(trainer, "_contents", lambda _: pytest.fail("looked into every case"))
    training, _ = trainer.get_tr_and_val_datasets()
    assert len(set(training.identifiers)) == len(training.identifiers)


@pytest.mark.parametrize(("masked", "bare"), [(1, 0), (1, 1), (3, 2), (2, 3), (10, 11), (201, 1975)])
def test_two_of_three_draws_have_a_mask_and_hardly_more_than_needed(masked: int, bare: int):
    times = repeats(masked, bare)
    assert masked * times >= 2 * bare
    assert times == 1 or masked * (times - 1) < 2 * bare


@pytest.fixture
def one_mask(partial_dataset):
    """Fold 0 trains on one case with a mask, five with findings and none, and one with nothing."""
    files = {name: (partial_dataset / name).read_bytes() for name in ("splits_final.json", "findings.csv")}
    splits = [{"train": [WHOLE[0], *BARE], "val": [CUT[0]]}]
    (partial_dataset / "splits_final.json").write_text(json.dumps(splits))
    rows = [line for line in files["findings.csv"].decode().splitlines() if BARE[4] not in line]
    (partial_dataset / "findings.csv").write_text("\n".join(rows))
    yield partial_dataset
    for name, content in files.items():
        (partial_dataset / name).write_bytes(content)


def test_the_loader_draws_from_the_repeated_cases(make_partial_trainer, one_mask):
    trainer = make_partial_trainer(TextGuidedTrainer)
    trainer.initialize()
    training, validation = trainer.get_tr_and_val_datasets()
    assert Counter(training.identifiers) == {WHOLE[0]: 8, **dict.fromkeys(BARE[:4], 1)}
    assert validation.identifiers == [CUT[0]]
    said = "training cases: 1 with a mask, each drawn 8 times as often as others; 4 with findings only; 1 with neither"
    assert said in log_of(trainer)
    train_loader, _ = trainer.get_dataloaders()
    drawn = [case for _ in range(60) for case in next(train_loader)["keys"]]
    assert 0.5 < np.mean(np.array(drawn) == WHOLE[0]) < 0.85


@pytest.mark.parametrize("trainer_class", [TextGuidedTrainer, nnUNetTrainerMatched])
def test_cases_without_masks_are_not_drawn_where_findings_are_not_learned(
    make_partial_trainer, one_mask, trainer_class
):
    trainer = ready(make_partial_trainer(trainer_class, findings=[]))
    training, _ = trainer.get_tr_and_val_datasets()
    assert training.identifiers == [WHOLE[0]]


@pytest.mark.parametrize("trainer_class", [TextGuidedTrainer, nnUNetTrainerMatched])
def test_a_batch_without_masks_has_a_finite_loss_and_no_segmentation_gradient(make_partial_trainer, trainer_class):
    trainer = ready(make_partial_trainer(trainer_class, findings=[]))
    batch = batch_of(trainer, BARE_BATCH, IGNORE)
    for level in batch["target"]:
        level[..., 0] = 0  # as nnU-Net pads
    target = trainer._announce_sources(batch)["target"]
    loss = trainer.loss(trainer.network(batch["data"]), target)
    loss.backward()
    assert loss.isfinite()
    gradients = {name: parameter.grad for name, parameter in trainer.network.named_parameters()}
    reached = {name for name, gradient in gradients.items() if gradient is not None}
    masked = batch_of(trainer, (WHOLE[0], WHOLE[1]), 2)
    trainer.optimizer.zero_grad(set_to_none=True)
    trainer._announce_sources(masked)
    trainer.loss(trainer.network(masked["data"]), masked["target"]).backward()
    assert reached == {name for name, p in trainer.network.named_parameters() if p.grad is not None}  # DDP needs them
    assert all(not gradients[name].any() for name in reached)


def test_findings_train_where_the_segmentation_does_not(make_partial_trainer):
    trainer = ready(make_partial_trainer(TextGuidedTrainer))
    batch = batch_of(trainer, BARE_BATCH, IGNORE)
    for level in batch["target"]:
        level[:, :, : level.shape[2] // 2] = IGNORE + 3  # a cell of the disc
    no_marks = [torch.zeros_like(level) for level in batch["target"]]
    batch["target"] = [torch.cat(level, 1).short() for level in zip(batch["target"], no_marks, strict=True)]
    before = {name: p.detach().clone() for name, p in trainer.network.named_parameters()}
    result = trainer.train_step(batch)
    assert np.isfinite(result["loss"])
    assert trainer.loss.findings.last.asked[:, 2, 0].all()
    assert any(not torch.equal(p, before[name]) for name, p in trainer.network.named_parameters())


def test_what_no_case_of_a_batch_annotates_is_no_false_positive(make_partial_trainer, monkeypatch):
    trainer = ready(make_partial_trainer(TextGuidedTrainer, findings=[]))
    sure = [torch.zeros(2, 4, *level.shape[2:]) for level in batch_of(trainer, BARE_BATCH, 0)["target"]]
    for level in sure:
        level[:, 1, :4], level[:, 2, 4:] = 9.0, 9.0
    monkeypatch.setattr(trainer.network, "forward", lambda _: sure)
    false = {
        cases: trainer.validation_step(batch_of(trainer, cases, 0))["fp_hard"].tolist()
        for cases in ((CUT[0], CUT[1]), (CUT[0], WHOLE[0]))
    }
    top, rest = 2 * 4 * 32, 2 * 28 * 32
    assert false == {(CUT[0], CUT[1]): [0, rest, 0], (CUT[0], WHOLE[0]): [top, rest, 0]}


def test_content_of_masks_without_the_ignore_label():
    locations = {1: np.ones((3, 4)), 2: [], (-1, 0, 1, 2): np.ones((5, 4))}
    assert mask_content({"class_locations": locations}) == {1}
    assert mask_content({"class_locations": {1: [], (-1, 0, 1): np.ones((5, 4))}}) == frozenset()
    assert mask_content({"class_locations": {1: [], (-1, 0, 1): []}}) is None
    assert mask_content({"class_locations": {1: [], 2: []}}, has_ignore_label=False) == frozenset()


def test_sizes_of_what_the_mask_does_not_tell_are_the_usual_ones(make_partial_trainer, partial_dataset):
    trainer = ready(make_partial_trainer(TextGuidedTrainer))
    targets = trainer.loss.targets

    def counts(case: str) -> list[float]:
        _, segmentation, *_ = targets.sizes.dataset.load_case(case)
        return [float((np.asarray(segmentation[:]) == code).sum()) for code in (1, 2, 3)]

    device = torch.device("cpu")
    whole, cut, bare = targets.of_batch([WHOLE[0], CUT[0], BARE[0]], device).sizes.tolist()
    sacrum = float(np.median([counts(case)[0] for case in WHOLE]))
    assert whole == counts(WHOLE[0])
    assert cut == pytest.approx([sacrum, *counts(CUT[0])[1:]], rel=1e-4)
    everywhere = [np.median([counts(case)[k] for case in (*WHOLE, *CUT) if counts(case)[k]]) for k in range(3)]
    assert bare == pytest.approx(everywhere, rel=1e-4)
    gaps = targets.gaps([WHOLE[0], CUT[0], BARE[0]], 4, device)
    assert gaps.lacking.nonzero().tolist() == [[1, 1]]
    assert gaps.placed.nonzero().tolist() == [[2, 2], [2, 3]]
    assert targets.gaps([WHOLE[0], WHOLE[1]], 4, device) is None
