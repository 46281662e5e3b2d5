"""Text-guided segmentation of medical images inside nnU-Net v2: class names are the queries."""

__version__ = "0.1.0"
