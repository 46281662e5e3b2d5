"""Replacing the label codes of masks, whole folders of them."""
