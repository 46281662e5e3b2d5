"""The option that all data sets of DICOM studies share."""

from __future__ import annotations

import argparse

SEQUENCES = ("T2", "T1")


def add_channels(parser: argparse.ArgumentParser) -> None:
    """Let the user choose sequences.

    Args:
        parser: Of a data set.
    """
    parser.add_argument(
        "--channels",
        dest="sequences",
        nargs="+",
        choices=SEQUENCES,
        default=list(SEQUENCES),
        help="sagittal sequences; later ones are resampled onto the first (default: T2 T1)",
    )
