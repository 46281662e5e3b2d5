from __future__ import annotations

import copy
import json

import numpy as np
import pytest
from safetensors.torch import save_file

open_clip = pytest.importorskip("open_clip")
torch = pytest.importorskip("torch")

from nnunet_textguided.errors import UserError  # noqa: E402
from nnunet_textguided.files import file_sha256  # noqa: E402
from nnunet_textguided.text.embed import make_bank  # noqa: E402
from nnunet_textguided.text.encoders import load_text_encoder  # noqa: E402

TEXTS = ["fourth lumbar vertebra", "the sacrum on CT", "liver"]
CONFIG = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 64, "patch_size": 16},
    "text_cfg": {"context_length": 20, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 2},
}


@pytest.fixture(scope="module")
def source():
    torch.manual_seed(0)
    return open_clip.CLIP(**copy.deepcopy(CONFIG)).eval()


@pytest.fixture
def config_file(tmp_path):
    path = tmp_path / "tiny.json"
    path.write_text(json.dumps(CONFIG))
    return path


@pytest.fixture
def expected(source):
    with torch.no_grad():
        return source.encode_text(open_clip.SimpleTokenizer(context_length=20)(TEXTS)).numpy()


@pytest.mark.parametrize("suffix", [".pt", ".bin", ".safetensors"])
def test_a_tower_of_ones_own_gives_open_clips_vectors(source, config_file, expected, tmp_path, suffix):
    path = tmp_path / f"weights{suffix}"
    (save_file if suffix == ".safetensors" else torch.save)(source.state_dict(), path)
    encoder = load_text_encoder(str(config_file), str(path))
    np.testing.assert_allclose(encoder.encode(TEXTS), expected, atol=1e-6)
    assert encoder.embedding_dim == 24
    assert encoder.provenance["weights_sha256"] == file_sha256(path)
    assert encoder.provenance["weights"] == path.name
    assert not any(key.startswith("visual") for key in encoder.tower.state_dict())


def test_a_training_checkpoint_and_the_text_tower_alone_are_understood(source, config_file, expected, tmp_path):
    state = source.state_dict()
    torch.save({"epoch": 3, "state_dict": {f"module.{k}": v for k, v in state.items()}}, tmp_path / "training.pt")
    torch.save({k: v for k, v in state.items() if not k.startswith("visual.")}, tmp_path / "text.pt")
    for name in ("training.pt", "text.pt"):
        encoder = load_text_encoder(str(config_file), str(tmp_path / name))
        np.testing.assert_allclose(encoder.encode(TEXTS), expected, atol=1e-6)


def test_both_layouts_of_open_clip_are_understood(source, config_file, expected, tmp_path):
    custom = open_clip.CustomTextCLIP(**copy.deepcopy(CONFIG))
    custom.load_state_dict(open_clip.model.convert_to_custom_text_state_dict(source.state_dict()))
    torch.save(custom.state_dict(), tmp_path / "custom.pt")
    torch.save(source.state_dict(), tmp_path / "plain.pt")
    custom_config = tmp_path / "custom.json"
    custom_config.write_text(json.dumps({**CONFIG, "custom_text": True}))
    for config, weights in ((config_file, "custom.pt"), (custom_config, "custom.pt"), (custom_config, "plain.pt")):
        encoder = load_text_encoder(str(config), str(tmp_path / weights))
        np.testing.assert_allclose(encoder.encode(TEXTS), expected, atol=1e-6)


def test_local_dir_brings_its_own_weights(source, expected, tmp_path):
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": CONFIG, "preprocess_cfg": {}}))
    with pytest.raises(UserError, match="one weights file"):
        load_text_encoder(f"local-dir:{tmp_path}")
    torch.save({}, tmp_path / "other.pt")
    save_file(source.state_dict(), tmp_path / "open_clip_model.safetensors")
    encoder = load_text_encoder(f"local-dir:{tmp_path}")
    np.testing.assert_allclose(encoder.encode(TEXTS), expected, atol=1e-6)
    with pytest.raises(UserError, match="found none"):
        load_text_encoder(f"local-dir:{tmp_path / 'nowhere'}")


def test_a_built_in_model_takes_a_local_file(source, expected, tmp_path, monkeypatch):
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "tiny-built-in", copy.deepcopy(CONFIG))
    torch.save(source.state_dict(), tmp_path / "weights.pt")
    encoder = load_text_encoder("tiny-built-in", str(tmp_path / "weights.pt"))
    np.testing.assert_allclose(encoder.encode(TEXTS), expected, atol=1e-6)


def test_quick_gelu_follows_the_tag(source, tmp_path, monkeypatch):
    save_file(source.state_dict(), tmp_path / "weights.safetensors")
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "tiny-built-in", copy.deepcopy(CONFIG))
    tags = {"quick": {"hf_hub": "me/quick/", "quick_gelu": True}}
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, "tiny-built-in", tags)
    monkeypatch.setattr("nnunet_textguided.text.hub_files.fetch_hub_file", lambda *_: tmp_path / "weights.safetensors")
    quick = open_clip.CLIP(**copy.deepcopy(CONFIG), quick_gelu=True).eval()
    quick.load_state_dict(source.state_dict())
    with torch.no_grad():
        expected = quick.encode_text(open_clip.SimpleTokenizer(context_length=20)(TEXTS)).numpy()
    np.testing.assert_allclose(load_text_encoder("tiny-built-in", "quick").encode(TEXTS), expected, atol=1e-6)


def test_coca_towers_work(tmp_path):
    config = copy.deepcopy(CONFIG)
    config["vision_cfg"] |= {"attentional_pool": True, "attn_pooler_heads": 2, "output_tokens": True}
    config["text_cfg"] |= {"embed_cls": True, "output_tokens": True}
    config["multimodal_cfg"] = {"context_length": 20, "vocab_size": 49408, "width": 24, "heads": 2, "layers": 1}
    coca = open_clip.CoCa(**copy.deepcopy(config)).eval()
    torch.save(coca.state_dict(), tmp_path / "coca.pt")
    (tmp_path / "coca.json").write_text(json.dumps({**config, "custom_text": True}))
    with torch.no_grad():
        expected = coca.encode_text(open_clip.SimpleTokenizer(context_length=20)(TEXTS)).numpy()
    encoder = load_text_encoder(str(tmp_path / "coca.json"), str(tmp_path / "coca.pt"))
    np.testing.assert_allclose(encoder.encode(TEXTS), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("transformer.resblocks.1.mlp.c_fc.weight"), "lacks 1 of .*c_fc.weight"),
        (lambda state: state.update({"transformer.resblocks.2.ln_1.weight": torch.ones(16)}), "1 keys that this"),
        (lambda state: state.update(ln_final_x=torch.ones(1)), "ln_final_x"),
        (lambda state: state.update({"ln_final.weight": torch.ones(15)}), r"shape \(15,\).*\(16,\)"),
        (lambda state: state.update({"ln_final.weight": torch.full((16,), torch.nan)}), "NaN"),
    ],
)
def test_every_text_key_must_be_accounted_for(source, config_file, tmp_path, change, message):
    state = dict(source.state_dict())
    change(state)
    torch.save(state, tmp_path / "weights.pt")
    with pytest.raises(UserError, match=rf"weights\.pt.*{message}"):
        load_text_encoder(str(config_file), str(tmp_path / "weights.pt"))


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("damage", ["empty", "truncated", "noise"])
def test_damaged_files_are_named(source, config_file, tmp_path, suffix, damage):
    path = tmp_path / f"weights{suffix}"
    (save_file if suffix == ".safetensors" else torch.save)(source.state_dict(), path)
    content = path.read_bytes()
    path.write_bytes({"empty": b"", "truncated": content[: len(content) // 2], "noise": b"\x93noise" * 50}[damage])
    with pytest.raises(UserError, match=rf"weights\{suffix}.*corrupt"):
        load_text_encoder(str(config_file), str(path))


class _Payload:
    ran = False

    def __reduce__(self):
        return (setattr, (_Payload, "ran", True))


def test_a_pickle_with_code_is_not_run(config_file, tmp_path):
    torch.save({"state_dict": {"a": torch.ones(1)}, "x": _Payload()}, tmp_path / "evil.pt")
    with pytest.raises(UserError, match=r"evil\.pt"):
        load_text_encoder(str(config_file), str(tmp_path / "evil.pt"))
    assert _Payload.ran is False
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(UserError, match="no state_dict"):
        load_text_encoder(str(config_file), str(tmp_path / "list.pt"))


def test_unusable_configurations_are_named(source, tmp_path):
    torch.save(source.state_dict(), tmp_path / "weights.pt")
    path = tmp_path / "broken.json"
    broken = (
        ("{", "not valid JSON"),
        ("[]", "embed_dim"),
        (json.dumps({**CONFIG, "text_cfg": {"widht": 3}}), "cannot be built"),
        (json.dumps({**CONFIG, "text_cfg": {**CONFIG["text_cfg"], "heads": 3}}), "cannot be built"),
    )
    for text, message in broken:
        path.write_text(text)
        with pytest.raises(UserError, match=message):
            load_text_encoder(str(path), str(tmp_path / "weights.pt"))
    with pytest.raises(UserError, match="JSON file at"):
        load_text_encoder(str(tmp_path / "none.json"), str(tmp_path / "weights.pt"))


def test_a_tokenizer_that_does_not_fit_is_an_error(tmp_path):
    config = copy.deepcopy(CONFIG)
    config["text_cfg"]["vocab_size"] = 100
    model = open_clip.CLIP(**copy.deepcopy(config))
    torch.save(model.state_dict(), tmp_path / "weights.pt")
    (tmp_path / "small.json").write_text(json.dumps(config))
    encoder = load_text_encoder(str(tmp_path / "small.json"), str(tmp_path / "weights.pt"))
    with pytest.raises(UserError, match="tokenizer"):
        encoder.encode(["sacrum"])


def test_a_banks_row_is_the_normalised_mean_of_normalised_prompts(source, config_file, tmp_path):
    torch.save(source.state_dict(), tmp_path / "weights.pt")
    templates = ("{term}", "{modality} of the {term}")
    weights = str(tmp_path / "weights.pt")
    bank = make_bank(["S", "L5"], ["sacrum", "fifth lumbar vertebra"], {"bulge": "disc bulge"}, "CT", str(config_file),
                     weights, templates)  # fmt: skip
    with torch.no_grad():
        tokens = open_clip.SimpleTokenizer(context_length=20)(["disc bulge", "CT of the disc bulge"])
        vectors = source.encode_text(tokens, normalize=True)
        expected = torch.nn.functional.normalize(vectors.mean(dim=0), dim=0).numpy()
    np.testing.assert_allclose(bank.embeddings[2], expected, atol=1e-6)
    assert bank.names == ("S", "L5", "bulge")
    assert bank.prompts[2] == ("disc bulge", "CT of the disc bulge")
    assert bank.weights_sha256 == file_sha256(weights)
