"""Completing the labels: drafts for cases without a mask, doubtful ones first, and corrected masks taken back in."""
