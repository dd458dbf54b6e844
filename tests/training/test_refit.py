"""The refit of the hash layer: what it draws and minimises, and what it leaves in the network."""

import numpy as np
import pytest
import torch

from reid_hash.config.schema import RefitConfig
from reid_hash.errors import ConfigError
from reid_hash.metrics import rank_codes, summarise
from reid_hash.models.torch_encoder import TorchEncoder, network_outputs
from reid_hash.nn.hashnet import HashNet
from reid_hash.nn.head import HashHead
from reid_hash.training.loop import train
from reid_hash.training.refit import _Draw, check_pairs, contrast, fold, freeze, refit
from tests.helpers import coloured_pixels, tiny_config

CPU = torch.device("cpu")
REFIT = ("model.order=given", "refit.steps=60", "refit.prefixes=[8]")


def rank1(checkpoint, pixels, bits=8):
    codes = TorchEncoder(checkpoint, "cpu").encode(pixels.images).prefix(bits)
    labels, cameras = pixels.labels, pixels.cameras
    groups = rank_codes(codes, codes, labels, labels, cameras, cameras, "market", weighted=True)
    return summarise(groups)["rank1"]


@pytest.mark.parametrize("batch_norm", [True, False])
def test_folding_gives_the_matrix_times_the_outputs(batch_norm):
    torch.manual_seed(0)
    head = HashHead(12, 6, batch_norm)
    for tensor in (*head.parameters(), *head.buffers()):
        if tensor.is_floating_point():
            tensor.data.uniform_(0.5, 2)
    head.eval()
    vectors, matrix, shift = torch.randn(9, 12), torch.randn(6, 6), torch.randn(6)
    neck, before = head(vectors)
    fold(head, matrix, shift)
    same, after = head(vectors)
    torch.testing.assert_close(after, before @ matrix.T + shift, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(same, neck)


def test_the_loss_is_the_mean_cross_entropy_of_finding_the_other_image():
    torch.manual_seed(0)
    codes, weights = torch.rand(8, 16) * 2 - 1, torch.rand(16)
    temperature = 0.2 * (64 / 16) ** 0.25
    total = 0.0
    for one, other in ((codes[:4], codes[4:]), (codes[4:], codes[:4])):
        for i in range(4):
            similar = [(weights * one[i] * other[j]).sum() / weights.sum() for j in range(4)]
            total -= (torch.stack(similar) / temperature).log_softmax(0)[i] / 8
    torch.testing.assert_close(contrast(codes, weights, 0.2), total)


def test_pairs_are_of_one_identity_and_of_two_cameras_where_there_are_two():
    labels = np.array([7, 3, 7, 3, 7, 5, 9, 3, 5])  # 9 has one image, 5 one camera
    cameras = np.array([1, 1, 2, 1, 1, 4, 1, 2, 4])
    vectors = np.arange(9, dtype=np.float32)[:, None]
    draw = _Draw(vectors, labels, cameras, RefitConfig(noise=0), 0)
    seen = set()
    for _ in range(60):
        first, second = draw.pairs()[:, 0].int().numpy().reshape(2, 3)
        assert sorted(labels[first]) == [3, 5, 7]
        assert (labels[first] == labels[second]).all()
        assert (first != second).all()
        assert ((cameras[first] != cameras[second]) == (labels[first] != 5)).all()
        seen |= {(int(i), int(j)) for i, j in zip(first, second, strict=True)}
    assert len(seen) == 2 * (1 * 2 + 2 * 1 + 1)  # every allowed pair, either way round


def test_noise_is_what_other_images_lack_to_their_identity():
    labels, cameras = np.repeat([0, 1], 3), np.tile([1, 1, 2], 2)
    vectors = np.array([[0], [3], [6], [100], [100], [100]], np.float32)  # scatter -3, 0, 3
    draw = _Draw(vectors, labels, cameras, RefitConfig(noise=0.5), 0)
    values = {round(float(v), 3) for _ in range(200) for v in draw.pairs()[:, 0]}
    assert values == {a + b for a in (0, 3, 6, 100) for b in (-1.5, 0, 1.5)}


def test_refitting_finds_codes_that_retrieve_unseen_identities_better():
    pixels, unseen = coloured_pixels(identities=24), coloured_pixels(identities=16, seed=1)
    found = {}
    for steps in (0, 100):
        torch.manual_seed(0)
        config = tiny_config(*REFIT, f"refit.steps={steps}", "refit.noise=0.3")
        found[steps] = rank1(freeze(HashNet(config), pixels, CPU), unseen)
    assert found[100] > found[0] + 0.05


def test_outputs_have_deviation_1_afterwards_and_the_seed_decides():
    pixels = coloured_pixels()
    outputs = []
    for seed in (0, 0, 1):
        torch.manual_seed(0)
        net = HashNet(tiny_config(*REFIT, f"seed={seed}")).eval()
        before, _ = network_outputs(net, pixels.images)
        told = refit(net, before, pixels.labels, pixels.cameras)
        outputs.append(network_outputs(net, pixels.images)[0])
        np.testing.assert_allclose(told, outputs[-1], atol=1e-4)
        np.testing.assert_allclose(outputs[-1].mean(0), 0, atol=1e-3)
        np.testing.assert_allclose(outputs[-1].std(0), 1, rtol=0.05)
        assert np.abs(np.corrcoef(before.T, outputs[-1].T)[:16, 16:].diagonal()).min() < 0.999
    np.testing.assert_array_equal(outputs[0], outputs[1])
    assert np.abs(outputs[0] - outputs[2]).max() > 0.01


@pytest.mark.parametrize("weights", ["learned", "monotone", "magnitude", "likelihood", "none"])
def test_learned_bit_weights_are_refitted_and_others_are_not(weights):
    net = HashNet(tiny_config(*REFIT, f"model.weights={weights}"))
    before = net.weight.weight.detach().clone()
    checkpoint = freeze(net, coloured_pixels(), CPU)
    learned = weights in ("learned", "monotone", "magnitude")
    assert torch.equal(net.weight.weight, before) != learned
    if weights == "monotone":
        assert (np.diff(checkpoint.bit_weights) <= 0).all()
    if weights == "none":
        assert (checkpoint.bit_weights == 1).all()


def test_training_ends_with_the_refit(tmp_path):
    pixels = coloured_pixels()
    made = [
        train(tiny_config(*REFIT, f"refit.steps={steps}"), pixels, tmp_path / str(steps))
        for steps in (0, 30)
    ]
    states = [checkpoint.net.state_dict() for checkpoint in made]
    differing = {name for name in states[0] if not torch.equal(states[0][name], states[1][name])}
    assert "head.project.weight" in differing
    assert all(name.startswith(("head.project", "head.norm", "weight")) for name in differing)


def test_what_cannot_be_refitted_is_refused_before_training(tmp_path):
    check_pairs(np.array([1, 1, 2, 2, 3]))
    with pytest.raises(ConfigError, match="fewer than 2 identities have 2 images"):
        check_pairs(np.array([1, 1, 2, 3]))
    with pytest.raises(ConfigError, match="several classes"):
        check_pairs(np.ones((4, 2), bool))
    pixels = coloured_pixels()
    pixels.labels[:] = np.arange(len(pixels))
    with pytest.raises(ConfigError, match=r"refit\.steps: fewer than 2"):
        train(tiny_config(*REFIT), pixels, tmp_path / "run")
    assert not (tmp_path / "run").exists()
