"""Prediction: orientation-safe over folders, and arrays in, labels out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nnunet_textguided.inference.predictor import Segmentation, TextGuidedPredictor

__all__ = ["Segmentation", "TextGuidedPredictor"]


def __getattr__(name: str) -> Any:
    """Import the Python API at first use: it needs torch and nnU-Net, most other modules here do not."""
    if name in __all__:
        from nnunet_textguided.inference import predictor

        return getattr(predictor, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
