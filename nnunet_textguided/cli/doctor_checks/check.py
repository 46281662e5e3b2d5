"""The outcome of one check."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

Status = Literal["OK", "WARN", "FAIL"]


@dataclass(frozen=True)
class Check:
    """One line of the doctor's answer.

    Attributes:
        name: What was looked at.
        status: OK; WARN where most things work all the same; FAIL where a command will not.
        found: What was found there.
        mend: What to do about it; empty where all is well.
    """

    name: str
    status: Status
    found: str
    mend: str = ""

    def __str__(self) -> str:
        line = f"{self.status:<5} {self.name}: {self.found}"
        if not self.mend:
            return line
        return line + "".join(f"\n      -> {part}" for part in self.mend.splitlines())

    def as_dict(self) -> dict[str, str]:
        """Return the fields by name, for `--json`."""
        return asdict(self)
