"""Phantoms: generated lumbar spine MRI with labels and findings, for the demo and the tests."""
