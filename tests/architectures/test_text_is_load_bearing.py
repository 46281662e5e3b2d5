from __future__ import annotations

import pytest
import torch


@pytest.mark.parametrize("plan", ["2d", "3d_anisotropic"])
def test_permuting_class_vectors_permutes_channels(make_network, make_rows, move_parameters, plan):
    network = make_network(plan, num_classes=8, num_findings=4).eval()
    move_parameters(network)
    x = torch.randn(1, 1, *((40, 33) if plan == "2d" else (8, 40, 33)))
    structures, findings = make_rows(7, 16), make_rows(4, 16)
    new_structures, new_findings = torch.tensor([3, 0, 6, 1, 5, 2, 4]), torch.tensor([2, 3, 1, 0])
    with torch.no_grad():
        network.set_class_vectors(torch.cat([structures, findings]))
        before, maps_before = network.forward_with_findings(x)
        network.set_class_vectors(torch.cat([structures[new_structures], findings[new_findings]]))
        after, maps_after = network.forward_with_findings(x)
    assert before.std(dim=1).min() > 1e-3, "the channels must differ for this test to say anything"
    channels = torch.cat([torch.tensor([0]), 1 + new_structures])
    torch.testing.assert_close(after, before[:, channels], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(maps_after, maps_before[:, new_findings], atol=1e-4, rtol=1e-4)


def test_learned_vectors_permute_channels_too(make_network, move_parameters):
    network = make_network(num_classes=5, embedding_dim=None).eval()
    move_parameters(network)
    x = torch.randn(1, 1, 32, 32)
    with torch.no_grad():
        before = network(x)[0]
        network.queries.seg_layers.vectors.copy_(network.queries.seg_layers.vectors[[2, 3, 1, 0]].clone())
        after = network(x)[0]
    torch.testing.assert_close(after, before[:, [0, 3, 4, 2, 1]], atol=1e-4, rtol=1e-4)


def test_other_vectors_change_every_channel(make_network, make_rows):
    network = make_network().eval()
    x = torch.randn(1, 1, 32, 32)
    with torch.no_grad():
        before = network(x)[0]
        network.set_class_vectors(make_rows(3, 16))
        after = network(x)[0]
    assert ((after - before).abs().amax(dim=(0, 2, 3)) > 1e-4).all()


def test_equal_vectors_give_equal_channels(make_network, make_rows):
    network = make_network().eval()
    network.set_class_vectors(make_rows(1, 16).expand(3, -1))
    with torch.no_grad():
        logits = network(torch.randn(1, 1, 32, 32))[0]
    torch.testing.assert_close(logits[:, 1], logits[:, 3])


@pytest.mark.parametrize("shape", [(2, 16), (4, 16), (3, 15), (3,)])
def test_wrong_shape_of_class_vectors_is_an_error(make_network, shape):
    with pytest.raises(ValueError, match=r"\(3, 16\)"):
        make_network().set_class_vectors(torch.zeros(shape))


def test_damaged_class_vectors_are_an_error(make_network):
    with pytest.raises(ValueError, match="NaN"):
        make_network().set_class_vectors(torch.full((3, 16), torch.nan))


def test_learned_queries_take_no_class_vectors(make_network):
    with pytest.raises(ValueError, match="learned"):
        make_network(embedding_dim=None).set_class_vectors(torch.zeros(3, 16))


def test_vectors_are_saved_with_the_network(make_network):
    network = make_network()
    saved = network.state_dict()["queries.seg_layers.vectors"]
    other = make_network(seed=1)
    assert not torch.equal(saved, other.state_dict()["queries.seg_layers.vectors"])
    other.load_state_dict(network.state_dict())
    torch.testing.assert_close(other.queries.seg_layers.vectors, saved)


def test_text_rows_are_not_trained_and_learned_ones_are(make_network):
    assert "queries.seg_layers.vectors" not in dict(make_network().named_parameters())
    assert "queries.seg_layers.vectors" in dict(make_network(embedding_dim=None).named_parameters())
