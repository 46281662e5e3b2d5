"""What every trainer of this package survives, and how it says what it does not."""

from __future__ import annotations

from nnunet_textguided.trainers.interruption import EndsOnSigterm
from nnunet_textguided.trainers.one_at_a_time import OneAtATime
from nnunet_textguided.trainers.told_faults import ToldFaults
from nnunet_textguided.trainers.whole_checkpoints import WholeCheckpoints


class FaultTolerance(ToldFaults, OneAtATime, EndsOnSigterm, WholeCheckpoints):
    """Mixin for nnU-Net trainers, to stand first among their bases: one process a fold, whole checkpoints, SIGTERM."""
