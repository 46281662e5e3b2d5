"""`nnunet_textguided relabel`: other tools' masks to our label codes, and back."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from nnunet_textguided.dataset_conversion.label_maps.table import TRANSITIONAL_CHOICES
from nnunet_textguided.errors import UserError

if TYPE_CHECKING:
    from nnunet_textguided.dataset_conversion.relabelling.relabel import RelabelResult


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments.

    Args:
        parser: Of this command.
    """
    parser.description = (
        "NAME is spineps (with named levels), spineps-instances (counted from below; only --from), totalspineseg, "
        "spider, dgmsnet, mrspineseg, textguided (our codes: dataset.json beside the masks, else the 19 structures), "
        'or a JSON file such as {"24": "L5", "60": "background"}.'
    )
    add = parser.add_argument
    add("source", metavar="IN", type=Path, help="a mask or a folder of masks (.nii.gz, .nii, .mha, .nrrd)")
    add("target", metavar="OUT", type=Path, help="the file or folder to write")
    add("--from", dest="source_map", metavar="NAME", required=True, help="whose codes the masks hold")
    add("--to", dest="target_map", metavar="NAME", default="textguided", help="whose codes to write")
    add(
        "--transitional",
        choices=TRANSITIONAL_CHOICES,
        default="error",
        help="what L6, T13, their discs and the like become: an error that asks for this choice, labels of their own "
        "after the 19, nnU-Net's ignore label, or background",
    )
    add(
        "--map",
        dest="choices",
        metavar="CODE=NAME",
        action="append",
        default=[],
        help="what one code of IN becomes, such as 25=L5, 27=S, 0=ignore or 111=background; applied last, repeatable",
    )
    add("--canal", action="store_true", help="keep the spinal canal as class 20 (default: background)")
    add("--lowest", metavar="LEVEL", help="the lowest vertebra of spineps-instances (default: L5 above the sacrum)")
    add("--strict", action="store_true", help="refuse masks with structures that OUT's label set does not have")
    add("--overwrite", action="store_true", help="replace files that are there already")


def run(args: argparse.Namespace) -> int:
    """Relabel, say what was written and what was not.

    Args:
        args: Of `add_arguments`.

    Returns:
        0, or 1 if some masks could not be relabelled.

    Raises:
        UserError: Options that do not go together, nothing to read, or nothing can be written.
    """
    from nnunet_textguided.dataset_conversion.relabelling.relabel import RelabelOptions, relabel

    options = RelabelOptions(
        source=args.source_map,
        target=args.target_map,
        transitional=args.transitional,
        codes=parse_choices(args.choices),
        canal=args.canal,
        lowest=args.lowest,
        strict=args.strict,
    )
    result = relabel(args.source, args.target, options, overwrite=args.overwrite)
    for name, record in sorted(result.files.items()):
        for warning in record["warnings"]:
            print(f"warning: {name}: {warning}", file=sys.stderr)
    for problem in result.problems.values():
        print(f"not written: {problem}", file=sys.stderr)
    _say_what_was_written(args, result)
    return 1 if result.problems else 0


def parse_choices(texts: list[str]) -> dict[int, str]:
    """Read the values of --map.

    Args:
        texts: Each CODE=NAME.

    Raises:
        UserError: Another form, or two names for a code.
    """
    choices: dict[int, str] = {}
    for text in texts:
        code, equals, name = text.partition("=")
        if not (code.isascii() and code.isdigit() and equals and name):
            raise UserError(f"--map: expected CODE=NAME such as 25=L5, got '{text}'.")
        if choices.setdefault(int(code), name) != name:
            raise UserError(f"--map: code {int(code)} is to become {choices[int(code)]} and {name}. Choose one.")
    return choices


def _say_what_was_written(args: argparse.Namespace, result: RelabelResult) -> None:
    print(f"{len(result.files)} masks relabelled: {args.target}")
    if result.files:
        print(f"Codes, names and voxels of each: {result.record}")
    if result.files and result.missing:
        print(f"Never annotated in {args.source_map}, so to be declared as missing: {', '.join(result.missing)}")
    if result.problems:
        print(f"{len(result.problems)} masks were not; mend them, or choose, and run again with --overwrite.")
