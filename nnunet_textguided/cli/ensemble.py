"""`nnunet_textguided ensemble`: nnUNetv2_ensemble's arguments; findings are averaged too."""

from __future__ import annotations

import argparse

from nnunet_textguided.cli.predict import TRUST_HELP


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add nnUNetv2_ensemble's own flags.

    Args:
        parser: Of this command.
    """
    parser.add_argument("-i", nargs="+", required=True, metavar="FOLDER", help="prediction folders with probabilities")
    parser.add_argument("-o", required=True, metavar="FOLDER", help="output folder, made if missing")
    parser.add_argument("-np", type=int, default=2, metavar="N", help="processes")
    parser.add_argument("--save_npz", action="store_true", help="write the averaged probabilities too")
    parser.add_argument("--trust", action="store_true", help=TRUST_HELP)


def run(args: argparse.Namespace) -> int:
    """Average and say where.

    Args:
        args: As parsed.

    Raises:
        UserError: The folders do not go together.
    """
    from nnunet_textguided.inference.ensemble import ensemble_predictions

    cases = ensemble_predictions(args.i, args.o, args.save_npz, max(1, args.np), args.trust)
    print(f"{len(cases)} cases averaged over {len(args.i)} folders: {args.o}")
    return 0
