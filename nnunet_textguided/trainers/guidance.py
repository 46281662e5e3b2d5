"""The block `text_guidance` of plans.json: how the model is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from types import NoneType
from typing import Any

from nnunet_textguided.dataset_json import block_of, check_labels
from nnunet_textguided.errors import UserError
from nnunet_textguided.findings.vocabulary import FindingVocabulary
from nnunet_textguided.safe_names import check_name
from nnunet_textguided.text.glossary import terms_for
from nnunet_textguided.text.prompts import DEFAULT_TEMPLATES
from nnunet_textguided.trainers.mirroring import check_mirror_mode

BLOCK = "text_guidance"
_TEXT, _NUMBER = (str, NoneType), (int, float, NoneType)
_KINDS: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("names", "templates"), (list,)),
    **dict.fromkeys(("terms", "findings", "mirror_axes", "operating_points"), (dict,)),
    **dict.fromkeys(("bank", "encoder_source"), (dict, NoneType)),
    **dict.fromkeys(("encoder", "encoder_weights", "text_model"), (str,)),
    **dict.fromkeys(("text_weights", "orientation"), _TEXT),
    **{"encoder_rate": _NUMBER, "whitening": (int, float), "seed": (int, NoneType)},
}
DEFAULT_ENCODER = "convnextv2_tiny.fcmae_ft_in22k_in1k"
DEFAULT_TEXT_MODEL = "ViT-B-32"
DEFAULT_TEXT_WEIGHTS = "laion2b_s34b_b79k"


@dataclass(frozen=True)
class TextGuidance:
    """Everything the network is built and started from, in the words of the plans.

    Attributes:
        names: Names of the structures in channel order, without background.
        terms: Name -> the words that stand for it in the prompts.
        findings: Name -> `{"term": ..., "applies_to": [...]}`; empty where the data set has none.
        encoder: timm name of the image encoder.
        encoder_weights: `timm`, `none` or a file.
        encoder_rate: Factor on the learning rate of the encoder; None = 1 from scratch, 0.1 with pretrained weights.
        encoder_source: `{"source", "sha256", "licence", "pretraining"}` of the weights that the training started from.
        text_model: open_clip name, configuration file, `local-dir:`, `hf-hub:` or a control (`random`, `one-hot`).
        text_weights: open_clip tag or file; None for controls.
        templates: Prompt templates with `{term}` and `{modality}`.
        whitening: Exponent of the whitening of the bank; 0 = none, 1 = orthogonal rows.
        bank: `{"file", "sha256", "embedding_dim"}` once the bank exists.
        mirror_axes: `{"mode", "order_fixed_axes"}`, axes of the preprocessed 3D array.
        orientation: Orientation code of the data set's arrays, None if it does not say.
        seed: Seed of the training, None = unseeded as nnU-Net is.
        operating_points: Finding -> probability from which it counts as present; 0.5 where none is set. Chosen after
            the training, so folds of one model need not agree on it.
        version: Of this block.
    """

    names: list[str]
    terms: dict[str, str]
    findings: dict[str, Any] = field(default_factory=dict)
    encoder: str = DEFAULT_ENCODER
    encoder_weights: str = "timm"
    encoder_rate: float | None = None
    encoder_source: dict[str, Any] | None = None
    text_model: str = DEFAULT_TEXT_MODEL
    text_weights: str | None = DEFAULT_TEXT_WEIGHTS
    templates: list[str] = field(default_factory=lambda: list(DEFAULT_TEMPLATES))
    whitening: float = 0.0
    bank: dict[str, Any] | None = None
    mirror_axes: dict[str, Any] = field(default_factory=lambda: {"mode": "auto", "order_fixed_axes": None})
    orientation: str | None = None
    seed: int | None = None
    operating_points: dict[str, float] = field(default_factory=dict)
    version: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.whitening <= 1:
            raise UserError(f"Whitening is an exponent from 0 (none) to 1 (orthogonal rows), got {self.whitening}.")
        if self.encoder_rate is not None and not 0 < self.encoder_rate <= 1:
            raise UserError(f"The encoder's rate is a factor above 0 and up to 1, got {self.encoder_rate}.")
        check_mirror_mode(self.mirror_axes["mode"])

    def vocabulary(self) -> FindingVocabulary:
        """The findings the model is trained for."""
        return FindingVocabulary.from_block(self.findings, self.names)

    def to_block(self) -> dict[str, Any]:
        """The block as it stands in plans.json."""
        return asdict(self)

    @classmethod
    def from_plans(cls, plans: Mapping[str, Any]) -> TextGuidance:
        """Read a complete block.

        Raises:
            UserError: The plans have no block, an incomplete one, or one with unknown keys.
        """
        block = plans.get(BLOCK)
        if not isinstance(block, Mapping) or not {"names", "terms"} <= set(block):
            raise UserError(
                f"Plans {plans.get('plans_name', '?')} hold no complete block '{BLOCK}'. Models of this trainer "
                "save it with plans.json; make new plans with: nnunet_textguided plan -d DATASET_ID"
            )
        return cls(**_known_keys(block))

    @classmethod
    def for_dataset(cls, dataset_json: Mapping[str, Any], block: Mapping[str, Any] | None = None) -> TextGuidance:
        """Complete a block (or none) from dataset.json and the defaults.

        Args:
            dataset_json: nnU-Net's dataset.json.
            block: What the plans already say; it wins.

        Raises:
            UserError: The block names other structures than the data set, or dataset.json is at odds with itself.
        """
        given = _known_keys(block or {})
        names = structure_names(dataset_json)
        if given.get("names", names) != names:
            raise UserError(
                f"The plans were made for the structures {given['names']}, but dataset.json lists {names}. "
                "Make new plans: nnunet_textguided plan -d DATASET_ID --name NEW_NAME"
            )
        about = block_of(dataset_json)
        own_terms = dict(about.get("terms", {}))
        unknown = sorted(set(own_terms) - set(names) - set(about.get("findings", {})))
        if unknown:
            raise UserError(
                f"dataset.json, {BLOCK}.terms: {unknown} are not among its labels {names}. Correct the spelling there."
            )
        given.setdefault("terms", dict(zip(names, terms_for(names, own_terms), strict=True)))
        given.setdefault("orientation", about.get("orientation"))
        given["findings"] = _checked_findings(given.get("findings", {}), about.get("findings", {}), names)
        return cls(**{**given, "names": names})


def declared_findings(declared: Mapping[str, Any], names: list[str]) -> dict[str, Any]:
    """The findings of dataset.json with their terms filled in.

    Args:
        declared: Its `text_guidance.findings`.
        names: Structures in channel order.
    """
    vocabulary = FindingVocabulary.from_block(declared, names)
    return {
        name: {"term": term, "applies_to": list(sites)}
        for name, term, sites in zip(vocabulary.names, vocabulary.terms, vocabulary.applies_to, strict=True)
    }


def _checked_findings(chosen: Mapping[str, Any], declared: Mapping[str, Any], names: list[str]) -> dict[str, Any]:
    """The findings of the plans, which dataset.json has to declare the same."""
    entries = declared_findings(declared, names)
    if any(entries.get(name) != entry for name, entry in chosen.items()):
        raise UserError(
            f"The plans were made for the findings {dict(chosen)}, but dataset.json declares {entries}. "
            "Make new plans: nnunet_textguided plan -d DATASET_ID --name NEW_NAME"
        )
    return dict(chosen)


def _known_keys(block: Mapping[str, Any]) -> dict[str, Any]:
    known = {entry.name for entry in fields(TextGuidance)}
    unknown = sorted(set(block) - known)
    if unknown:
        raise UserError(f"Plans, block '{BLOCK}': unknown keys {unknown}; this version knows {sorted(known)}.")
    for key, kinds in _KINDS.items():
        if key in block and not isinstance(block[key], kinds):
            raise UserError(f"Plans, block '{BLOCK}', {key}: cannot be {str(block[key])[:80]!r}.")
    if block.get("bank"):
        check_name(block["bank"].get("file"), f"Plans, block '{BLOCK}', bank, file")
    if "mirror_axes" in block and "mode" not in block["mirror_axes"]:
        raise UserError(f"Plans, block '{BLOCK}', mirror_axes: expected a mode, got {block['mirror_axes']}.")
    return dict(block)


def structure_names(dataset_json: Mapping[str, Any]) -> list[str]:
    """Names of the foreground classes in channel order.

    Raises:
        UserError: Labels are regions, values repeat, or there is no foreground.
    """
    labels = {
        name: value
        for name, value in check_labels(dataset_json["labels"]).items()
        if name not in ("background", "ignore")
    }
    regions = sorted(name for name, value in labels.items() if isinstance(value, (list, tuple)))
    if regions:
        raise UserError(
            f"dataset.json: the labels {regions} are regions (several values each). Text queries need one value a "
            "structure; region-based training is not supported. Give each its own label, or use nnUNetTrainer."
        )
    if not labels or len(set(labels.values())) != len(labels):
        raise UserError(f"dataset.json: expected at least one label, each with a value of its own, got {labels}.")
    return sorted(labels, key=lambda name: int(labels[name]))


def agree(saved: Mapping[str, Any], wanted: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Choose the block of a model that exists over that of the plans, if they say the same.

    What the plans leave open (None, or no such key) does not contradict.

    Args:
        saved: Block in the plans.json of the model folder.
        wanted: Block of the plans in nnUNet_preprocessed, if any.

    Returns:
        `saved`.

    Raises:
        UserError: An option differs.
    """
    differing = []
    for key, value in (wanted or {}).items():
        kept = saved.get(key)
        if key == "mirror_axes":
            value, kept = value["mode"], (kept or {}).get("mode")
        if value is not None and kept is not None and value != kept:
            differing.append(f"{key}: model {kept!r}, plans {value!r}")
    if differing:
        raise UserError(
            "The model folder was started with other options than the plans now say ("
            + "; ".join(differing)
            + "). Folds of one model share their options: restore the plans, or give the new options plans of their "
            "own with: nnunet_textguided plan --name NEW_NAME"
        )
    return saved
