"""Abnormalities of structures: annotations, training loss, and what a trained model says of them."""
