"""Which part of a network, a loss or an optimiser a piece of work belongs to."""

from __future__ import annotations

from typing import Any

from torch import nn

from nnunet_textguided.trainers.text_guided import unwrap

ROLES = {
    "encoder": "encoder",
    "stem": "stem",
    "decoder": "pixel decoder",
    "decoder.lesions.seg_layers": "lesion branch",
    "queries": "query decoder",
    "query_decoder": "query decoder",
    "masks": "masks",
    "findings": "finding head",
}
"""Place in a network -> role; nnU-Net's own U-Nets have an encoder and a decoder, too."""
LOSS, FINDING_LOSS, OPTIMISER, REST = "loss", "finding loss", "optimiser", "rest"
QUERY_HEAD = ("query decoder", "masks")
"""What is there for the queries alone."""


def modules_by_role(trainer: Any) -> list[tuple[str, nn.Module]]:
    """List the modules of a trainer's network and loss that have a role; one inside another comes later.

    Args:
        trainer: Initialised.
    """
    network = unwrap(trainer.network)
    named = dict(network.named_modules(remove_duplicate=False))
    found = [(role, named[place]) for place, role in ROLES.items() if place in named]
    found.append((LOSS, trainer.loss))
    if isinstance(getattr(trainer.loss, "findings", None), nn.Module):
        found.append((FINDING_LOSS, trainer.loss.findings))
    return found


def number_of_findings(trainer: Any) -> int:
    """Return how many findings a trainer's network scores beside the structures.

    Args:
        trainer: Initialised.
    """
    guidance = getattr(trainer, "guidance", None)
    return 0 if guidance is None else len(guidance.findings)


def has_query_head(trainer: Any) -> bool:
    """Tell whether a trainer's network scores voxels with queries.

    Args:
        trainer: Initialised.
    """
    return hasattr(unwrap(trainer.network), "query_decoder")
