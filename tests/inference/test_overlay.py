from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from nnunet_textguided.errors import UserError
from nnunet_textguided.inference.draw import draw_folder
from nnunet_textguided.inference.draw import main as draw_main
from nnunet_textguided.inference.name_tags import choose_sides, place_tags, spread
from nnunet_textguided.inference.overlay import choose_slice, colour, draw_overlay

NAMES = {1: "lower", 2: "middle", 3: "upper"}


def _stack() -> np.ndarray:
    labels = np.zeros((3, 60, 40), dtype=np.uint8)
    labels[1, 40:50, 15:25], labels[1, 28:38, 15:25], labels[1, 16:26, 15:25] = 1, 2, 3
    labels[2, 40:42, 15:17] = 1
    return labels


def _pixels(file: Path) -> np.ndarray:
    from matplotlib import image

    return image.imread(file)


def test_slice_with_most_labels_is_chosen_and_the_middle_without_any():
    assert choose_slice(3, _stack(), None) == 1
    assert choose_slice(3, np.zeros((3, 4, 4)), np.roll(_stack(), 1, axis=0)) == 2
    assert choose_slice(5, None, None) == 2


def test_panels_truth_and_prediction_are_drawn_side_by_side(tmp_path: Path):
    labels, image = _stack(), np.random.default_rng(0).random((3, 60, 40))
    widths = {}
    for count, maps in enumerate([(None, None), (labels, None), (labels, labels)], start=1):
        file = draw_overlay(image, *maps, NAMES, (4.0, 1.0, 1.0), tmp_path / f"{count}.png")
        widths[count] = _pixels(file).shape[1]
    assert widths[2] / widths[1] == pytest.approx(2, rel=0.05)
    assert widths[3] / widths[1] == pytest.approx(3, rel=0.05)
    assert [file.name for file in sorted(tmp_path.iterdir())] == ["1.png", "2.png", "3.png"]  # no temporary left


def test_panel_has_the_aspect_of_the_spacing(tmp_path: Path):
    image = np.zeros((1, 100, 50))
    square = _pixels(draw_overlay(image, None, None, {}, (1, 1.0, 1.0), tmp_path / "a.png")).shape
    wide = _pixels(draw_overlay(image, None, None, {}, (1, 1.0, 2.0), tmp_path / "b.png")).shape
    assert square[0] == wide[0]
    assert wide[1] / square[1] == pytest.approx(2, rel=0.1)


def test_labelled_voxels_are_tinted_and_the_others_stay_grey(tmp_path: Path):
    labels = _stack()
    file = draw_overlay(np.full(labels.shape, 0.5), labels, None, {}, (4.0, 1.0, 1.0), tmp_path / "tint.png")
    pixels = _pixels(file)[..., :3]
    saturated = (pixels.max(axis=-1) - pixels.min(axis=-1)) > 0.15
    half = pixels.shape[1] // 2
    assert not saturated[:, :half].any()  # the panel of the image alone
    share = saturated[:, half:].mean()
    assert share == pytest.approx(300 / 2400, rel=0.25)


@pytest.mark.parametrize(
    ("positions", "gap", "expected"),
    [
        ([10.0, 50.0, 90.0], 5.0, [10.0, 50.0, 90.0]),
        ([50.0, 50.0], 10.0, [45.0, 55.0]),
        ([1.0, 2.0], 10.0, [0.0, 10.0]),
        ([99.0, 100.0], 10.0, [90.0, 100.0]),
        ([0.0, 0.0, 0.0], 80.0, [0.0, 50.0, 100.0]),
        ([], 10.0, []),
    ],
)
def test_positions_move_apart_as_little_as_it_takes(positions: list[float], gap: float, expected: list[float]):
    np.testing.assert_allclose(spread(np.array(positions), gap, 0.0, 100.0), expected)


def test_spread_keeps_gap_order_and_ends_on_random_positions():
    rng = np.random.default_rng(1)
    for _ in range(50):
        positions = np.sort(rng.uniform(0, 100, rng.integers(1, 15)))
        moved = spread(positions, 6.0, 0.0, 100.0)
        assert np.all(np.diff(moved) >= 6.0 - 1e-9)
        assert moved.min() >= -1e-9
        assert moved.max() <= 100 + 1e-9


def test_names_stand_beside_all_labels_and_do_not_overlap():
    labels = np.zeros((100, 80), dtype=int)
    names = {}
    for code in range(1, 15):
        labels[code * 6 : code * 6 + 6, 30:50] = code
        names[code] = f"T{code}/T{code + 1}"
    text_height, letter = 8.0, 1.5
    tags = place_tags(labels, names, text_height, letter)
    assert {tag.code for tag in tags} == set(names)
    boxes = []
    for tag in tags:
        width = letter * len(names[tag.code])
        start = tag.column - width if tag.align == "right" else tag.column
        assert start >= 0
        assert start + width <= 80
        assert start + width <= 30 or start >= 49  # outside the coloured column
        boxes.append((tag.row - text_height / 2, tag.row + text_height / 2, start, start + width))
    for index, first in enumerate(boxes):
        for second in boxes[index + 1 :]:
            apart = first[1] <= second[0] + 1e-6 or second[1] <= first[0] + 1e-6
            assert apart or first[3] <= second[2] or second[3] <= first[2]


def test_a_name_points_at_the_largest_piece_of_its_structure():
    labels = np.zeros((40, 40), dtype=int)
    labels[10:20, 10:20], labels[30:32, 35:37] = 1, 1
    (tag,) = place_tags(labels, {0: "background", 1: "L4"}, 3.0, 1.0)
    assert tag.anchor == (14.5, 14.5)


def test_names_keep_their_side_in_a_prediction_that_misses_a_structure():
    truth = _stack()[1]
    prediction = np.where(truth == 2, 0, truth)
    prediction[55:58, 30:33] = 4
    sides = choose_sides(truth, prediction)
    assert sides == {3: "right", 2: "left", 1: "right", 4: "right"}
    tags = place_tags(prediction, NAMES, 3.0, 1.0, sides)
    assert {tag.code: tag.align for tag in tags} == {1: "right", 3: "right"}


def test_colours_of_20_structures_differ():
    colours = np.array([colour(code) for code in range(1, 21)])
    distances = np.linalg.norm(colours[:, None] - colours[None], axis=-1) + 2 * np.eye(20)
    assert distances.min() > 0.05
    assert min(distances[code, code + 1] for code in range(19)) > 0.3


def test_arrays_of_other_shapes_are_refused(tmp_path: Path):
    with pytest.raises(UserError, match="differ in shape"):
        draw_overlay(np.zeros((3, 60, 41)), _stack(), None, NAMES, (1, 1, 1), tmp_path / "x.png")
    with pytest.raises(UserError, match="3D image"):
        draw_overlay(np.zeros((60, 41)), None, None, NAMES, (1, 1, 1), tmp_path / "x.png")
    assert not list(tmp_path.iterdir())


@pytest.fixture
def predicted(tmp_path: Path) -> Path:
    sitk = pytest.importorskip("SimpleITK")
    for folder, suffix in (("images", "_0000"), ("images", "_0001"), ("truth", ""), ("predictions", "")):
        (tmp_path / folder).mkdir(exist_ok=True)
        for case in ("a", "b"):
            sitk.WriteImage(sitk.GetImageFromArray(_stack()), str(tmp_path / folder / f"{case}{suffix}.nii.gz"))
    labels = {"background": 0, "lower": 1, "middle": 2, "upper": 3, "ignore": 4}
    (tmp_path / "predictions" / "dataset.json").write_text(json.dumps({"labels": labels, "file_ending": ".nii.gz"}))
    return tmp_path


def test_a_folder_of_predictions_is_drawn_case_by_case(predicted: Path):
    written = draw_folder(
        predicted / "images", predicted / "truth", predicted / "predictions", predicted / "out", channel=1
    )
    assert [file.name for file in written] == ["a.png", "b.png"]
    assert all(file.stat().st_size > 5000 for file in written)


def test_missing_truth_is_named(predicted: Path, capsys: pytest.CaptureFixture[str]):
    (predicted / "truth" / "b.nii.gz").unlink()
    folders = [str(predicted / name) for name in ("images", "truth", "predictions", "out")]
    assert draw_main(folders) == 2
    assert "b.nii.gz" in capsys.readouterr().err
