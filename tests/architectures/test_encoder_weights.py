from __future__ import annotations

import hashlib

import pytest
import safetensors.torch
import timm
import torch

from nnunet_textguided.architectures import load_encoder_weights
from nnunet_textguided.architectures.lift import adapt_input_channels
from nnunet_textguided.errors import UserError

ATTO = "convnextv2_atto"


@pytest.fixture
def timm_model(move_parameters):
    torch.manual_seed(7)
    model = timm.create_model(ATTO, pretrained=False).eval()
    move_parameters(model)
    return model


@pytest.fixture
def weights_file(timm_model, tmp_path):
    path = tmp_path / "atto.safetensors"
    safetensors.torch.save_file(timm_model.state_dict(), path, metadata={"license": "cc-by-nc-4.0"})
    return path


def test_2d_features_equal_timms_own(make_network, timm_model, weights_file):
    network = make_network(input_channels=3).eval()
    info = load_encoder_weights(network, str(weights_file), ATTO)
    x = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        expected = timm_model.forward_intermediates(x, intermediates_only=True)
        got = network.encoder(x)
    for a, b in zip(got, expected, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)
    accounted = info["n_loaded"] + len(info["unused"])
    assert accounted == len(timm_model.state_dict())
    assert info["n_loaded"] == len(network.encoder.state_dict())
    assert all(key.startswith("head.") for key in info["unused"])


def test_info_tells_hash_and_licence(make_network, weights_file):
    info = load_encoder_weights(make_network().encoder, str(weights_file), ATTO)
    assert info["sha256"] == hashlib.sha256(weights_file.read_bytes()).hexdigest()
    assert info["licence"] == "cc-by-nc-4.0"
    assert info["source"] == str(weights_file)


def test_one_channel_equals_timms_own_adaption(make_network, weights_file):
    network = make_network(input_channels=1).eval()
    load_encoder_weights(network, str(weights_file), ATTO)
    overlay = {"file": str(weights_file)}
    own = timm.create_model(ATTO, pretrained=True, features_only=True, in_chans=1, pretrained_cfg_overlay=overlay)
    x = torch.randn(1, 1, 32, 32)
    with torch.no_grad():
        for a, b in zip(network.encoder(x), own.eval()(x), strict=True):
            torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_repeated_channels_give_the_grey_response(channels):
    kernel = torch.randn(4, 3, 2, 2)
    grey = torch.randn(1, 1, 2, 2)
    expected = torch.nn.functional.conv2d(grey.expand(-1, 3, -1, -1), kernel)
    adapted = adapt_input_channels(kernel, channels)
    got = torch.nn.functional.conv2d(grey.expand(-1, channels, -1, -1), adapted)
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-5)


def test_three_channels_are_left_alone():
    kernel = torch.randn(4, 3, 2, 2)
    assert adapt_input_channels(kernel, 3) is kernel


@pytest.mark.parametrize("plan", ["3d_flat", "3d_isotropic", "3d_anisotropic"])
@pytest.mark.parametrize("channels", [1, 2])
def test_volume_encoder_takes_2d_weights(make_network, timm_model, weights_file, plan, channels):
    network = make_network(plan, input_channels=channels).eval()
    load_encoder_weights(network, str(weights_file), ATTO)
    grey = torch.randn(1, 1, 32, 32)
    with torch.no_grad():
        expected = timm_model.forward_intermediates(grey.expand(-1, 3, -1, -1), intermediates_only=True)
        got = network.encoder(grey[:, :, None].expand(-1, channels, 16, -1, -1))
    for a, b in zip(got, expected, strict=True):
        torch.testing.assert_close(a, b[:, :, None].expand_as(a), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("wrapper", [None, "model", "state_dict"])
@pytest.mark.parametrize("suffix", [".pth", ".bin"])
def test_pytorch_files_plain_and_wrapped(make_network, timm_model, tmp_path, wrapper, suffix):
    state = timm_model.state_dict()
    path = tmp_path / f"weights{suffix}"
    torch.save(state if wrapper is None else {wrapper: state, "epoch": 3}, path)
    network = make_network(input_channels=3)
    load_encoder_weights(network, str(path), ATTO)
    torch.testing.assert_close(network.encoder.state_dict()["stem_0.weight"], state["stem.0.weight"])


def test_weights_of_another_channel_count_and_feature_network_names(make_network, tmp_path):
    pretrained = make_network(input_channels=1, seed=5).encoder
    path = tmp_path / "mri.safetensors"
    safetensors.torch.save_file({key: value.contiguous() for key, value in pretrained.state_dict().items()}, path)
    network = make_network(input_channels=1)
    load_encoder_weights(network, str(path), ATTO)
    torch.testing.assert_close(network.encoder.state_dict(), pretrained.state_dict())


def test_missing_file_is_named(make_network, tmp_path):
    with pytest.raises(UserError, match=r"nowhere\.pth"):
        load_encoder_weights(make_network(), str(tmp_path / "nowhere.pth"), ATTO)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".bin"])
@pytest.mark.parametrize("damage", ["truncated", "empty", "text"])
def test_damaged_file_is_named_and_changes_nothing(make_network, timm_model, tmp_path, suffix, damage):
    path = tmp_path / f"broken{suffix}"
    if suffix == ".safetensors":
        safetensors.torch.save_file(timm_model.state_dict(), path)
    else:
        torch.save(timm_model.state_dict(), path)
    content = {"truncated": path.read_bytes()[:100_000], "empty": b"", "text": b"<html>not found</html>"}[damage]
    path.write_bytes(content)
    network = make_network()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    with pytest.raises(UserError, match=rf"broken\{suffix}.*{ATTO}"):
        load_encoder_weights(network, str(path), ATTO)
    torch.testing.assert_close(dict(network.state_dict()), before)


def test_file_that_would_run_code_is_refused(make_network, tmp_path):
    path = tmp_path / "object.pth"
    torch.save({"model": torch.nn.Linear(2, 2)}, path)
    with pytest.raises(UserError, match=r"object\.pth"):
        load_encoder_weights(make_network(), str(path), ATTO)


def test_file_without_tensors_is_refused(make_network, tmp_path):
    path = tmp_path / "list.pth"
    torch.save([1, 2, 3], path)
    with pytest.raises(UserError, match="state dict"):
        load_encoder_weights(make_network(), str(path), ATTO)


def test_weights_of_another_encoder_are_refused(make_network, tmp_path):
    path = tmp_path / "femto.pth"
    torch.save(timm.create_model("convnextv2_femto", pretrained=False).state_dict(), path)
    with pytest.raises(UserError, match=r"femto\.pth.*convnextv2_atto.*shape"):
        load_encoder_weights(make_network(), str(path), ATTO)


def test_missing_and_additional_keys_are_listed(make_network, timm_model, tmp_path):
    state = timm_model.state_dict()
    state.pop("stages.1.blocks.0.conv_dw.weight")
    state["stages.9.extra"] = torch.zeros(1)
    path = tmp_path / "keys.pth"
    torch.save(state, path)
    with pytest.raises(UserError, match=r"missing stages_1\.blocks\.0\.conv_dw\.weight.*stages_9\.extra"):
        load_encoder_weights(make_network(), str(path), ATTO)


def test_weights_with_nan_are_refused(make_network, timm_model, tmp_path):
    state = timm_model.state_dict()
    state["stem.1.bias"][0] = torch.nan
    path = tmp_path / "nan.pth"
    torch.save(state, path)
    with pytest.raises(UserError, match=r"stem_1\.bias holds NaN"):
        load_encoder_weights(make_network(), str(path), ATTO)


def test_timm_source_goes_through_timm_and_reports_its_licence(make_network, timm_model, monkeypatch):
    asked = []

    def created(name, pretrained=False, **options):
        asked.append((name, pretrained))
        return timm_model if pretrained else original(name, pretrained=False, **options)

    original = timm.create_model
    timm_model.pretrained_cfg = {"architecture": ATTO, "tag": "fcmae", "license": "cc-by-nc-4.0"}
    monkeypatch.setattr(timm, "create_model", created)
    network = make_network(input_channels=3)
    info = load_encoder_weights(network, "timm", f"{ATTO}.fcmae")
    assert (f"{ATTO}.fcmae", True) in asked
    assert (info["source"], info["licence"]) == (f"timm:{ATTO}.fcmae", "cc-by-nc-4.0")
    torch.testing.assert_close(network.encoder.state_dict()["stem_0.weight"], timm_model.state_dict()["stem.0.weight"])


def test_timm_source_that_cannot_be_reached_is_a_user_error(make_network, monkeypatch):
    def unreachable(name, pretrained=False, **options):
        raise OSError("no route to host")

    network = make_network()
    monkeypatch.setattr(timm, "create_model", unreachable)
    with pytest.raises(UserError, match="no route to host"):
        load_encoder_weights(network, "timm", ATTO)
