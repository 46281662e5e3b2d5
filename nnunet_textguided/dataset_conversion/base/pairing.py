"""Finding image and mask files that belong together, by the pattern of their names."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nnunet_textguided.dataset_conversion.base.names import case_name, is_inside
from nnunet_textguided.dataset_conversion.base.problems import CaseError
from nnunet_textguided.errors import UserError

ENDINGS = (".nii.gz", ".nii", ".mha", ".mhd", ".nrrd")


@dataclass(frozen=True)
class NamePattern:
    """What files are called, without their ending.

    Args:
        text: Literal text with `{case}`, and `{channel}` where every channel has a file of its own.
        channels: What may stand for `{channel}`, in the order of the channels.
        ignore_case: Take capital and small letters for the same.

    Raises:
        UserError: No `{case}`, another placeholder, or channels that the pattern does not tell apart.
    """

    text: str
    channels: tuple[str, ...] = ()
    ignore_case: bool = False

    def __post_init__(self) -> None:
        placeholders = re.findall(r"\{(.*?)\}", self.text)
        if sorted(placeholders) not in (["case"], ["case", "channel"]):
            raise UserError(
                f"Expected a name pattern with {{case}} once and {{channel}} at most once, got {self.text}."
            )
        if len(self.channels) > 1 and "channel" not in placeholders:
            raise UserError(f"{len(self.channels)} channels need {{channel}} in the name pattern, got {self.text}.")

    def match(self, path: Path) -> tuple[str, str] | None:
        """Return case and channel (empty if the pattern has none) of a file, None where the name is another one.

        Args:
            path: An image file.
        """
        ending = next((ending for ending in ENDINGS if path.name.lower().endswith(ending)), None)
        if ending is None:
            return None
        channels = "|".join(map(re.escape, self.channels)) or ".+?"
        regex = re.escape(self.text).replace(r"\{case\}", "(?P<case>.+?)")
        regex = regex.replace(r"\{channel\}", f"(?P<channel>{channels})")
        found = re.fullmatch(regex, path.name[: -len(ending)], re.IGNORECASE if self.ignore_case else 0)
        return None if found is None else (found["case"], found.groupdict().get("channel") or "")


@dataclass
class FoundCases:
    """What a search found.

    Attributes:
        images: Case identifier -> channel -> file.
        masks: Case identifier -> file.
        problems: File or case -> what is wrong with it.
    """

    images: dict[str, dict[str, Path]] = field(default_factory=lambda: defaultdict(dict))
    masks: dict[str, Path] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)


def find_cases(source: Path, images: tuple[str, NamePattern], masks: tuple[str, NamePattern]) -> FoundCases:
    """Search the folders of images and of masks, sub-folders too.

    Links that lead out of the source, two files of one case and channel, and names of which nothing is left are
    problems; files of other names are none.

    Args:
        source: Folder of the data set.
        images: Pattern of the folders (as `Path.glob` takes it, `.` is the source) and of the names in them.
        masks: The same for masks.

    Raises:
        UserError: A folder is not there.
    """
    found = FoundCases()
    for path, name, channel in _matches(source, *images, found.problems):
        if channel in found.images[name]:
            found.problems[str(path)] = f"{path}: is the same case and channel as {found.images[name][channel]}"
        else:
            found.images[name][channel] = path
    for path, name, _ in _matches(source, *masks, found.problems):
        if name in found.masks:
            found.problems[str(path)] = f"{path}: is the mask of the same case as {found.masks[name]}"
        else:
            found.masks[name] = path
    return found


def _matches(
    source: Path, folders: str, pattern: NamePattern, problems: dict[str, str]
) -> Sequence[tuple[Path, str, str]]:
    if ".." in Path(folders).parts or Path(folders).is_absolute():
        raise UserError(f"Expected a folder inside {source}, got {folders}.")
    roots = [source] if folders in ("", ".") else [path for path in sorted(source.glob(folders)) if path.is_dir()]
    if not roots or not source.is_dir():
        raise UserError(f"Expected a folder {folders!r} in {source}, found none.")
    found = []
    for path in sorted({path for root in roots for path in root.rglob("*") if not path.name.startswith(".")}):
        match = pattern.match(path)
        if match is None or not path.is_file():
            continue
        try:
            if not is_inside(path, source):
                raise CaseError(f"{path}: is a link to {path.resolve()}, outside {source}; copy the file instead")
            found.append((path, case_name(match[0]), match[1]))
        except CaseError as problem:
            problems[str(path)] = str(problem)
    return found


def complete_cases(
    found: FoundCases, channels: Sequence[str], keep_unlabelled: bool
) -> Mapping[str, tuple[tuple[Path, ...], Path | None]]:
    """Return case -> its channels and its mask; what is incomplete goes to the problems.

    Args:
        found: Of `find_cases`; its problems grow.
        channels: What the channels are called in the names, in order; one empty name if there is one channel.
        keep_unlabelled: Whether an image without a mask is a case.
    """
    cases = {}
    for name in sorted({*found.images, *found.masks}):
        files, mask = found.images.get(name, {}), found.masks.get(name)
        missing = [channel or "image" for channel in channels if channel not in files]
        if not files:
            found.problems[name] = f"{name}: mask without image ({mask})"
        elif missing:
            found.problems[name] = f"{name}: expected the channels {', '.join(channels)}, missing {', '.join(missing)}"
        elif mask is None and not keep_unlabelled:
            found.problems[name] = f"{name}: image without mask ({next(iter(files.values()))})"
        else:
            cases[name] = (tuple(files[channel] for channel in channels), mask)
    return cases
