from __future__ import annotations

import pytest
import timm
import torch

from nnunet_textguided.errors import UserError
from nnunet_textguided.pretraining.fcmae import MaskedAutoencoder, masked_error, normalised_patches
from nnunet_textguided.pretraining.masked_encoder import MaskedEncoder

MASK = torch.tensor([[[True, False, True], [False, False, True]]])


@pytest.fixture(scope="module")
def encoder() -> MaskedEncoder:
    torch.manual_seed(0)
    encoder = MaskedEncoder("convnextv2_atto", 2)
    with torch.no_grad():
        for parameter in encoder.parameters():  # GRN starts at zero
            parameter.add_(0.05 * torch.randn_like(parameter))
    return encoder.eval()


def hidden_pixels(mask: torch.Tensor) -> torch.Tensor:
    return mask.repeat_interleave(32, 1).repeat_interleave(32, 2)[:, None]


def test_visible_features_do_not_depend_on_hidden_pixels(encoder):
    a = torch.randn(1, 2, 64, 96)
    b = torch.where(hidden_pixels(MASK), 10 * torch.randn_like(a), a)
    with torch.no_grad():
        x, y = encoder(a, MASK), encoder(b, MASK)
        unmasked = encoder(a)
    visible = ~MASK[:, None].expand_as(x)
    assert torch.equal(x[visible], y[visible])
    assert not torch.allclose(x[visible], unmasked[visible], atol=1e-3)


def test_one_visible_patch_alone_is_a_slice_of_one_patch(encoder):
    """Without neighbours a patch is padded with zeros, as at the border of a slice."""
    image = torch.randn(1, 2, 64, 64)
    mask = torch.ones(1, 2, 2, dtype=torch.bool)
    mask[0, 0, 1] = False
    with torch.no_grad():
        among, alone = encoder(image, mask), encoder(image[:, :, :32, 32:])
    torch.testing.assert_close(among[..., 0, 1], alone[..., 0, 0], atol=1e-4, rtol=1e-4)


def test_without_a_mask_it_is_timms_network(encoder):
    plain = timm.create_model("convnextv2_atto", num_classes=0, in_chans=2).eval()
    plain.load_state_dict(encoder.model.state_dict())
    image = torch.randn(1, 2, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(encoder(image), plain.stages(plain.stem(image)))


def test_an_unknown_encoder_is_an_error():
    with pytest.raises(UserError, match="convnextv2_atto"):
        MaskedEncoder("convnextv2_attto", 1)


def test_loss_counts_hidden_patches_only():
    images = torch.randn(1, 2, 64, 96)
    truth = normalised_patches(images)
    wrong_where_visible = torch.where(MASK[..., None], truth, truth + 3)
    assert masked_error(wrong_where_visible, images, MASK) < 1e-10
    assert float(masked_error(truth + 2, images, MASK)) == pytest.approx(4, rel=1e-4)


def test_telling_the_mean_of_every_patch_costs_one():
    images = 40 * torch.randn(1, 2, 64, 96) + 7
    cost = masked_error(torch.zeros(1, 2, 3, 2 * 1024), images, MASK)
    assert float(cost) == pytest.approx(2047 / 2048, rel=1e-4)  # torch's variance divides by n - 1


def test_gradient_reaches_every_parameter_but_the_unused_last_norm():
    torch.manual_seed(0)
    model = MaskedAutoencoder(MaskedEncoder("convnextv2_atto", 1), 1, decoder_width=32)
    model(torch.randn(2, 1, 64, 96), MASK.repeat(2, 1, 1)).loss.backward()
    without = {name for name, p in model.named_parameters() if p.grad is None}
    assert without == {"encoder.model.head.norm.weight", "encoder.model.head.norm.bias"}


def test_painting_keeps_visible_pixels_and_fills_hidden_ones_from_the_prediction():
    model = MaskedAutoencoder(MaskedEncoder("convnextv2_atto", 2), 2, decoder_width=32)
    images = torch.randn(1, 2, 64, 96)
    painted = model.paint(normalised_patches(images), images, MASK)
    torch.testing.assert_close(painted, images, atol=1e-4, rtol=1e-4)
    blank = model.paint(torch.zeros(1, 2, 3, 2048), images, MASK)
    hidden = hidden_pixels(MASK).expand_as(images)
    assert torch.equal(blank[~hidden], images[~hidden])
    assert not torch.allclose(blank[hidden], images[hidden])
