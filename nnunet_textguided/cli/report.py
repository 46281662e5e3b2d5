"""`nnunet_textguided report`: a page a case, with picture and findings."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments.

    Args:
        parser: Of this command.
    """
    parser.add_argument("predictions", metavar="PRED", help="folder `nnunet_textguided predict` wrote")
    parser.add_argument("images", metavar="IMAGES", help="folder of the images it was given")
    parser.add_argument("-o", metavar="OUT", help="folder for the reports; PRED/reports if left out")
    parser.add_argument("--channel", type=int, default=0, help="image channel to show")


def run(args: argparse.Namespace) -> int:
    """Write the reports and say where.

    Args:
        args: As parsed.

    Raises:
        UserError: There is nothing to report on, or files are missing.
    """
    from pathlib import Path

    from nnunet_textguided.inference.report import report_folder

    out = Path(args.o) if args.o else Path(args.predictions) / "reports"
    pages = report_folder(args.predictions, args.images, out, args.channel)
    print(f"{len(pages)} reports: {out}")
    return 0
