"""The Mixed Transformer U-Net with widths that train in no time."""

from __future__ import annotations

from nnunet_textguided.architectures.mixed_transformer import MixedTransformerSpec, patch_spec

NARROW = {"stem_channels": (4, 8, 8), "mixed_channels": (16, 16, 16), "heads": 2, "memory_slots": 16}


def narrow_spec(num_classes, input_channels, patch_size, deep_supervision=True) -> MixedTransformerSpec:
    """What the trainer asks for, but narrow; to stand in for `trainers.mixed_transformer.patch_spec`."""
    wide = patch_spec(num_classes, input_channels, patch_size, deep_supervision)
    kept = {name: getattr(wide, name) for name in ("num_classes", "input_channels", "position_grid")}
    return MixedTransformerSpec(**kept, **NARROW, deep_supervision=deep_supervision)
