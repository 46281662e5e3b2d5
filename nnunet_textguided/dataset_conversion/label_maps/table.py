"""From a source's label map and the user's choices to the codes that are written; pure Python."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from nnunet_textguided.dataset_conversion.label_maps.label_map import TRANSITIONAL, LabelMap
from nnunet_textguided.dataset_conversion.label_maps.spine_labels import (
    BACKGROUND_NAME,
    CANAL_NAME,
    IGNORE_NAME,
    spine_labels,
)

TRANSITIONAL_CHOICES = ("error", "keep", "ignore", "background")


@dataclass(frozen=True)
class Choices:
    """What the user decided.

    Attributes:
        canal: Keep the spinal canal; if not, it becomes background where the target has no such class.
        transitional: What structures of transitional anatomy become, one of TRANSITIONAL_CHOICES: a decision to be
            asked for, labels of their own, nnU-Net's ignore label, or background.
        codes: Source code to the name it becomes, whatever the label map says.
    """

    canal: bool = False
    transitional: str = "error"
    codes: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Table:
    """How the codes of one mask are replaced.

    Attributes:
        codes: Source code to target code, for `map_codes`; the undecided ones are left out.
        names: Source code to the name it becomes; background where it becomes that.
        undecided: Source code to the transitional structure it is, where that needs the user's decision.
        dropped: Source code to a structure that the target does not have, so that it becomes background.
    """

    codes: dict[int, int]
    names: dict[int, str]
    undecided: dict[int, str]
    dropped: dict[int, str]


def shared_labels(source: LabelMap, choices: Choices) -> dict[str, int]:
    """Return the `labels` of what a source becomes in the shared spine label set.

    The codes depend on the source and the choices only, never on what one mask holds.

    Args:
        source: Its label map.
        choices: The user's.
    """
    chosen = set(choices.codes.values())
    kept = set(source.transitional) if choices.transitional == "keep" else set()
    extra = [name for name in TRANSITIONAL if name in kept | chosen]
    ignore = choices.transitional == "ignore" or IGNORE_NAME in chosen | set(source.codes.values())
    return spine_labels(choices.canal, ignore, extra)


def build_table(
    source: LabelMap, labels: Mapping[str, int], choices: Choices | None = None, present: Collection[int] = ()
) -> Table:
    """Work out what each of a source's codes becomes.

    Args:
        source: The label map of the mask.
        labels: Name to code of the target: `shared_labels` or another map's `written_codes`.
        choices: The user's.
        present: The codes that the mask holds; they tell which discs there are in transitional anatomy.
    """
    choices = choices or Choices()
    names = source.names_in(present)
    target = dict.fromkeys((0, *source.background), BACKGROUND_NAME)
    undecided, dropped = {}, {}
    for code, name in names.items():
        if name in labels:
            target[code] = name
        elif name == CANAL_NAME and not choices.canal:
            target[code] = BACKGROUND_NAME
        elif name in TRANSITIONAL and choices.transitional == "ignore":
            target[code] = IGNORE_NAME
        elif name in TRANSITIONAL and choices.transitional != "background" and code not in choices.codes:
            undecided[code] = name
        else:
            target[code] = BACKGROUND_NAME
            dropped[code] = name
    for code, name in choices.codes.items():
        target[code] = name
        dropped.pop(code, None)
    written = {BACKGROUND_NAME: 0, **labels}
    return Table({code: written[name] for code, name in target.items()}, target, undecided, dropped)
