"""Names of encoders, and help where one is misspelt."""

from __future__ import annotations

import difflib

import timm

from nnunet_textguided.errors import UserError

FAMILY = "convnextv2*"


def list_encoders(pretrained_tags: bool = False) -> list[str]:
    """Names that can be asked for.

    Args:
        pretrained_tags: Whether to list names with their pretrained tags as well.
    """
    names = list(timm.list_models(FAMILY))
    return names + list(timm.list_pretrained(FAMILY)) if pretrained_tags else names


def check_encoder_name(name: str) -> str:
    """Return the name if timm has such a ConvNeXt V2.

    Args:
        name: Architecture, or architecture and pretrained tag joined with a dot.

    Raises:
        UserError: No such architecture or tag; the text lists the nearest ones.
    """
    known = list_encoders(pretrained_tags=True)
    if name in known:
        return name
    near = difflib.get_close_matches(str(name), known, n=4, cutoff=0.5) or list_encoders()
    raise UserError(
        f"Unknown encoder {name!r}: expected one of timm's ConvNeXt V2 models, with or without a pretrained tag. "
        f"Did you mean {', '.join(near)}?"
    )
