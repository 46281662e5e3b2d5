"""Whether systems may be compared: same cases, splits, truth, preprocessed data and plans outside `text_guidance`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nnunet_textguided.comparison import fingerprints
from nnunet_textguided.comparison.grid import Grid, Run, System
from nnunet_textguided.comparison.record import RunRecord
from nnunet_textguided.errors import UserError

STRICT = {
    fingerprints.SPLITS: ("the splits", "Train all systems with one splits_final.json."),
    fingerprints.TRUTH: ("the truth they were judged by", "Score them again on one data set."),
    fingerprints.PREPROCESSED: (
        "the preprocessed data",
        "Share one preprocessed folder (nnunet_textguided plan does), or train and score on the same data.",
    ),
    fingerprints.DATASET: ("dataset.json", "Train all systems on the same labels and channels."),
    fingerprints.TRAINING_DATA: ("the data set as their trainings found it", "Train all systems on the same data."),
}
"""What may never differ: name in words, and what to do."""
EVERYWHERE = (fingerprints.DATASET, fingerprints.TRAINING_DATA, fingerprints.PLANS)
"""Must agree also between folds."""
SHOWN_DIFFERENCES, SHOWN_CHARACTERS = 6, 120
_ABSENT = object()


class ComparisonError(UserError):
    """Runs cannot be compared fairly as they are."""


def check_fair(grid: Grid, records: Sequence[RunRecord], different_plans: bool = False) -> list[str]:
    """Check that systems differ in nothing but what is to be compared.

    Args:
        grid: What is compared.
        records: Of its runs; others are ignored.
        different_plans: Whether plans may differ outside text_guidance (as nnU-Net's ResEnc presets do).

    Returns:
        Notes to print with the tables: how plans differ, where they may.

    Raises:
        ComparisonError: A run is missing, two folds validate the same case, or two systems differ in what they must
            share; the text names both, the file or key, and what to do.
    """
    by_run = _by_run(grid, records)
    members = [(name, by_run[run]) for name, run in _named_runs(grid)]
    _check_folds(members)
    notes: list[str] = []
    first: dict[int, tuple[str, RunRecord]] = {}
    for name, record in members:
        reference = first.setdefault(record.run.fold, (name, record))
        _check_cases(reference, (name, record))
        for aspect in STRICT:
            _check_aspect(aspect, members[0] if aspect in EVERYWHERE else reference, (name, record))
        if reference[1] is record:
            _check_aspect(fingerprints.PREPROCESSED, members[0], (name, record), shared_only=True)
        differences = _differences(members[0][1], record, fingerprints.PLANS)
        if differences and not different_plans:
            raise ComparisonError(_plans_text(members[0], (name, record), differences))
        notes += [f"Plans differ from those of {members[0][0]}: {name} has {text}." for text in differences]
    return list(dict.fromkeys(notes))


def _by_run(grid: Grid, records: Sequence[RunRecord]) -> dict[Run, RunRecord]:
    by_run: dict[Run, RunRecord] = {}
    for record in records:
        if record.run in by_run:
            raise ComparisonError(f"{record.run.record} was handed over twice: expected one record a run.")
        by_run[record.run] = record
    missing = [run.record for run in grid.runs() if run not in by_run]
    if missing:
        raise ComparisonError(
            f"{grid.title}: {len(missing)} of {len(grid.runs())} runs are not scored: {', '.join(missing)}. "
            "Run what is missing with: nnunet_textguided compare ... --run"
        )
    return by_run


def _named_runs(grid: Grid) -> Iterator[tuple[str, Run]]:
    for system in grid.systems:
        for plans, runs in grid.runs_of(system).items():
            for run in runs:
                yield _name(system, plans), run


def _name(system: System, plans: str) -> str:
    return f"{system.label} ({plans})" if len(system.plans) > 1 else system.label


def _check_folds(members: Sequence[tuple[str, RunRecord]]) -> None:
    """A case counts once: by the one model of each system that has not seen it."""
    for name, record in members:
        if twice := sorted({case for case in record.cases if record.cases.count(case) > 1}):
            raise ComparisonError(f"{name}: fold {record.run.fold} lists {', '.join(twice)} more than once.")
    owner: dict[tuple[str, str, str], int] = {}
    for name, record in members:
        for case in record.cases:
            fold = owner.setdefault((name, record.run.plans, case), record.run.fold)
            if fold != record.run.fold:
                raise ComparisonError(
                    f"{name}: case {case} is validated by fold {fold} and by fold {record.run.fold}, so it would count "
                    "twice. Compare folds that do not overlap."
                )


def _check_cases(first: tuple[str, RunRecord], other: tuple[str, RunRecord]) -> None:
    ours, theirs = set(first[1].cases), set(other[1].cases)
    if ours == theirs:
        return
    only = [
        f"only {name} has {', '.join(sorted(cases))}"
        for name, cases in ((first[0], ours - theirs), (other[0], theirs - ours))
        if cases
    ]
    raise ComparisonError(
        f"{first[0]} and {other[0]} were not judged by the same cases in fold {first[1].run.fold}: {'; '.join(only)}. "
        "Train and score both with one splits_final.json."
    )


def _check_aspect(
    aspect: str, first: tuple[str, RunRecord], other: tuple[str, RunRecord], shared_only: bool = False
) -> None:
    if aspect == fingerprints.TRAINING_DATA and not all(aspect in r.fingerprints for _, r in (first, other)):
        return  # a model folder whose dataset_fingerprint.json was not kept says nothing
    differences = _differences(first[1], other[1], aspect, shared_only)
    if differences:
        words, advice = STRICT[aspect]
        folds = sorted({first[1].run.fold, other[1].run.fold})
        raise ComparisonError(
            f"{first[0]} and {other[0]} differ in {words} (fold {' and '.join(map(str, folds))}): "
            f"{_shown(differences)}. {advice}"
        )


def _plans_text(first: tuple[str, RunRecord], other: tuple[str, RunRecord], differences: Sequence[str]) -> str:
    return (
        f"The plans of {first[0]} ({first[1].run.plans}) and {other[0]} ({other[1].run.plans}) differ outside "
        f"text_guidance; {other[0]} has {_shown(differences)}. Train both on copies of the same plans "
        "(nnunet_textguided plan makes such), or allow it with --different-plans, which lists the differences with the "
        "tables."
    )


def _differences(first: RunRecord, other: RunRecord, aspect: str, shared_only: bool = False) -> list[str]:
    """What the second has where the first has something else, in words; empty where the fingerprints agree.

    Folds need not have the same cases: of them only what both name is looked at.
    """
    if first.fingerprints.get(aspect) == other.fingerprints.get(aspect):
        return []
    ours, theirs = (_flat(record.details.get(aspect, {})) for record in (first, other))
    names = [name for name in {**ours, **theirs} if ours.get(name, _ABSENT) != theirs.get(name, _ABSENT)]
    if shared_only:
        names = [name for name in names if name in ours and name in theirs]
        if not names:
            return []
    return [
        f"{name} = {_value(theirs.get(name, _ABSENT))} instead of {_value(ours.get(name, _ABSENT))}" for name in names
    ] or ["other content (the details were not kept; score both again)"]


def _flat(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in content.items():
        nested = isinstance(value, Mapping) and value
        flat |= _flat(value, f"{prefix}{name}.") if nested else {f"{prefix}{name}": value}
    return flat


def _value(value: Any) -> str:
    """A value in short; of hashes the first digits tell enough."""
    if value is _ABSENT:
        return "nothing"
    text = str(value)
    if len(text) == 64 and set(text) <= set("0123456789abcdef"):
        return f"{text[:12]}..."
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}..."


def _shown(differences: Sequence[str]) -> str:
    more = len(differences) - SHOWN_DIFFERENCES
    return "; ".join(differences[:SHOWN_DIFFERENCES]) + (f"; and {more} more" if more > 0 else "")
