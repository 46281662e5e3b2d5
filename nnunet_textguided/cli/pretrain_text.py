"""`nnunet_textguided pretrain-text`: pretrain the text encoder on reports."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    from nnunet_textguided.pretraining.text_settings import TextTraining

    what = TextTraining()
    add = parser.add_argument
    add("-i", dest="reports", required=True, help="reports: csv, tsv, xlsx, jsonl, txt or a folder of txt")
    add("-o", dest="output", required=True, help="folder for the tower's files and the log")
    add("--column", help="column (or key) of the reports; default: found by name and content")
    add("--text-model", default=what.model, help="open_clip name, JSON configuration, local-dir:, hf-hub:, or small")
    add("--text-weights", help="tag or file; default: laion2b_s34b_b79k for ViT-B-32, none for small")
    add("--epochs", type=int, default=what.epochs, help="passes over the reports at most")
    add("--patience", type=int, default=what.patience, help="passes without a better held-out loss before it stops")
    add("--batch", type=int, default=what.batch, help="pieces of reports a step")
    add("--learning-rate", type=float, help="highest rate; default: 5e-5, and 1e-3 for small")
    add("--dropout", type=float, default=what.dropout, help="of attention and token embeddings")
    add("--next-token", type=float, default=what.next_token, help="weight of next-token prediction")
    add("--contrastive", type=float, default=what.contrastive, help="weight of the sentence loss")
    add("--neighbours", type=float, default=what.neighbours, help="weight of drawing neighbouring sentences together")
    add("--anatomy", type=float, default=what.anatomy, help="share of these pairs that are neighbours on the spine")
    add("--anchor", type=float, default=what.anchor, help="weight that keeps the tower near its start")
    add("--spelled", type=float, default=what.spelled, help='share of the levels ("L4-5") that are spelled out')
    add("--moved", type=float, default=what.moved, help="share of reports whose levels are moved along the spine")
    add("--held-out", type=float, default=what.held_out, help="share of reports kept back to measure on")
    add("--seed", type=int, default=what.seed, help="of order, dropout, split and weights")
    add("--accelerator", default="auto", help="auto, cpu, cuda or mps")
    add("--precision", default="32-true", help="32-true, bf16-mixed or 16-mixed")


def run(args: argparse.Namespace) -> int:
    """Pretrain, and say how to use the tower."""
    from nnunet_textguided.pretraining.text_settings import SMALL_RATE, TextTraining
    from nnunet_textguided.pretraining.text_training import pretrain_text

    small = args.text_model == "small"
    plain = TextTraining()
    weights = args.text_weights or (plain.weights if args.text_model == plain.model else None)
    training = TextTraining(
        model=args.text_model,
        weights=weights,
        epochs=args.epochs,
        patience=args.patience,
        batch=args.batch,
        learning_rate=args.learning_rate or (SMALL_RATE if small else plain.learning_rate),
        dropout=args.dropout,
        next_token=args.next_token,
        contrastive=args.contrastive,
        anchor=args.anchor,
        neighbours=args.neighbours,
        anatomy=args.anatomy,
        spelled=args.spelled,
        moved=args.moved,
        held_out=args.held_out,
        seed=args.seed,
    )
    result = pretrain_text(args.reports, args.output, training, args.column, args.accelerator, args.precision)
    before, after = result.before, result.after
    print(f"held-out perplexity {before.perplexity:.1f} -> {after.perplexity:.2f} (bigram model {result.bigram:.2f})")
    print(f"held-out retrieval  {before.retrieval:.2f} -> {after.retrieval:.2f} (by chance {after.chance:.2f})")
    print(f"use it with nnunet_textguided plan --text-model {result.config} --text-weights {result.weights}")
    return 0
