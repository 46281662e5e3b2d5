"""Text-guided segmentation of medical images inside nnU-Net v2: class names are the queries."""

from typing import Any

__version__ = "0.1.0"
__all__ = ["TextGuidedPredictor", "__version__"]


def __getattr__(name: str) -> Any:
    """Import the Python class on first use, so that the command line starts without torch."""
    if name == "TextGuidedPredictor":
        from nnunet_textguided.inference import TextGuidedPredictor

        return TextGuidedPredictor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
