"""`nnunet_textguided evaluate`: a table of IoU and Dice, and the headline under it."""

from __future__ import annotations

import argparse
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nnunet_textguided.errors import UserError

if TYPE_CHECKING:
    from nnunet_textguided.evaluation.evaluate import Evaluation
    from nnunet_textguided.evaluation.finding_evaluation import FindingEvaluation

INCOMPLETE = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments.

    Args:
        parser: Of this command.
    """
    parser.add_argument("truth", metavar="GT", help="folder of the true label files, such as labelsTr")
    parser.add_argument(
        "prediction", metavar="PRED", nargs="?", help="folder of the predictions, with the same file names"
    )
    parser.add_argument(
        "--folds", metavar="MODEL", help="instead of PRED: a trained model's folder, all its folds as one result"
    )
    parser.add_argument("--findings", metavar="FILE", help="true findings.csv; found in GT or beside it if left out")
    parser.add_argument(
        "--set-operating-points",
        action="store_true",
        help="with --folds: choose the findings' thresholds on all folds and store them in the model's plans.json",
    )
    parser.add_argument("-o", metavar="OUT", help="folder for evaluation.csv and evaluation.json; PRED if left out")
    parser.add_argument("--dataset-json", metavar="FILE", help="found beside PRED or GT if left out")
    parser.add_argument(
        "--cases", nargs="+", metavar="CASE", help="only these cases, by name or as splits_final.json:FOLD"
    )
    parser.add_argument(
        "--exclude", nargs="+", default=[], metavar="NAME", help="structures that shall not count for the headline"
    )
    parser.add_argument(
        "--fail-fast", choices=["yes", "no"], default="yes", help="no: go on after a case that cannot be scored"
    )
    parser.add_argument("-np", type=int, default=1, metavar="N", help="processes")


def run(args: argparse.Namespace) -> int:
    """Evaluate, write, print.

    Args:
        args: As parsed.

    Returns:
        0, or 1 if a case of the truth has no prediction or could not be scored.

    Raises:
        UserError: The folders cannot be compared.
    """
    if (args.prediction is None) == (args.folds is None):
        raise UserError("Name what is evaluated: GT PRED, or GT --folds MODEL.")
    if args.set_operating_points and args.folds is None:
        raise UserError("--set-operating-points needs --folds: thresholds are chosen on cases the model did not see.")
    processes = max(1, min(args.np, os.cpu_count() or 1))
    result, findings, folder = (_folds if args.folds else _folder)(args, processes)
    from nnunet_textguided.evaluation.evaluate import write_evaluation

    files = write_evaluation(result, folder, args.truth, args.folds or args.prediction)
    print("\n".join([*_table(result), "", *_headline(result), "", *_problems(result)]))
    if findings is not None:
        from nnunet_textguided.cli.finding_lines import finding_lines
        from nnunet_textguided.evaluation.finding_evaluation import write_finding_evaluation

        files += write_finding_evaluation(findings, folder)
        print("\n".join(finding_lines(findings)))
    if args.set_operating_points and findings is not None:
        from nnunet_textguided.evaluation.folds import store_operating_points

        points = store_operating_points(Path(args.folds))
        print("Operating points stored: " + ", ".join(f"{name} {value:.3f}" for name, value in points.items()))
    print("Written: " + ", ".join(str(Path(file)) for file in files))
    return 0 if result.complete else INCOMPLETE


def _folder(args: argparse.Namespace, processes: int) -> tuple[Evaluation, FindingEvaluation | None, Path]:
    """A folder of predictions."""
    from nnunet_textguided.evaluation.evaluate import evaluate_folder
    from nnunet_textguided.evaluation.finding_evaluation import evaluate_findings, read_predictions, read_truth

    fail_fast = args.fail_fast == "yes"
    result = evaluate_folder(
        args.truth, args.prediction, args.dataset_json, args.cases, args.exclude, fail_fast, processes
    )
    predicted, truth, findings = Path(args.prediction) / "findings.csv", _true_findings(args), None
    if predicted.is_file() and truth is not None:
        findings = evaluate_findings(read_predictions(predicted), read_truth(truth), set(result.cases["case"]))
    return result, findings, Path(args.o or args.prediction)


def _folds(args: argparse.Namespace, processes: int) -> tuple[Evaluation, FindingEvaluation | None, Path]:
    """The folds of a model."""
    from nnunet_textguided.evaluation.folds import evaluate_finding_folds, evaluate_folds

    model = Path(args.folds)
    result = evaluate_folds(model, Path(args.truth), args.exclude, processes)
    truth = _true_findings(args)
    findings = evaluate_finding_folds(model, truth) if truth is not None else None
    return result, findings, Path(args.o or model / "out_of_fold")


def _true_findings(args: argparse.Namespace) -> Path | None:
    if args.findings:
        return Path(args.findings)
    places = (Path(args.truth) / "findings.csv", Path(args.truth).absolute().parent / "findings.csv")
    return next((path for path in places if path.is_file()), None)


def _table(result: Evaluation) -> list[str]:
    records = result.structures.to_dict("records")
    width = max([len("structure"), *(len(record["structure"]) for record in records)]) + 2
    head = f"{'structure':<{width}}{'IoU':>7}{'Dice':>7}{'recall':>8}{'precision':>11}"
    lines = [head + f"{'n':>5}{'missed':>8}{'absent':>8}{'false':>7}"]
    for apart in (False, True):
        own = [record for record in records if record["in_headline"] != apart]
        if apart and own:
            lines.append("not in the headline:")
        lines.extend(_structure_line(record, width, len(result.cases)) for record in own)
    return lines


def _structure_line(record: dict[str, Any], width: int, cases: int) -> str:
    if record["not_annotated"] == cases:
        return f"{record['structure']:<{width}}not annotated by this source"
    values = [(record["iou"], 7), (record["dice"], 7), (record["recall"], 8), (record["precision"], 11)]
    counts = f"{record['n']:>5}{record['missed']:>8}{record['absent']:>8}{record['false_structures']:>7}"
    return f"{record['structure']:<{width}}" + "".join(f"{_number(v):>{w}}" for v, w in values) + counts


def _headline(result: Evaluation) -> list[str]:
    from nnunet_textguided.evaluation.summary import RULES

    numbers = result.headline
    left_out = f" (not annotated: {', '.join(numbers['left_out'])})" if numbers["left_out"] else ""
    lines = [
        f"mIoU  {_number(numbers['miou_mean'])} +- {_number(numbers['miou_sd'])}",
        f"mDice {_number(numbers['mdice_mean'])} +- {_number(numbers['mdice_sd'])}",
        f"      mean and standard deviation (n - 1) over {numbers['cases']} cases",
        f"      {numbers['structures_covered']} of {numbers['structures_total']} structures{left_out}; "
        f"{numbers['structures_in_truth']} of them occur in the truth",
        f"      structures missed: {numbers['missed']}, false: {numbers['false_structures']} (summed over cases)",
    ]
    if numbers["cases_without_structure"]:
        lines.append(f"      {numbers['cases_without_structure']} cases have none of these structures: not counted")
    return [*lines, "", "Rules:", *(f"- {rule}" for rule in RULES)]


def _problems(result: Evaluation) -> list[str]:
    lines = []
    if result.files.without_prediction:
        names = result.files.without_prediction
        lines.append(f"NO PREDICTION for {len(names)} of the cases: {', '.join(names)}")
    lines.extend(f"NOT SCORED: {reason}" for reason in result.failed.values())
    if result.files.without_truth:
        names = result.files.without_truth
        shown = ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
        lines.append(f"{len(names)} predictions have no truth and were not scored: {shown}")
    return lines


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"
