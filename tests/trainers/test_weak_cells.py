from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch
from tiny_partial import BARE, IGNORE, WHOLE

from nnunet_textguided.errors import UserError
from nnunet_textguided.findings.annotations import Annotation, FindingAnnotations
from nnunet_textguided.trainers import TextGuidedTrainer
from nnunet_textguided.trainers.shared_recipe import seed_everything
from nnunet_textguided.trainers.weak_cells import WeakCells, WeakDataset

CODES = {"L5": 2, "L5/S": 3}
SHAPE = (6, 40, 36)
SPACING = np.array([4.0, 1.0, 2.0])


def reduced(target: torch.Tensor, scale: list[float]) -> torch.Tensor:
    """Every so many rows and columns of (B, C, H, W), as many as a supervised level has."""
    height, width = (round(n * s) for n, s in zip(target.shape[2:], scale, strict=True))
    return target[:, :, :: round(1 / scale[0]), :: round(1 / scale[1])][:, :, :height, :width]


def properties(**changed) -> dict:
    about = {"spacing": (2.0, 1.0, 4.0), "origin": (0.0, 0.0, 0.0), "direction": (1, 0, 0, 0, 1, 0, 0, 0, 1)}
    box = [[0, n] for n in SHAPE]
    return {"sitk_stuff": about, "spacing": list(SPACING), "bbox_used_for_cropping": box, **changed}


def cells_at(*rows: tuple[str, str, int, tuple[float, float, float] | None]) -> WeakCells:
    """Rows of structure, finding, present and voxel (d, h, w)."""
    annotations = [
        Annotation("c", structure, finding, present, None if voxel is None else tuple((voxel * SPACING)[::-1]))
        for structure, finding, present, voxel in rows
    ]
    return WeakCells(FindingAnnotations(annotations), CODES, (0, 1, 2), IGNORE)


def distance_to(*voxels: tuple[float, float, float]) -> np.ndarray:
    """(n, D, H, W) mm."""
    return np.stack([np.linalg.norm((np.indices(SHAPE).T - v) * SPACING, axis=-1).T for v in voxels])


def test_every_voxel_within_reach_belongs_to_its_nearest_mark():
    places = [(2, 10, 20), (3, 24, 18), (3, 38, 30)]
    rows = [("L5", "fracture", 1, places[0]), ("L5/S", "bulge", 0, places[1]), ("L5", "fall", 0, places[2])]
    drawn, marks = cells_at(*rows).draw("c", SHAPE, properties())
    distance = distance_to(*places)
    expected = np.array([2, 3, 2])[distance.argmin(0)] + IGNORE
    expected[distance.min(0) >= 20] = IGNORE
    np.testing.assert_array_equal(drawn, expected)
    assert {IGNORE, IGNORE + 2, IGNORE + 3} == set(np.unique(drawn))
    assert [(code, voxel.tolist()) for code, voxel in marks] == [(2, [2, 10, 20]), (3, [3, 24, 18]), (2, [3, 38, 30])]


def test_marks_outside_the_image_draw_what_reaches_in():
    drawn, _ = cells_at(("L5", "fracture", 1, (2, -10, 20)), ("L5/S", "bulge", 1, (2, 400, 20))).draw(
        "c", SHAPE, properties()
    )
    np.testing.assert_array_equal(drawn == IGNORE + 2, distance_to((2, -10, 20))[0] < 20)
    assert not (drawn == IGNORE + 3).any()


def test_rows_without_a_point_mark_nothing():
    cells = cells_at(("L5", "fracture", 1, None))
    assert not cells.any()
    assert cells.placed("c") == frozenset()
    absent = cells_at(("L5", "fracture", 0, (2, 10, 20)))
    assert absent.any()
    assert absent.placed("c") == {2}


def test_images_without_world_coordinates_are_refused_by_case():
    bare = properties()
    del bare["sitk_stuff"]
    with pytest.raises(UserError, match=r"^c: .*world coordinates"):
        cells_at(("L5", "fracture", 1, (2, 10, 20))).draw("c", SHAPE, bare)


def test_targets_get_their_ignore_label_back():
    cells = cells_at(("L5", "fracture", 1, (2, 10, 20)))
    level = torch.tensor([0, 3, IGNORE, IGNORE + 2, IGNORE + 3], dtype=torch.int16).view(1, 1, 5)
    target, codes = cells.split([level, level[..., ::2]])
    assert [part.flatten().tolist() for part in target] == [[0, 3, 4, 4, 4], [0, 4, 4]]
    assert codes.tolist() == [[0, 0, 0, 2, 3]]


class Plain:
    """Stands for nnU-Net's data set: one case with the annotated voxels given."""

    identifiers = ("c",)

    def __init__(self, annotated: int) -> None:
        self.annotated = annotated

    def load_case(self, identifier: str):
        locations = {1: [], 2: [], 3: [], (-1, 0, 1, 2, 3): np.zeros((self.annotated, 4), int)}
        return np.zeros((1, *SHAPE)), np.full((1, *SHAPE), IGNORE), None, properties(class_locations=locations)


def test_cases_without_a_mask_get_cells_and_places_to_centre_patches_on():
    cells = cells_at(("L5", "fracture", 1, (2, 10, 20)), ("L5", "fall", 0, (1, 9, 8)), ("L5/S", "bulge", 1, (9, 0, 0)))
    dataset = WeakDataset(Plain(0), cells)
    assert dataset.identifiers == ("c",)
    for one in (dataset, copy.deepcopy(dataset), pickle.loads(pickle.dumps(dataset))):
        _, segmentation, previous, content = one.load_case("c")
        assert segmentation.shape == (1, *SHAPE)
        assert segmentation[0, 2, 10, 20] == IGNORE + 2
        assert previous is None
        assert content["class_locations"][2].tolist() == [[0, 2, 10, 20], [0, 1, 9, 8]]
        assert len(content["class_locations"][3]) == 0  # outside the image


def test_cases_with_a_mask_stay_as_they_are():
    dataset = WeakDataset(Plain(1), cells_at(("L5", "fracture", 1, (2, 10, 20))))
    _, segmentation, _, content = dataset.load_case("c")
    assert (segmentation == IGNORE).all()
    assert content["class_locations"][2] == []


def test_cells_go_through_nnunets_augmentation_to_the_findings_and_not_to_the_segmentation(make_partial_trainer):
    trainer = make_partial_trainer(TextGuidedTrainer)
    trainer.initialize()
    seed_everything(0)
    trainer.on_train_start()
    drawn, at_marks = {2: 0, 3: 0}, []
    for _ in range(12):
        batch = next(trainer.dataloader_train)
        plain = trainer._announce(batch)
        cells, marked = trainer.loss.cells, (trainer.loss.points > 0) & (trainer.loss.points & 1 == 1)
        for row, case in enumerate(batch["keys"]):
            codes = set(torch.cat([level[row].flatten() for level in plain["target"]]).tolist())
            if case in BARE:
                assert codes <= {IGNORE, 0}  # 0 beyond the image's edge
                drawn = {code: count + int((cells[row] == code).sum()) for code, count in drawn.items()}
                at_marks += cells[row][marked[row]].tolist()
            else:
                assert codes <= {0, 1, 2, 3}
                assert not cells[row].any()
        trainer.train_step(batch)
    assert min(drawn.values()) > 100
    assert np.mean(np.array(at_marks) == 3) > 0.9  # marked bulges turned and moved with the disc's cell


def test_pooled_decisions_of_unmasked_cases_are_those_of_their_marked_structures(make_partial_trainer):
    trainer = make_partial_trainer(TextGuidedTrainer)
    trainer.initialize()
    _, dataset = trainer.get_tr_and_val_datasets()
    case = BARE[4]
    data, segmentation, marks, _ = dataset.load_case(case)
    labels = torch.from_numpy(np.stack([segmentation[0, 3], marks[3]]))[None]  # the slice of the marks
    scales = trainer._get_deep_supervision_scales()
    target = [reduced(labels, scale) for scale in scales]
    batch = {"data": torch.from_numpy(np.asarray(data[:, 3]))[None], "target": target, "keys": [case]}
    trainer.on_validation_epoch_start()
    trainer.validation_step(batch)
    status, asked = trainer.loss.findings.last.status[0], trainer.loss.findings.last.asked[0]
    expected = torch.zeros(3, 2, dtype=torch.bool)  # S, L5, L5/S; bulge, fracture
    expected[2, 0] = expected[1, 1] = True
    assert torch.equal(asked, expected)
    bulges = [a.present for a in trainer.loss.targets.annotations.of_case(case) if a.finding == "bulge"]
    assert status[asked].tolist() == [0, *bulges]


def test_without_points_data_sets_are_nnunets_own(make_partial_trainer, partial_dataset):
    from nnunet_textguided.findings.annotations import write_findings

    saved = (partial_dataset / "findings.csv").read_bytes()
    try:
        write_findings([Annotation(c, "L5", "fracture", 1) for c in (*BARE, *WHOLE)], partial_dataset / "findings.csv")
        trainer = make_partial_trainer(TextGuidedTrainer)
        trainer.initialize()
        for dataset in trainer.get_tr_and_val_datasets():
            assert type(dataset) is trainer.dataset_class
        batch = {"data": torch.randn(2, 1, 32, 32), "keys": [BARE[0], WHOLE[0]]}
        scales = trainer._get_deep_supervision_scales()
        target = torch.full((2, 1, 32, 32), float(IGNORE))
        batch["target"] = [reduced(target, scale) for scale in scales]
        trainer.train_step(batch)
        assert not trainer.loss.findings.last.asked.any()  # an untrained network is sure of nothing
    finally:
        (partial_dataset / "findings.csv").write_bytes(saved)


def test_places_of_absent_findings_alone_make_cells(make_partial_trainer, partial_dataset):
    from nnunet_textguided.findings.annotations import write_findings

    saved = (partial_dataset / "findings.csv").read_bytes()
    try:
        content = [line.split(",") for line in saved.decode().splitlines()[1:]]
        rows = [Annotation(c, s, f, 0, tuple(map(float, p))) for c, s, f, _, *p in content if p[0]]
        write_findings(rows, partial_dataset / "findings.csv")
        trainer = make_partial_trainer(TextGuidedTrainer)
        trainer.initialize()
        trainer.on_train_start()
        assert trainer.loss.targets.points is None
        asked = 0
        for _ in range(4):
            trainer.train_step(next(trainer.dataloader_train))
            asked += int(trainer.loss.findings.last.asked.sum())
        assert asked > 0
    finally:
        (partial_dataset / "findings.csv").write_bytes(saved)
