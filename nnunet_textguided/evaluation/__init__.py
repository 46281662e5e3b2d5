"""Evaluation: IoU, Dice, recall and precision per case and structure, on nnU-Net's own counts."""
