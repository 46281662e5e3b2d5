"""`nnunet_textguided complete`: drafts for cases without a mask, and corrected masks back into the data set."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from nnunet_textguided.cli.predict import TRUST_HELP, fold_or_all, processes_of, set_threads
from nnunet_textguided.errors import UserError

if TYPE_CHECKING:
    from nnunet_textguided.dataset_conversion.completion.draft_folder import DraftFolder
    from nnunet_textguided.dataset_conversion.completion.draft_sources import DraftSource

PROBLEMS = 1
_SHOWN = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the three steps.

    Args:
        parser: The parser of `complete`.
    """
    steps = parser.add_subparsers(dest="step", metavar="STEP", required=True)
    _add_draft(steps.add_parser("draft", help="write a draft for every case that has no mask"))
    check = steps.add_parser("check", help="say again which masks are doubtful, for example after corrections")
    accept = steps.add_parser("accept", help="take drafts and corrected masks into labelsTr")
    for step in (check, accept):
        step.add_argument("dataset", metavar="DATASET", help="number or name of the data set in nnUNet_raw")
        step.add_argument("drafts", metavar="DRAFTS", type=Path, help="folder written by `complete draft`")
    accept.add_argument("--cases", nargs="+", metavar="CASE", help="only these, also if they have a mask already")
    accept.add_argument("--only-plausible", action="store_true", help="leave doubtful masks out")


def run(args: argparse.Namespace) -> int:
    """Do one step and say what came out.

    Args:
        args: As parsed.

    Returns:
        0, or 1 if some cases had problems.

    Raises:
        UserError: Data set, model or folder is not usable.
    """
    from nnunet_textguided.dataset_conversion.completion.draft_folder import DraftFolder
    from nnunet_textguided.dataset_conversion.completion.raw_dataset import RawDataset

    dataset = RawDataset.open(args.dataset)
    drafts = DraftFolder.open(args.drafts, dataset, make=args.step == "draft")
    problems = {"draft": _draft, "check": _check, "accept": _accept}[args.step](args, drafts)
    if problems:
        print(f"{len(problems)} problems; mend them and run the same command again:", file=sys.stderr)
        for problem in problems.values():
            print(f"  {problem}", file=sys.stderr)
    return PROBLEMS if problems else 0


def _draft(args: argparse.Namespace, drafts: DraftFolder) -> dict[str, str]:
    from nnunet_textguided.dataset_conversion.completion.draft_sources import MaskSource, ModelSource
    from nnunet_textguided.dataset_conversion.completion.drafts import write_drafts
    from nnunet_textguided.dataset_conversion.completion.label_colours import write_label_colours
    from nnunet_textguided.inference.predict_settings import PredictSettings, choose_device

    if (args.m is None) == (args.masks is None):
        raise UserError("Name where drafts come from: a trained model (-m MODEL_FOLDER), or masks (--masks FOLDER).")
    if args.m is None:
        source: DraftSource = MaskSource(drafts.dataset, args.masks)
    else:
        device = choose_device(args.device).type
        set_threads(device)
        settings = PredictSettings(
            disable_tta=args.disable_tta, npp=args.npp, nps=args.nps, device=device, trust=args.trust
        )
        source = ModelSource(drafts.dataset, args.m, args.f, args.chk, settings)
    summary = write_drafts(drafts, source, args.cases)
    kept = f", {len(summary.kept)} were there already" if summary.kept else ""
    print(f"{len(summary.written)} drafts written{kept}: {drafts.path}")
    if summary.not_covered:
        print(f"{len(summary.not_covered)} cases have no mask, neither in the data set nor in {args.masks}.")
    elif not (summary.written or summary.kept or summary.problems):
        print(f"Every case of {drafts.dataset.folder.name} has a mask; name partly annotated ones with --cases.")
        return {}
    colours = write_label_colours(drafts.dataset.labels, drafts.dataset.ignore, drafts.path)
    print("Names and colours for ITK-SNAP and 3D Slicer: " + ", ".join(path.name for path in colours))
    problems = summary.problems | _check(args, drafts)
    print(f"Next: correct the doubtful masks in {drafts.path}, then `nnunet_textguided complete accept`.")
    return problems


def _check(args: argparse.Namespace, drafts: DraftFolder) -> dict[str, str]:
    from nnunet_textguided.dataset_conversion.completion.review import review_masks, write_review

    masks, problems = drafts.masks()
    reviews, unusable = review_masks(drafts, masks)
    doubtful = [review for review in reviews if review.doubts]
    print(f"{len(doubtful)} of {len(reviews)} masks are doubtful: {write_review(reviews, drafts.path)}")
    for review in doubtful[:_SHOWN]:
        print(f"  {review.case} ({review.score}): {review.reasons}")
    if len(doubtful) > _SHOWN:
        print(f"  and {len(doubtful) - _SHOWN} more")
    return problems | unusable


def _accept(args: argparse.Namespace, drafts: DraftFolder) -> dict[str, str]:
    from nnunet_textguided.dataset_conversion.completion.accept import BEFORE, accept_masks

    summary = accept_masks(drafts, args.cases, args.only_plausible)
    corrected = sum(bool(entry["corrected_voxels"]) for entry in summary.accepted.values())
    untouched = sum(entry["corrected_voxels"] == 0 for entry in summary.accepted.values())
    print(
        f"{len(summary.accepted)} masks accepted into {drafts.dataset.folder}: {untouched} drafts as they were, "
        f"{corrected} corrected, {len(summary.accepted) - untouched - corrected} drawn by hand."
    )
    if summary.left_out:
        print(f"{len(summary.left_out)} doubtful ones left out: {', '.join(summary.left_out)}")
    if summary.accepted:
        number = int(drafts.dataset.folder.name[7:10])
        print(f"The label maps before are in {drafts.dataset.folder / BEFORE}.")
        print(f"Next: nnUNetv2_preprocess -d {number} -plans_name PLANS -c CONFIGURATION, then train anew.")
    return summary.problems


def _add_draft(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "A case has no mask where every voxel of its label map has nnU-Net's ignore label, or where it has no label "
        "map. Drafts lie on the images' own grids, with review.csv, which lists the doubtful ones first."
    )
    parser.add_argument("dataset", metavar="DATASET", help="number or name of the data set in nnUNet_raw")
    parser.add_argument("-o", dest="drafts", metavar="DRAFTS", type=Path, required=True, help="folder for the drafts")
    parser.add_argument("-m", metavar="MODEL_FOLDER", help="trained model that drafts")
    parser.add_argument("--masks", metavar="FOLDER", help="instead: masks of another tool, with this data set's codes")
    parser.add_argument(
        "--cases", nargs="+", metavar="CASE", help="only these; of partly annotated ones, voxels to ignore are filled"
    )
    parser.add_argument("-f", nargs="+", metavar="FOLD", type=fold_or_all, help="folds to average (default: all)")
    parser.add_argument("-chk", default="checkpoint_final.pth", metavar="FILE", help="file name of the checkpoints")
    parser.add_argument("-device", choices=["cpu", "cuda", "mps"], help="cuda where there is one and else cpu")
    parser.add_argument("--disable_tta", action="store_true", help="no mirroring: faster, less accurate")
    parser.add_argument("--trust", action="store_true", help=TRUST_HELP)
    parser.add_argument("-npp", type=int, default=processes_of("nnUNet_npp"), help="preprocessing processes")
    parser.add_argument("-nps", type=int, default=processes_of("nnUNet_nps"), help="export processes")
