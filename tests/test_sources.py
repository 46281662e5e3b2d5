from __future__ import annotations

import pytest

from nnunet_textguided.sources import declared_missing, not_annotated

MISSING = {"spider": {"S"}, "spider_old": {"S", "T9"}, "rsna": set()}


@pytest.mark.parametrize(
    ("case", "names"),
    [
        ("spider_005", {"S"}),
        ("spider", {"S"}),
        ("spider_old_005", {"S", "T9"}),
        ("spiderman_005", set()),
        ("rsna_1", set()),
        ("tianchi_1", set()),
    ],
)
def test_a_case_belongs_to_the_longest_source_it_begins_with(case: str, names: set[str]):
    assert not_annotated(case, MISSING) == names


def test_dataset_json_without_the_block_or_entry_declares_nothing():
    for content in ({}, {"text_guidance": None}, {"text_guidance": {}}, {"text_guidance": {"missing": None}}):
        assert declared_missing(content) == {}
    assert declared_missing({"text_guidance": {"missing": {"a": ["S", "L5"]}}}) == {"a": {"S", "L5"}}
