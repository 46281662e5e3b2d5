from __future__ import annotations

import copy
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk
import torch
from tiny_dataset import SMALL
from tiny_findings import FINDINGS

from nnunet_textguided.errors import UserError
from nnunet_textguided.findings.annotations import Annotation, write_findings
from nnunet_textguided.trainers import TextGuidedTrainer, VisualOnlyTrainer
from nnunet_textguided.trainers.finding_targets import install_findings
from nnunet_textguided.trainers.finding_training import SegmentationAndFindingLoss
from nnunet_textguided.trainers.plan import choose_findings, write_text_guided_plans


def test_findings_of_the_data_set_are_in_the_plans_and_the_bank(make_trainer, finding_plans: str):
    trainer = make_trainer(TextGuidedTrainer, plans=finding_plans)
    trainer.initialize()
    assert trainer.guidance.findings == FINDINGS
    assert trainer.network.queries.num_findings == 2
    assert trainer.class_vectors.shape[0] == 3 + 2


@pytest.mark.parametrize("configuration", ["2d", "3d_fullres"])
@pytest.mark.parametrize("trainer_class", [TextGuidedTrainer, VisualOnlyTrainer])
def test_a_step_teaches_structures_and_findings(make_trainer, finding_plans: str, trainer_class, configuration: str):
    trainer = make_trainer(trainer_class, plans=finding_plans, configuration=configuration)
    trainer.initialize()
    patch = trainer.configuration_manager.patch_size
    labels = torch.zeros(2, 1, *patch)
    labels[..., 4:12, 4:20], labels[..., 14:20, 4:20] = 2, 3
    target = [labels[..., :: round(1 / s[-2]), :: round(1 / s[-1])] for s in trainer._get_deep_supervision_scales()]
    batch = {"data": torch.randn(2, 1, *patch), "target": target, "keys": ["case_01", "case_02"]}
    before = {name: p.detach().clone() for name, p in trainer.network.named_parameters()}
    first = float(trainer.train_step(copy.deepcopy(batch))["loss"])
    changed = {name for name, p in trainer.network.named_parameters() if not torch.equal(p, before[name])}
    assert "query_decoder.to_mask.weight" in changed
    losses = [float(trainer.train_step(copy.deepcopy(batch))["loss"]) for _ in range(8)]
    assert min(losses) < first


def test_the_loss_is_nnunets_plus_that_of_the_cases_findings(make_trainer, finding_plans: str):
    trainer = make_trainer(TextGuidedTrainer, plans=finding_plans)
    trainer.initialize()
    loss = trainer.loss
    assert isinstance(loss, SegmentationAndFindingLoss)
    labels = torch.zeros(2, 1, 32, 32)
    labels[:, :, 4:20, 4:20] = 3
    scales = trainer._get_deep_supervision_scales()
    target = [labels[:, :, :: round(1 / s[0]), :: round(1 / s[1])] for s in scales]
    outputs = [torch.randn(2, 4, *t.shape[2:]) for t in target] + [torch.randn(2, 2, 32, 32)]
    loss.announce(["case_00", "case_01"])
    known = loss.targets.of_batch(["case_00", "case_01"], torch.device("cpu"))
    expected = loss.segmentation(outputs[:-1], target) + 0.02 * loss.findings(outputs[-1], labels[:, 0], known)
    assert loss(outputs, target).item() == pytest.approx(expected.item(), rel=1e-6)
    assert known.status[:, 2, 0].tolist() == [0, 1]  # bulge of the disc
    assert known.status[:, 0].tolist() == [[-1, -1], [-1, -1]]  # the sacrum was not assessed


@pytest.mark.parametrize("configuration", ["2d", "3d_fullres"])
def test_marked_places_go_through_nnunets_augmentation_to_the_loss(
    make_trainer, finding_plans: str, annotated: Path, configuration: str
):
    raw = annotated.parent.parent / "nnUNet_raw" / annotated.name / "labelsTr"
    rows = []
    for n in range(12):
        labels = sitk.ReadImage(str(raw / f"case_{n:02d}.nii.gz"))
        shape = sitk.LabelShapeStatisticsImageFilter()
        shape.Execute(labels)
        rows.append(Annotation(f"case_{n:02d}", "L5/S", "bulge", 1, shape.GetCentroid(3)))
    write_findings(rows, annotated / "findings.csv")
    trainer = make_trainer(TextGuidedTrainer, plans=finding_plans, configuration=configuration)
    trainer.initialize()
    trainer.on_train_start()
    seen = 0
    for _ in range(6):
        batch = next(trainer.dataloader_train)
        plain = trainer._announce(batch)
        assert all(level.shape[1] == 1 for level in plain["target"])
        marked = (trainer.loss.points > 0) & (trainer.loss.points & 1 == 1)
        assert (plain["target"][0][:, 0][marked] == 3).float().mean().nan_to_num(1) > 0.9  # the disc moved with them
        seen += int(marked.sum())
    assert seen > 0
    trainer.train_step(batch)


def test_sizes_are_those_of_the_whole_preprocessed_structure(make_trainer, finding_plans: str):
    trainer = make_trainer(TextGuidedTrainer, plans=finding_plans)
    trainer.initialize()
    targets = trainer.loss.targets
    sizes = targets.of_batch(["case_03"], torch.device("cpu")).sizes
    _, segmentation, *_ = targets.sizes.dataset.load_case("case_03")
    assert sizes[0].tolist() == [float(np.sum(np.asarray(segmentation[:]) == code)) for code in (1, 2, 3)]


def test_trained_model_validates_segmentation_and_findings_in_one_pass(make_trainer, finding_plans: str, monkeypatch):
    trainer = make_trainer(TextGuidedTrainer, plans=finding_plans)
    trainer.run_training()
    progress = pd.read_csv(Path(trainer.output_folder) / "findings_progress.csv")
    assert progress.epoch.tolist() == [0, 0, 0, 1, 1, 1]
    passes = []
    plain = type(trainer.network).forward_with_findings
    monkeypatch.setattr(type(trainer.network), "forward", lambda *_: pytest.fail("a second pass"))
    monkeypatch.setattr(
        type(trainer.network), "forward_with_findings", lambda self, x: (passes.append(1), plain(self, x))[1]
    )
    trainer.perform_actual_validation()
    folder = Path(trainer.output_folder) / "validation"
    _, cases = trainer.do_split()
    assert {path.name for path in folder.glob("*.nii.gz")} == {f"{case}.nii.gz" for case in cases}
    assert set(json.loads((folder / "summary.json").read_text())) >= {"foreground_mean", "metric_per_case"}
    table = pd.read_csv(folder / "findings.csv")
    assert set(table.case) == set(cases)
    bulges = table[table.finding == "bulge"]
    assert (bulges.truth == bulges.case.str[-2:].astype(int) % 2).all()
    assert table.probability.between(0, 1).all()
    summary = json.loads((folder / "findings_summary.json").read_text())["findings"]
    assert set(summary) == {"bulge", "fracture", "all findings"} or set(summary) == {"bulge", "all findings"}
    assert summary["bulge"]["n"] == len(cases)
    assert passes


def test_plans_that_choose_no_findings_train_as_before(make_trainer, annotated: Path, results: Path):
    path = write_text_guided_plans(annotated, name="nnUNetPlansNone", options=SMALL)
    trainer = make_trainer(TextGuidedTrainer, plans=path.stem)
    trainer.initialize()
    assert not isinstance(trainer.loss, SegmentationAndFindingLoss)
    assert len(trainer.network(torch.randn(1, 1, 32, 32))) == 5
    for file in annotated.glob("nnUNetPlansNone*"):
        file.unlink()


def test_declared_findings_without_a_file_are_an_error_that_names_both_ways_out(
    make_trainer, finding_plans: str, annotated: Path
):
    (annotated / "findings.csv").unlink()
    with pytest.raises(UserError, match="--findings none") as caught:
        make_trainer(TextGuidedTrainer, plans=finding_plans).initialize()
    assert "findings.csv" in str(caught.value)


def test_plans_for_findings_are_not_written_while_the_file_is_wrong(annotated: Path):
    write_findings([Annotation("case_99", "L5", "fracture", 1)], annotated / "findings.csv")
    with pytest.raises(UserError, match="case_99"):
        write_text_guided_plans(annotated, name="nnUNetPlansWrong", options=SMALL, findings=["all"])
    assert not (annotated / "nnUNetPlansWrong.json").exists()


def test_unknown_case_in_the_file_is_refused_with_its_line(make_trainer, finding_plans: str, annotated: Path):
    write_findings([Annotation("case_99", "L5", "fracture", 1)], annotated / "findings.csv")
    with pytest.raises(UserError, match=r"line 2.*case_99"):
        make_trainer(TextGuidedTrainer, plans=finding_plans).initialize()


def test_changed_findings_of_the_raw_data_set_are_taken_over(tmp_path: Path):
    raw, preprocessed = tmp_path / "raw", tmp_path / "preprocessed"
    raw.mkdir()
    preprocessed.mkdir()
    assert not install_findings(raw, preprocessed)
    write_findings([Annotation("a", "L5", "fracture", 1)], raw / "findings.csv")
    assert install_findings(raw, preprocessed)
    assert not install_findings(raw, preprocessed)
    write_findings([Annotation("a", "L5", "fracture", 0)], raw / "findings.csv")
    assert install_findings(raw, preprocessed)
    assert (preprocessed / "findings.csv").read_bytes() == (raw / "findings.csv").read_bytes()


def test_findings_are_chosen_by_name_and_unknown_ones_refused():
    dataset_json = {"labels": {"background": 0, "S": 1, "L5": 2, "L5/S": 3}, "text_guidance": {"findings": FINDINGS}}
    assert list(choose_findings(dataset_json, ["fracture"])) == ["fracture"]
    assert choose_findings(dataset_json, ["all"]) == FINDINGS
    assert choose_findings(dataset_json, []) == {}
    with pytest.raises(UserError, match=r"'buldge'.*'bulge'"):
        choose_findings(dataset_json, ["buldge"])
