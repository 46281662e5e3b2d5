"""The folder `nnUNet_extTrainer` points at; this file only makes wheels carry it (nnU-Net never reads it)."""
