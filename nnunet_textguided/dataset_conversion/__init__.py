"""Converters from public data sets to nnU-Net's raw layout, in one orientation and with one set of label codes."""
