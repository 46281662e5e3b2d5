"""Self-supervised pretraining: the image encoder on scans without labels, the text encoder on reports."""
