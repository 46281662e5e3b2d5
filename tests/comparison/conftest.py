from __future__ import annotations

import pytest
from toy_records import GRID, REPEATS, SEED, toy_records

from nnunet_textguided.comparison.comparison import CompareOptions, compare
from nnunet_textguided.comparison.record import RunRecord


@pytest.fixture(scope="session")
def records(tmp_path_factory) -> list[RunRecord]:
    """The toy result, stored and read again as `compare` finds it."""
    folder = tmp_path_factory.mktemp("records")
    made = toy_records()
    for record in made:
        record.save(folder)
    return [RunRecord.load(folder, record.run) for record in made]


@pytest.fixture(scope="session")
def comparison(records):
    return compare(GRID, records, CompareOptions(seed=SEED, bootstrap_repeats=REPEATS))
