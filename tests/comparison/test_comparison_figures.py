from __future__ import annotations

import math
import xml.etree.ElementTree
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.patches import PathPatch
from sklearn.metrics import auc, average_precision_score, roc_auc_score
from toy_comparison import LABELS, changed, relabelled, toy_comparison

from nnunet_textguided.comparison.figures.case_lines import case_lines, case_table
from nnunet_textguided.comparison.figures.differences import difference_plot
from nnunet_textguided.comparison.figures.draw_all import draw_figures
from nnunet_textguided.comparison.figures.finding_curves import finding_curves
from nnunet_textguided.comparison.figures.illustration import Illustration, save_illustrations
from nnunet_textguided.comparison.figures.structure_boxes import level_order, structure_boxes
from nnunet_textguided.comparison.figures.style import legend_above, line_handle, new_figure, system_styles
from nnunet_textguided.spine import SPINE_STRUCTURES

ORDER = ["S", "L5/S", "L5", "L4/L5", "L4", "L3/L4", "L3"]


@pytest.fixture(scope="module")
def toy():
    return toy_comparison()


def boxes(axes) -> list[PathPatch]:
    return [patch for patch in axes.patches if isinstance(patch, PathPatch)]


def texts(legend) -> list[str]:
    return [text.get_text() for text in legend.get_texts()]


def test_levels_are_ordered_from_below_and_other_structures_follow():
    assert level_order(["canal", "T9", "L5", "S", "T9/T10", "L5/S"]) == ["S", "L5/S", "L5", "T9/T10", "T9", "canal"]
    assert level_order(["b", "a"]) == ["b", "a"]


def test_every_structure_and_system_has_a_box_at_its_quartiles(toy):
    (axes,) = structure_boxes(toy).figure.axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ORDER
    drawn = {(box.get_gid(), round(np.mean(box.get_path().vertices[:4, 0]))): box for box in boxes(axes)}
    assert len(drawn) == len(LABELS) * len(ORDER)
    for (system, place), box in drawn.items():
        own = toy.structure_cases[toy.structure_cases["system"] == LABELS[int(system.removeprefix("system-"))]]
        values = own.loc[own["structure"] == ORDER[place], "iou"]
        heights = box.get_path().vertices[:, 1]
        assert (heights.min(), heights.max()) == pytest.approx((values.quantile(0.25), values.quantile(0.75)))


def test_few_cases_are_shown_as_points_and_many_are_not():
    def dots(comparison) -> int:
        lines = structure_boxes(comparison).figure.axes[0].lines
        return sum(len(line.get_xdata()) for line in lines if line.get_marker() in ("o", "s", "^"))

    few, many = (toy_comparison(cases=n, findings=False, structures=("S", "L5")) for n in (30, 31))
    assert dots(few) == 30 * len(LABELS) * 2
    assert dots(many) < 31 * len(LABELS) * 2 / 5  # outliers only


def test_absent_structures_draw_no_box_and_no_warning(toy):
    rows = toy.structure_cases.copy()
    rows.loc[(rows["system"] == "nnU-Net") & (rows["structure"] == "S"), "iou"] = np.nan
    assert len(boxes(structure_boxes(changed(toy, structure_cases=rows)).figure.axes[0])) == 3 * len(ORDER) - 1


def test_twelve_systems_look_different_and_break_into_rows_that_hold_every_structure():
    labels = tuple(f"system {number}" for number in range(12))
    assert len(set(system_styles(labels).values())) == 12
    comparison = toy_comparison(labels, cases=4, findings=False, structures=SPINE_STRUCTURES)
    figure = structure_boxes(comparison).figure
    named = [label.get_text() for axes in figure.axes for label in axes.get_xticklabels()]
    assert named == level_order(SPINE_STRUCTURES)
    assert sum(len(boxes(axes)) for axes in figure.axes) == 12 * 19
    assert texts(figure.legends[0]) == list(labels)


def test_legend_stays_within_the_figure_however_long_the_labels():
    figure = new_figure(4)
    labels = [f"a system with quite a long label, number {number}" for number in range(12)]
    legend_above(figure, [line_handle(label, style) for label, style in system_styles(labels).items()])
    figure.canvas.draw()
    box, room = figure.legends[0].get_window_extent(), figure.bbox
    assert (box.x0, box.x1) == (pytest.approx(max(box.x0, 0)), pytest.approx(min(box.x1, room.x1)))


def test_differences_are_drawn_at_their_values_with_intervals_zero_and_p(toy):
    figure = difference_plot(toy).figure
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["mIoU", "mDice", "HD95 (mm)", "ASSD (mm)"]
    for axes, measure in zip(figure.axes, ("miou", "mdice", "hd95_mm", "assd_mm"), strict=True):
        own = toy.statistics[toy.statistics["measure"] == measure]
        zero, *rest = axes.lines
        assert list(zero.get_xdata()) == [0, 0]
        spans, points = rest[::2], rest[1::2]
        assert [list(line.get_xdata()) for line in spans] == own[["low", "high"]].to_numpy().tolist()
        assert [line.get_xdata()[0] for line in points] == own["difference"].tolist()
        assert [text.get_text() for text in axes.texts] == ["P < 0.001"] * 2
        side = "left" if measure.endswith("mm") else "right"
        assert axes.get_xlabel() == f"difference; {side} of 0: Text-guided better"
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == list(LABELS[1:])


def test_finding_differences_show_the_bootstrap_p_as_they_have_no_wilcoxon(toy):
    row = {"measure": "finding_auroc", "system": "Visual only", "difference": 0.1, "low": 0.0, "high": 0.2}
    extra = pd.DataFrame([{**row, "wilcoxon_p_holm": math.nan, "bootstrap_p_holm": 0.042}])
    figure = difference_plot(changed(toy, statistics=pd.concat([toy.statistics, extra]))).figure
    shown = {axes.get_title(loc="left"): [text.get_text() for text in axes.texts] for axes in figure.axes}
    assert shown["AUROC of findings"] == ["P = 0.042", "P = -"]  # nnU-Net has no findings


def test_no_statistics_no_difference_plot():
    assert difference_plot(toy_comparison(cases=1, findings=False)) is None
    assert difference_plot(toy_comparison(("alone",), cases=5, findings=False)) is None


def test_case_lines_pass_through_every_case_in_the_order_of_the_reference(toy):
    (axes,) = case_lines(toy).figure.axes
    wide = toy.case_scores.query("measure == 'miou'").set_index(["case", "system"])["value"].unstack()
    order = wide["Text-guided"].sort_values().index
    assert [label.get_text() for label in axes.get_xticklabels()] == list(order)
    for line, label in zip(axes.lines, LABELS, strict=True):
        np.testing.assert_array_equal(line.get_ydata(), wide.loc[order, label])


def test_cases_without_a_score_of_the_reference_are_left_out(toy):
    scores = toy.case_scores.copy()
    scores.loc[(scores["case"] == "spider_003") & (scores["measure"] == "miou"), "value"] = np.nan
    table = case_table(changed(toy, case_scores=scores))
    assert len(table) == 19
    assert "spider_003" not in table.index


def step_area(line) -> float:
    """Area below a steps-post line: each point's height holds until the next point."""
    x, y = line.get_xdata(), line.get_ydata()
    return float(np.sum(np.abs(np.diff(x)) * y[:-1]))


def test_curves_enclose_the_areas_that_the_legend_names(toy):
    pooled, each = finding_curves(toy)
    left, right = pooled.figure.axes
    curves = {"left": [], "right": []}
    for name, axes in (("left", left), ("right", right)):
        curves[name] = [line for line in axes.lines if line.get_marker() in ("None", "", None)][1:]  # [0]: chance
    means = {}
    trainings = list(toy.decisions.groupby(["system", "repeat"], sort=False))
    assert len(curves["left"]) == len(curves["right"]) == len(trainings) == 3
    for (key, own), roc, pr in zip(trainings, curves["left"], curves["right"], strict=True):
        truth, probability = own["truth"].astype(int), own["probability"]
        auroc, ap = roc_auc_score(truth, probability), average_precision_score(truth, probability)
        assert auc(roc.get_xdata(), roc.get_ydata()) == pytest.approx(auroc, abs=1e-12)
        assert pr.get_drawstyle() == "steps-post"
        assert step_area(pr) == pytest.approx(ap, abs=1e-12)
        means.setdefault(key[0], []).append((auroc, ap))
    expected = {label: np.mean(values, axis=0) for label, values in means.items()}
    assert texts(left.get_legend()) == [f"{label}: AUROC {mean[0]:.3f}" for label, mean in expected.items()]
    assert texts(right.get_legend()) == [f"{label}: AP {mean[1]:.3f}" for label, mean in expected.items()]
    assert [axes.get_title(loc="left") for axes in each.figure.axes if axes.get_title(loc="left")] == [
        *("disc bulge", "Modic change")
    ]


def test_operating_points_lie_at_the_rates_of_the_decisions(toy):
    left, right = finding_curves(toy)[0].figure.axes
    points = [(line.get_xdata()[0], line.get_ydata()[0]) for line in left.lines if len(line.get_xdata()) == 1]
    expected = []
    for _, own in toy.decisions.groupby(["system", "repeat"], sort=False):
        truth, called = own["truth"].to_numpy(bool), own["positive"].to_numpy(bool)
        expected.append((called[~truth].mean(), called[truth].mean()))
    assert np.array(points) == pytest.approx(np.array(expected))
    assert len([line for line in right.lines if len(line.get_xdata()) == 1]) == 3


def test_a_finding_that_is_never_present_has_no_curve_but_a_legend(toy):
    rows = toy.decisions.assign(truth=toy.decisions["truth"] & (toy.decisions["finding"] == "disc bulge"))
    each = finding_curves(changed(toy, decisions=rows))[1].figure
    empty = each.axes[1]
    assert len(empty.lines) == 1
    assert texts(empty.get_legend()) == ["Text-guided: AUROC not defined", "Visual only: AUROC not defined"]


def test_without_decisions_there_are_no_curves(toy):
    assert finding_curves(changed(toy, decisions=None)) == []
    assert finding_curves(changed(toy, decisions=toy.decisions.assign(truth=math.nan))) == []


def test_draw_figures_draws_what_there_is(toy):
    names = [illustration.name for illustration in draw_figures(toy)]
    assert names == ["differences", "cases_miou", "structures_iou", "findings_pooled", "findings_each"]
    one = toy_comparison(cases=1, findings=False)
    assert [illustration.name for illustration in draw_figures(one)] == ["cases_miou", "structures_iou"]


def test_figures_of_an_earlier_comparison_are_removed_and_nothing_else(toy, tmp_path: Path):
    save_illustrations([case_lines(toy)], tmp_path)
    for name in ("findings_pooled.svg", "case_worst.png", "notes.txt", "my_case.png"):
        (tmp_path / name).write_text("of before")
    save_illustrations([case_lines(toy)], tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cases_miou.svg", "my_case.png", "notes.txt"]


def test_files_are_written_the_same_twice_and_labels_stay_literal(toy, tmp_path: Path):
    named = relabelled(toy, "nnU-Net", "nn$U_<&>$")
    illustrations = [case_lines(named), Illustration("lost", "cases", "t", "c", "a", None)]
    (file,) = save_illustrations(illustrations, tmp_path)
    assert file.name == "cases_miou.svg"
    xml.etree.ElementTree.parse(file)
    for same in (illustrations[0], case_lines(named)):
        assert save_illustrations([same], tmp_path / "again")[0].read_bytes() == file.read_bytes()
    with pytest.raises(ValueError, match="lost has no figure"):
        illustrations[1].data()
