from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from nnunet_textguided.errors import UserError
from nnunet_textguided.files import file_sha256
from nnunet_textguided.text.bank import TextBank, check_bank, load_bank, save_bank


@pytest.fixture
def bank() -> TextBank:
    return TextBank(
        embeddings=np.arange(12, dtype=np.float32).reshape(3, 4),
        names=("L5", "L5/S", "disc bulge"),
        terms=("fifth lumbar vertebra", "lumbosacral disc", "bulging disc ü"),
        prompts=(("a", "b"), ("c",), ("d", "e")),
        model="tower",
        weights="tower.pt",
        weights_sha256="00ff",
        licence="MIT",
        command="embed -d 501",
        templates=("{term}",),
        modality="CT",
        library="open_clip_torch 3",
    )


def test_a_bank_comes_back_as_it_was_written(bank, tmp_path):
    save_bank(bank, tmp_path / "new" / "bank.safetensors")
    loaded = load_bank(tmp_path / "new" / "bank.safetensors")
    np.testing.assert_array_equal(loaded.embeddings, bank.embeddings)
    for field in dataclasses.fields(TextBank):
        if field.name != "embeddings":
            assert getattr(loaded, field.name) == getattr(bank, field.name), field.name
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["bank.safetensors"]


def test_the_same_bank_gives_the_same_bytes(bank, tmp_path):
    for name in ("a", "b"):
        save_bank(bank, tmp_path / f"{name}.safetensors")
    assert file_sha256(tmp_path / "a.safetensors") == file_sha256(tmp_path / "b.safetensors")


def test_the_documented_minimum_written_by_another_program_is_enough(tmp_path):
    metadata = {"text_bank": json.dumps({"names": ["liver", "spleen"], "model": "my encoder"})}
    save_file({"embeddings": np.eye(2, 5, dtype=np.float32)}, tmp_path / "bank.safetensors", metadata=metadata)
    bank = load_bank(tmp_path / "bank.safetensors")
    assert (bank.names, bank.terms, bank.model, bank.embedding_dim) == (("liver", "spleen"),) * 2 + ("my encoder", 5)


def test_sha256_is_that_of_the_bytes(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    # FIPS 180-2, appendix B.1
    assert file_sha256(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.mark.parametrize("keep", [0, 5, 60, -3])
def test_a_truncated_file_is_named(bank, tmp_path, keep):
    path = tmp_path / "bank.safetensors"
    save_bank(bank, path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UserError, match=r"bank\.safetensors.*complete"):
        load_bank(path)


def test_a_missing_file_says_how_to_make_one(tmp_path):
    with pytest.raises(UserError, match="nnunet_textguided embed"):
        load_bank(tmp_path / "bank.safetensors")


def _write(path, embeddings, **metadata):
    save_file({"embeddings": embeddings}, path, metadata={"text_bank": json.dumps(metadata)})


@pytest.mark.parametrize(
    ("embeddings", "metadata", "message"),
    [
        (np.ones((2, 3), np.float32), {"names": ["a", "a"]}, "'a' stands there more than once"),
        (np.ones((2, 3), np.float32), {"names": ["a"]}, "1 names for 2 rows"),
        (np.ones((2, 3), np.float32), {"names": "ab"}, "names"),
        (np.ones((2, 3), np.float32), {"names": ["a", 1]}, "names"),
        (np.ones((2, 3), np.float32), {}, "names"),
        (np.ones((2, 3), np.float32), {"names": ["a", "b"], "terms": ["x"]}, "2 terms"),
        (np.ones((2, 3), np.float32), {"names": ["a", "b"], "format_version": "9"}, "format 9"),
        (np.full((2, 3), np.nan, np.float32), {"names": ["a", "b"]}, "NaN"),
        (np.array([[1, 2], [3, np.inf]], np.float32), {"names": ["a", "b"]}, "row 1"),
        (np.ones((2, 3), np.float64), {"names": ["a", "b"]}, "float32"),
        (np.ones(2, np.float32), {"names": ["a", "b"]}, r"\(N, D\)"),
    ],
)
def test_unsound_content_is_an_error(tmp_path, embeddings, metadata, message):
    _write(tmp_path / "bank.safetensors", embeddings, **metadata)
    with pytest.raises(UserError, match=message):
        load_bank(tmp_path / "bank.safetensors")


def test_other_safetensors_files_are_not_banks(tmp_path):
    save_file({"weight": np.ones((2, 3), np.float32)}, tmp_path / "a.safetensors")
    with pytest.raises(UserError, match="'embeddings'"):
        load_bank(tmp_path / "a.safetensors")
    save_file({"embeddings": np.ones((2, 3), np.float32)}, tmp_path / "b.safetensors")
    with pytest.raises(UserError, match="'text_bank'"):
        load_bank(tmp_path / "b.safetensors")
    save_file({"embeddings": np.ones((2, 3), np.float32)}, tmp_path / "c.safetensors", metadata={"text_bank": "[1"})
    with pytest.raises(UserError, match="metadata"):
        load_bank(tmp_path / "c.safetensors")


def test_an_unsound_bank_is_not_written(bank, tmp_path):
    with pytest.raises(UserError, match="names"):
        save_bank(dataclasses.replace(bank, names=("L5",)), tmp_path / "bank.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_check_bank_says_what_differs(bank, tmp_path):
    path = tmp_path / "bank.safetensors"
    save_bank(bank, path)
    check_bank(bank, path, list(bank.names), file_sha256(path), 4)
    with pytest.raises(UserError, match=r"missing names \['S'\], names not in the plans \['L5'\]"):
        check_bank(bank, path, ["S", "L5/S", "disc bulge"])
    with pytest.raises(UserError, match=r"another order.*row 0 is 'L5', expected 'L5/S'"):
        check_bank(bank, path, ["L5/S", "L5", "disc bulge"])
    with pytest.raises(UserError, match=r"width 4.*512.*embed .*--overwrite"):
        check_bank(bank, path, bank.names, embedding_dim=512)
    with pytest.raises(UserError, match=r"sha256.*embed .*--overwrite"):
        check_bank(bank, path, bank.names, sha256="0" * 64)
