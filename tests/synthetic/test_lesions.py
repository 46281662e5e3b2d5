from __future__ import annotations

import numpy as np
import pytest

from nnunet_textguided.synthetic.findings_plan import FINDINGS, PREVALENCE, plan_findings
from nnunet_textguided.synthetic.lesions import AXES_MM
from nnunet_textguided.synthetic.phantom import Phantom, PhantomSpec, generate_phantom
from nnunet_textguided.synthetic.structures import CODES

FINE = PhantomSpec(shape=(6, 400, 200), spacing=(4.0, 0.85, 0.85), full_field_of_view=True)


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return generate_phantom(11, FINE)


def _voxel(phantom: Phantom, position: tuple[float, float, float]) -> tuple[int, int, int]:
    left, posterior, superior = np.asarray(position) - phantom.origin_mm
    index = np.array([-left, -superior, posterior]) / np.asarray(phantom.spacing)
    return tuple(np.rint(index).astype(int))


def test_grid_is_the_29_decisions_of_tianchi():
    plan = plan_findings(0)
    assert len(plan) == 29
    assert len({(structure, finding) for structure, finding, _ in plan}) == 29
    assert len(FINDINGS) == 5
    discs = {structure for structure, finding, _ in plan if finding == "disc bulge"}
    assert discs == {"L5/S", "L4/L5", "L3/L4", "L2/L3", "L1/L2", "T12/L1"}
    bones = {structure for structure, finding, _ in plan if finding == "vertebral degeneration"}
    assert bones == {"L1", "L2", "L3", "L4", "L5"}


def test_pooled_prevalence_over_60_patients_is_0_40_to_0_45():
    present = [value for seed in range(60) for _, _, value in plan_findings(seed)]
    assert 0.40 <= np.mean(present) <= 0.45


def test_expected_prevalence_is_0_425():
    expected = sum(PREVALENCE[finding] * len(sites) for finding, (_, sites) in FINDINGS.items()) / 29
    assert expected == pytest.approx(0.425, abs=0.002)


def test_level_alone_says_nothing_about_a_finding():
    counts = dict.fromkeys(FINDINGS["disc bulge"][1], 0)
    for seed in range(600):
        for structure, finding, value in plan_findings(seed):
            if finding == "disc bulge":
                counts[structure] += value
    rates = np.array(list(counts.values())) / 600
    assert np.all(np.abs(rates - 0.5) < 0.08)  # four standard errors


def test_phantom_draws_the_planned_findings(phantom: Phantom):
    assert [(f.structure, f.finding, f.present) for f in phantom.findings] == plan_findings(11)
    assert all((f.position_mm is None) == (f.present == 0) for f in phantom.findings)
    assert len(phantom.lesions) == sum(f.present for f in phantom.findings)


def test_configured_sizes_are_3_to_8_mm_and_drawn_sizes_too():
    for axes in AXES_MM.values():
        assert all(3.0 <= low <= high <= 8.0 for low, high in axes)
    for seed in range(6):
        phantom = generate_phantom(seed, PhantomSpec(shape=(3, 128, 64), spacing=(4.0, 2.7, 2.7)))
        assert all(3.0 <= axis <= 8.0 for lesion in phantom.lesions for axis in lesion.axes)


def test_measured_extent_of_a_lesion_is_its_size(phantom: Phantom):
    measured = 0
    for lesion in phantom.lesions:
        others = [other for other in phantom.lesions if other is not lesion]
        if min(np.linalg.norm(other.centre - lesion.centre) for other in others) < 9:
            continue
        index = _voxel(phantom, tuple(lesion.centre))
        rows, columns = slice(index[1] - 6, index[1] + 7), slice(index[2] - 6, index[2] + 7)
        change = np.abs(phantom.lesion_change[1, index[0], rows, columns])
        area = (change > 0.5 * change.max()).sum() * 0.85**2
        assert area == pytest.approx(np.pi / 4 * lesion.axes[0] * lesion.axes[1], rel=0.25), lesion
        measured += 1
    assert measured >= 5


def test_contrast_to_noise_is_at_most_2_everywhere_and_every_lesion_is_drawn(phantom: Phantom):
    for channel in range(2):
        ratio = np.abs(phantom.lesion_change[channel]) / phantom.noise_sd[channel]
        assert ratio.max() <= 2.0
        for lesion in phantom.lesions:
            z, y, x = _voxel(phantom, tuple(lesion.centre))
            assert ratio[max(z - 1, 0) : z + 2, y - 2 : y + 3, x - 2 : x + 3].max() > 1.0, lesion


def test_contrast_to_noise_measured_in_noisy_volumes_is_at_most_2(monkeypatch: pytest.MonkeyPatch):
    from nnunet_textguided.synthetic import phantom as module

    with_lesions = [generate_phantom(seed, FINE) for seed in range(2)]
    monkeypatch.setattr(module, "draw_lesions", lambda _, __, labels, ___: np.zeros((2, *labels.shape), np.float32))
    without = [generate_phantom(seed, FINE) for seed in range(2)]
    ratios = []
    for drawn, plain in zip(with_lesions, without, strict=True):
        assert np.array_equal(drawn.labels, plain.labels)
        for channel, (lesion_image, image) in enumerate([(drawn.t1, plain.t1), (drawn.t2, plain.t2)]):
            changed = drawn.lesion_change[channel] != 0
            assert np.array_equal(lesion_image[~changed], image[~changed])  # nothing but lesions differs
            for lesion in drawn.lesions:
                z, y, x = _voxel(drawn, tuple(lesion.centre))
                box = (z, slice(y - 3, y + 4), slice(x - 3, x + 4))
                inside = changed[box]
                difference = lesion_image[box][inside].mean() - image[box][inside].mean()
                ratios.append(abs(difference) / drawn.noise_sd[channel])
    assert len(ratios) > 30
    assert max(ratios) <= 2.0
    assert np.median(ratios) > 0.8  # low, but there


def test_stated_noise_is_the_noise_of_the_images(phantom: Phantom):
    for image, noise_sd in ((phantom.t1, phantom.noise_sd[0]), (phantom.t2, phantom.noise_sd[1])):
        pairs = np.diff(image[:, 150:250, 20:40], axis=2)  # neighbours in the abdomen: smooth tissue
        assert np.std(pairs) / np.sqrt(2) == pytest.approx(noise_sd, rel=0.1)


@pytest.mark.parametrize("seed", range(3))
def test_lesions_lie_where_their_finding_says(seed: int):
    phantom = generate_phantom(seed, FINE)
    vertebrae = set(range(1, CODES["T9"] + 1))
    for finding in phantom.findings:
        if not finding.present:
            continue
        label = int(phantom.labels[_voxel(phantom, finding.position_mm)])
        if finding.finding == "vertebral degeneration":
            assert label == CODES[finding.structure]
        elif finding.finding == "Schmorl node":
            assert label in vertebrae
        else:
            assert label == 0  # behind the disc, never part of its label
        centre = np.argwhere(phantom.labels == CODES[finding.structure]).mean(axis=0)
        distance = np.linalg.norm((_voxel(phantom, finding.position_mm) - centre) * np.asarray(phantom.spacing))
        assert distance < 32


def test_labels_do_not_depend_on_findings(monkeypatch: pytest.MonkeyPatch):
    from nnunet_textguided.synthetic import phantom as module

    before = generate_phantom(2)
    monkeypatch.setattr(module, "plan_findings", lambda _: [("L4/L5", "disc extrusion", 1)])
    assert np.array_equal(before.labels, generate_phantom(2).labels)
