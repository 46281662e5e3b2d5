"""`nnunet_textguided embed`: make the text bank of a data set."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nnunet_textguided.text.bank import TextBank


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options; the text model is an option of the plans."""
    add = parser.add_argument
    add("-d", dest="dataset", required=True, help="id or name of the preprocessed data set")
    add("-p", dest="plans", default="nnUNetPlansTextGuided", help="identifier of plans made by nnunet_textguided plan")
    add("--overwrite", action="store_true", help="make the bank anew")
    add("--show", metavar="PNG", help="draw how alike the names' vectors are")


def run(args: argparse.Namespace) -> int:
    """Make or check the bank, and enter it into the plans."""
    from dataclasses import replace

    from nnunet_textguided.dataset_json import read_dataset_json
    from nnunet_textguided.files import save_json_atomic
    from nnunet_textguided.trainers.guidance import BLOCK, TextGuidance
    from nnunet_textguided.trainers.plan import load_plans, preprocessed_folder
    from nnunet_textguided.trainers.text_bank import ensure_bank

    folder = preprocessed_folder(args.dataset)
    plans = load_plans(folder, args.plans)
    dataset_json = read_dataset_json(folder / "dataset.json")
    guidance = TextGuidance.for_dataset(dataset_json, TextGuidance.from_plans(plans).to_block())
    if args.overwrite:
        guidance = replace(guidance, bank=None)
    bank, guidance = ensure_bank(guidance, folder, args.plans, dataset_json, args.overwrite)
    about = plans[BLOCK]["bank"] = guidance.bank or {}
    save_json_atomic(plans, folder / f"{args.plans}.json")
    print(f"{folder / about['file']}: {len(bank.names)} names, {about['embedding_dim']} wide")
    print(f"  text model {bank.model}, weights {bank.weights}, licence {bank.licence}")
    if bank.pretraining:
        print(f"  pretrained: {bank.pretraining}")
    print(f"  sha256 {about['sha256']}")
    if args.show:
        _show(bank, args.show)
    return 0


def _show(bank: TextBank, path: str) -> None:
    """Draw the similarity of the names, and say whether it falls with the distance of levels."""
    from nnunet_textguided.text.similarity import level_rank_correlation, save_similarity_picture, similarities

    matrix = similarities(bank.embeddings)
    save_similarity_picture(bank.names, matrix, path)
    print(
        f"  {path}: rank correlation of likeness with level distance {level_rank_correlation(bank.names, matrix):.2f}"
    )
