from __future__ import annotations

import numpy as np
import pytest

from nnunet_textguided.errors import UserError
from nnunet_textguided.text.embed import encode_prompts, make_bank
from nnunet_textguided.text.encoders import load_text_encoder


class _Lookup:
    uses_prompts = True
    embedding_dim = 2
    provenance: dict = {}  # noqa: RUF012

    def __init__(self, **vectors):
        self.vectors = vectors

    def encode(self, texts):
        return np.array([self.vectors[text] for text in texts], dtype=np.float32)


def test_prompts_are_normalised_averaged_and_normalised_again():
    encoder = _Lookup(a=(10.0, 0.0), b=(0.0, 1.0), c=(0.0, -3.0))
    rows = encode_prompts(encoder, [["a", "b"], ["c"]])
    np.testing.assert_allclose(rows, [[np.sqrt(0.5), np.sqrt(0.5)], [0.0, -1.0]], atol=1e-6)
    assert rows.dtype == np.float32


def test_broken_vectors_are_an_error():
    for vector in ((0.0, 0.0), (np.nan, 1.0)):
        with pytest.raises(UserError, match="broken"):
            encode_prompts(_Lookup(a=vector), [["a"]])
    with pytest.raises(UserError, match="broken"):
        encode_prompts(_Lookup(a=(1.0, 0.0), b=(-1.0, 0.0)), [["a", "b"]])


def test_rows_are_structures_then_findings_and_controls_take_the_bare_term():
    bank = make_bank(["S", "L5"], {"L5": "fifth", "S": "sacrum"}, {"bulge": "disc bulge"}, "CT", "random", None, seed=7,
                     command="embed -d 1")  # fmt: skip
    assert bank.names == ("S", "L5", "bulge")
    assert bank.terms == ("sacrum", "fifth", "disc bulge")
    assert bank.prompts == (("sacrum",), ("fifth",), ("disc bulge",))
    assert (bank.model, bank.weights, bank.seed, bank.modality, bank.command) == ("random", None, 7, "CT", "embed -d 1")
    expected = load_text_encoder("random", seed=7).encode(["sacrum", "fifth", "disc bulge"])
    np.testing.assert_allclose(bank.embeddings, expected, atol=1e-6)


def test_one_hot_numbers_all_names_of_the_bank():
    bank = make_bank(["S", "L5"], ["sacrum", "fifth"], {"bulge": "disc bulge"}, "CT", "one-hot", None)
    np.testing.assert_array_equal(bank.embeddings, np.eye(3, 512))
    assert bank.seed is None


@pytest.mark.parametrize(
    ("structures", "terms", "findings", "message"),
    [
        ([], [], {}, "at least one structure"),
        (["S", "S"], ["a", "b"], {}, "'S'"),
        (["S"], ["a"], {"S": "b"}, "'S'"),
        (["S", "L5"], ["a"], {}, "Expected 2 terms"),
        (["S", "L5"], {"S": "a"}, {}, r"\['L5'\]"),
    ],
)
def test_names_and_terms_must_fit(structures, terms, findings, message):
    with pytest.raises(UserError, match=message):
        make_bank(structures, terms, findings, "CT", "random", None)
