"""A target is met, missed or not measured; it looks at the right measurement of the right system."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from nnunet_textguided.benchmark.measurement import Measurement
from nnunet_textguided.benchmark.report import figure, measurement_table, page, target_table, write_result
from nnunet_textguided.benchmark.run import PARTS
from nnunet_textguided.benchmark.targets import TARGETS, check_targets

ENCODERS = {"nnU-Net": None, "Ours": "convnextv2_atto.fcmae"}


def step(ratio, system="Ours"):
    return Measurement("step", "training step", system, "s", (1.0,), {}, (ratio,))


def head(share, classes, encoder):
    at = {"classes": classes, "queries": classes + 1, "encoder": encoder}
    return Measurement("classes", "query decoder and masks", "Ours", "share", (share,), at)


def checked(rows, device="cpu", dimensions=2, encoders=ENCODERS):
    return {row["target"]: row for row in check_targets(rows, device, dimensions, encoders)}


def test_a_step_with_findings_is_judged_apart_from_one_of_segmentation_alone():
    with_findings = replace(step(0.5, "Ours, findings"), at={"findings": 8})
    table = checked([step(0.3), with_findings], encoders={**ENCODERS, "Ours, findings": "convnextv2_atto"})
    alone, both = table["training step, CPU, 2D"], table["training step, CPU, 2D, with findings"]
    assert (alone["system"], alone["met"]) == ("Ours", True)
    assert (both["system"], both["met"]) == ("Ours, findings", False)
    assert checked([step(0.3)])["training step, CPU, 2D, with findings"]["met"] is None


def test_nothing_measured_says_nothing():
    table = checked([])
    assert len(table) == len(TARGETS)
    assert {row["met"] for row in table.values()} == {None}


@pytest.mark.parametrize(("ratio", "met"), [(0.35, True), (0.36, False)])
def test_limit_itself_is_met(ratio, met):
    row = checked([step(ratio)])["training step, CPU, 2D"]
    assert (row["measured"], row["met"], row["system"]) == (ratio, met, "Ours")


def test_figures_of_another_device_or_dimension_do_not_count():
    assert checked([step(0.1)], dimensions=3)["training step, CPU, 2D"]["met"] is None
    assert checked([step(0.1)], dimensions=3)["training step, CPU, 3D"]["met"] is True
    assert checked([step(0.1)], device="cuda")["training step, CPU, 2D"]["met"] is None


def test_target_of_the_tiny_encoder_does_not_take_figures_of_atto():
    assert checked([step(0.1)], device="cuda")["training step, GPU"]["met"] is None
    tiny = {**ENCODERS, "Ours": "convnextv2_tiny"}
    assert checked([step(0.1)], device="cuda", encoders=tiny)["training step, GPU"]["met"] is True


def test_reference_is_no_system_to_meet_a_target():
    assert checked([step(0.1, "nnU-Net")])["training step, CPU, 2D"]["met"] is None


def test_share_of_the_head_is_taken_at_its_own_number_of_classes_and_encoder():
    rows = [head(0.05, 24, "convnextv2_atto"), head(0.3, 200, "convnextv2_atto"), head(0.02, 24, "convnextv2_tiny")]
    table = {name: row["met"] for name, row in checked(rows).items() if name.startswith("query decoder")}
    assert table["query decoder and masks, convnextv2_atto, 2D, 25 queries: share of a step"] is True
    assert table["query decoder and masks, convnextv2_atto, 2D, 201 queries: share of a step"] is False
    assert table["query decoder and masks, convnextv2_tiny, 2D, 25 queries: share of a step"] is True
    assert table["query decoder and masks, convnextv2_tiny, 2D, 201 queries: share of a step"] is None


def test_of_several_systems_the_worst_counts():
    table = checked([step(0.3), step(0.5, "Visual")], encoders={**ENCODERS, "Visual": "convnextv2_atto"})
    assert (table["training step, CPU, 2D"]["system"], table["training step, CPU, 2D"]["met"]) == ("Visual", False)


def predicted(ratio, findings):
    return Measurement("predict", "whole predict", "Ours", "s", (1.0,), {"cases": 1, "findings": findings}, (ratio,))


def test_a_prediction_without_findings_is_not_the_one_that_is_meant():
    name = "whole predict, equal mirror axes, findings included"
    assert checked([predicted(0.1, 0)])[name]["met"] is None
    row = checked([predicted(0.5, 8), predicted(0.9, 0)])[name]
    assert (row["measured"], row["met"]) == (0.5, True)


@pytest.mark.parametrize(("ratio", "met"), [(1.0, True), (2.0, False)])
def test_export_is_held_against_nnunets_peak_on_every_device(ratio, met):
    quantity, at = "peak memory over one float copy of all classes", {"classes": 20, "resampling": "torch"}
    rows = [Measurement("export", quantity, "Ours", "ratio", (0.95,), at, (ratio,))]
    for device, dimensions in (("cpu", 2), ("cuda", 3)):
        row = checked(rows, device, dimensions)["export of 20 classes: peak memory over that of nnU-Net's"]
        assert (row["measured"], row["met"]) == (ratio, met)


def test_every_target_names_a_part_there_is():
    assert {target.part for target in TARGETS} <= set(PARTS)


def test_tables_say_yes_no_and_not_measured():
    text = target_table(check_targets([step(0.3)], "cpu", 2, ENCODERS))
    assert "| training step, CPU, 2D | at most 0.350 | 0.300 | Ours | yes |" in text
    assert "| training step, GPU | at most 0.600 | - | - | not measured |" in text


def test_measurements_are_printed_with_quartiles_and_conditions():
    row = Measurement("step", "training step", "Ours", "s", (1.0, 2.0, 3.0), {"classes": 4}, (0.1, 0.2, 0.3))
    line = measurement_table([row.to_json()]).splitlines()[-1]
    expected = "| training step | classes 4 | Ours | 2.00 (1.50 to 2.50) s | 3 | 0.200 (0.150 to 0.250) |"
    assert line == expected


@pytest.mark.parametrize(("value", "text"), [(0, "0"), (1234.5, "1234"), (0.0123456, "0.0123"), (12.3, "12.3")])
def test_three_digits_count(value, text):
    assert figure(value) == text


def test_page_and_json_lie_beside_each_other(tmp_path):
    about = {"dataset": "D", "configuration": "2d", "device": "cpu", "patch_size": [8, 8], "batch_size": 2}
    about |= {"threads": 1, "hardware": {"processor": "P"}}
    systems = {"Ours": {"trainer": "T", "plans": "P", "encoder": "convnextv2_atto", "findings": 8}}
    result = {"provenance": about, "systems": systems, "reference": "Ours", "parts": ["step", "compilation"]}
    result |= {"measurements": [step(0.3).to_json()], "targets": check_targets([], "cpu", 2, ENCODERS)}
    written = write_result(result, tmp_path / "v1.0" / "benchmark_cpu")
    assert [path.name for path in written] == ["benchmark_cpu.json", "benchmark_cpu.md"]
    assert json.loads(written[0].read_text()) == result
    assert written[1].read_text() == page(result)
    assert "- Ours: `T` with `P`, 8 findings" in page(result)
    assert "## compilation\n\nnot measured on this device." in page(result)
