from __future__ import annotations

import numpy as np
import pytest

from nnunet_textguided.errors import UserError
from nnunet_textguided.text.clip_source import check_name
from nnunet_textguided.text.encoders import is_control, load_text_encoder


def test_random_vectors_depend_on_text_and_seed_alone():
    encoder = load_text_encoder("random", None, seed=3)
    rows = encoder.encode(["sacrum", "L5", "liver"])
    np.testing.assert_array_equal(load_text_encoder("random", seed=3).encode(["liver", "sacrum"]), rows[[2, 0]])
    assert not np.allclose(load_text_encoder("random", seed=4).encode(["sacrum"]), rows[0])
    assert (rows.shape, rows.dtype) == ((3, 512), np.float32)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1.0, rtol=1e-6)


def test_random_vectors_look_gaussian():
    rows = load_text_encoder("random").encode([f"name {i}" for i in range(200)])
    values = rows * np.sqrt(512)
    assert abs(values.mean()) < 0.02
    # fourth moment of a standard Gaussian is 3
    assert abs((values**4).mean() - 3.0) < 0.1
    assert np.abs(rows @ rows.T - np.eye(200)).max() < 0.3


def test_random_vectors_stay_the_same_over_versions():
    row = load_text_encoder("random", seed=0).encode(["sacrum"])[0]
    import hashlib

    seed = np.frombuffer(hashlib.sha256(b"0:sacrum").digest(), dtype="<u4")
    reference = np.random.RandomState(seed).randn(512)
    np.testing.assert_allclose(row, reference / np.sqrt((reference**2).sum()), rtol=1e-6)


def test_one_hot_numbers_the_names():
    rows = load_text_encoder("one-hot").encode(["a", "b", "c"])
    assert rows.shape == (3, 512)
    assert [list(np.flatnonzero(row)) for row in rows] == [[0], [1], [2]]
    assert rows.sum() == 3
    assert load_text_encoder("one-hot").encode([str(i) for i in range(512)]).shape == (512, 512)
    with pytest.raises(UserError, match="512 names, got 513"):
        load_text_encoder("one-hot").encode([str(i) for i in range(513)])


def test_controls_say_that_they_have_no_weights():
    for model in ("random", "one-hot", "onehot", "one_hot", "Random"):
        encoder = load_text_encoder(model, "laion2b_s34b_b79k")
        assert is_control(model)
        assert encoder.provenance["weights"] is None
        assert encoder.provenance["model"] in ("random", "one-hot")
        assert not encoder.uses_prompts
    assert not is_control("ViT-B-32")


def test_unknown_names_list_near_misses():
    with pytest.raises(UserError, match=r"ViT-B32.*Did you mean ViT-B-32"):
        load_text_encoder("ViT-B32", "openai")
    with pytest.raises(UserError, match=r"randm.*Did you mean random"):
        load_text_encoder("randm")
    with pytest.raises(UserError, match=r"laion2b_s34b.*Did you mean .*laion2b_s34b_b79k"):
        load_text_encoder("ViT-B-32", "laion2b_s34b")


def test_names_are_checked_without_fetching_anything(tmp_path, monkeypatch):
    monkeypatch.setattr("nnunet_textguided.text.hub_files.fetch_hub_file", lambda *_: pytest.fail("fetched"))
    (tmp_path / "weights.pt").write_bytes(b"x")
    check_name("ViT-B-32", "laion2b_s34b_b79k")
    check_name("ViT-B-32", str(tmp_path / "weights.pt"))
    for model, weights in (("ViT-B32", "openai"), ("ViT-B-32", "opena"), ("ViT-B-32", None), ("ViT-B-32", "no.pt")):
        with pytest.raises(UserError):
            check_name(model, weights)


def test_weights_are_never_left_to_chance():
    for weights in (None, "", "none"):
        with pytest.raises(UserError, match=r"needs weights.*laion2b_s34b_b79k"):
            load_text_encoder("ViT-B-32", weights)
    with pytest.raises(UserError, match=r"no file"):
        load_text_encoder("ViT-B-32", "folder/missing.pt")
