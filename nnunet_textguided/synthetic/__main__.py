"""`python -m nnunet_textguided.synthetic FOLDER`: write phantoms in SPIDER's layout."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from nnunet_textguided.errors import UserError
from nnunet_textguided.synthetic.dataset import write_spider_layout
from nnunet_textguided.synthetic.phantom import PhantomSpec
from nnunet_textguided.synthetic.reports import REPORTS_FILE, write_report_file


def main() -> int:
    """Parse the command line, write the phantoms and return the exit status."""
    default = PhantomSpec()
    parser = argparse.ArgumentParser(prog="python -m nnunet_textguided.synthetic", description=__doc__)
    parser.add_argument("folder", help="where to write images/ and masks/")
    parser.add_argument("-n", "--cases", type=int, default=20, help="number of patients (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the dataset (default %(default)s)")
    parser.add_argument("--shape", type=int, nargs=3, default=default.shape, help="slices, rows, columns")
    parser.add_argument("--spacing", type=float, nargs=3, default=default.spacing, help="mm along the same axes")
    parser.add_argument("--reports", type=int, default=0, help="also write reports.jsonl, of as many other patients")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        spec = PhantomSpec(shape=tuple(args.shape), spacing=tuple(args.spacing))
        write_spider_layout(args.folder, args.cases, args.seed, spec)
        if args.reports:
            write_report_file(Path(args.folder) / REPORTS_FILE, args.reports, args.seed)
    except UserError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
