"""Predicted and annotated findings side by side."""

from __future__ import annotations

import pandas as pd

KEYS = ["case", "structure", "finding"]


def join_truth(predicted: pd.DataFrame, truth: pd.DataFrame) -> pd.DataFrame:
    """Put the truth beside every prediction, and a row where a structure was not segmented.

    A finding at a structure that the model did not segment has probability 0: it was not found.

    Args:
        predicted: Columns KEYS, probability, and others that are kept.
        truth: Columns KEYS and truth (1 or 0), the assessed decisions.

    Returns:
        Columns KEYS, truth (NaN = not assessed), probability, segmented, and the others of `predicted`.
    """
    joined = truth[[*KEYS, "truth"]].merge(predicted, on=KEYS, how="outer", validate="one_to_one")
    joined["segmented"] = joined["probability"].notna()
    joined["probability"] = joined["probability"].fillna(0.0)
    first = [*KEYS, "truth", "probability", "segmented"]
    return joined[[*first, *(name for name in joined if name not in first)]].sort_values(KEYS, ignore_index=True)


def assessed(table: pd.DataFrame, positive: pd.Series) -> pd.DataFrame:
    """Keep what can be scored.

    Args:
        table: Of `join_truth`.
        positive: Whether each row is called present.

    Returns:
        Columns case, finding, present (truth), probability, positive.
    """
    known = table["truth"].notna()
    part = table.loc[known, ["case", "finding", "probability"]].assign(
        present=table.loc[known, "truth"].astype(int), positive=positive[known].astype(bool)
    )
    return part.reset_index(drop=True)
