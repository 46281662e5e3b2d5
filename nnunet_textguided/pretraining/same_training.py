"""Whether a checkpoint belongs to the training that is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nnunet_textguided.errors import UserError
from nnunet_textguided.pretraining.image_settings import ImageTraining
from nnunet_textguided.pretraining.text_settings import TextTraining


def refuse_other_training(
    path: Path, before: Mapping[str, Any], training: ImageTraining | TextTraining, more: Sequence[str] = ()
) -> None:
    """Compare settings.

    Args:
        path: The checkpoint.
        before: Settings it was written with.
        training: What is asked for.
        more: What else differs.

    Raises:
        UserError: Anything differs; all of it is listed.
    """
    now = asdict(training)
    differing = [f"{key}: {before.get(key)!r} -> {now[key]!r}" for key in now if before.get(key) != now[key]]
    differing += more
    if differing:
        raise UserError(
            f"{path} is of another training ({'; '.join(differing)}). Choose another output folder, or the options of "
            "that training to go on with it."
        )
