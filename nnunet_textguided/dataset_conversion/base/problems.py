"""What is wrong with one case while the others can still be converted."""

from __future__ import annotations

from nnunet_textguided.errors import UserError


class CaseError(UserError):
    """One case cannot be converted; its text names the file and what to do, and the other cases go on."""
