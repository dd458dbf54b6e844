import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from reid_hash.config.reading import load_config
from reid_hash.errors import ConfigError
from reid_hash.models.torch_encoder import network_outputs
from reid_hash.nn.backbones.build import build_backbone
from reid_hash.nn.backbones.slim_resnet import SLIM, StripePool
from reid_hash.nn.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from reid_hash.nn.hashnet import HashNet
from reid_hash.training.refit import freeze, likelihood_weights, order_by_weight
from reid_hash.training.setup import set_normalisation
from tests.helpers import coloured_pixels, tiny_config

TIMM = ["timm:resnet10t", "timm:mobilenetv3_small_050"]
BACKBONES = ["paper", *SLIM, "airbench", "osnet-x0.25", *TIMM]


@pytest.mark.parametrize("name", BACKBONES)
def test_backbones_give_features(name):
    net = build_backbone(name, 64, 32).eval()
    assert net(torch.zeros(2, 3, 64, 32)).shape == (2, net.features)


def test_soft_stripes_are_the_average_of_three_places_outside_training():
    pool = StripePool(2, soft=True)
    x = torch.randn(3, 5, 6, 4)

    def stripes(rows):
        moved = x[:, :, rows]
        halves = [moved[:, :, :3], moved[:, :, 3:]]
        return torch.stack([h.mean((2, 3)) + h.amax((2, 3)) for h in halves], 2).flatten(1)

    hard = stripes([0, 1, 2, 3, 4, 5])
    torch.testing.assert_close(pool.train()(x), hard)
    soft = hard / 2 + stripes([0, 0, 1, 2, 3, 4]) / 4 + stripes([1, 2, 3, 4, 5, 5]) / 4
    torch.testing.assert_close(pool.eval()(x), soft)


def test_networks_without_stripes_have_no_soft_ones():
    with pytest.raises(ConfigError, match="model.soft_stripes: airbench has no stripes"):
        build_backbone("airbench", 32, 32, soft_stripes=True)


def papers(*settings):
    size = ("data.height=32", "data.width=32")
    return tiny_config("model.bits=64", "model.batch_norm=false", *size, *settings)


def test_the_papers_network_has_the_papers_size():
    for name in ("paper/mnist", "paper/cifar10", "paper/cifar20"):
        net = HashNet(load_config(name, ["model.bits=64"]))
        # and the element-wise weights
        assert sum(p.numel() for p in net.parameters()) == 554_112 + 64


def test_the_papers_network_sees_the_middle_of_an_image():
    net = HashNet(papers("model.backbone=paper")).eval()
    images = torch.rand(2, 3, 32, 32)
    bordered = images.clone()
    bordered[..., 0] = bordered[..., 31] = 9.0
    bordered[..., 0, :] = bordered[..., 31, :] = 9.0
    assert torch.equal(net(images).outputs, net(bordered).outputs)
    assert torch.equal(net(images).outputs, net(images[..., 1:31, 1:31]).outputs)


def test_an_older_network_without_a_crop_is_loaded_as_such(tmp_path):
    net = HashNet(papers("model.backbone=paper-whole")).eval()
    assert sum(p.numel() for p in net.parameters()) == 881_792 + 64
    images = torch.rand(2, 3, 32, 32)
    outputs = net(images).outputs
    net.config = papers("model.backbone=paper")  # what it was called
    saved = Checkpoint(net, np.ones(64, np.float32), np.arange(64))
    save_checkpoint(tmp_path / "m.safetensors", saved)
    loaded = load_checkpoint(tmp_path / "m.safetensors")
    assert loaded.net.config.model.backbone == "paper-whole"
    assert loaded.fingerprint == saved.fingerprint
    assert torch.equal(loaded.net(images).outputs, outputs)
    new = Checkpoint(HashNet(papers("model.backbone=paper")), saved.bit_weights, np.arange(64))
    save_checkpoint(tmp_path / "n.safetensors", new)
    assert load_checkpoint(tmp_path / "n.safetensors").net.config.model.backbone == "paper"


@pytest.mark.parametrize(
    ("name", "pretrained", "message"),
    [
        ("alexnet", None, "unknown model.backbone alexnet; known: paper"),
        ("osnet-xbig", None, "number from 0.1 to 2"),
        ("timm:nosuchnet", None, "timm has no network nosuchnet"),
        ("paper", "timm", "timm has no weights"),
        ("paper", "/nosuch/file.safetensors", "cannot read /nosuch/file"),
    ],
)
def test_wrong_backbones_are_told(name, pretrained, message):
    with pytest.raises(ConfigError, match=message):
        build_backbone(name, 64, 32, pretrained)


def test_local_weights_are_loaded(tmp_path):
    source = build_backbone("paper", 32, 16)
    torch.save(source.state_dict(), tmp_path / "w.pth")
    net = build_backbone("paper", 32, 16, str(tmp_path / "w.pth"))
    torch.testing.assert_close(net.state_dict(), source.state_dict())
    torch.save({"other": torch.zeros(1)}, tmp_path / "w.pth")
    with pytest.raises(ConfigError, match="lacks 8 of the network's tensors, such as 0.weight"):
        build_backbone("paper", 32, 16, str(tmp_path / "w.pth"))


def test_stripes_of_a_timm_network_are_pooled_apart():
    net = build_backbone("timm:resnet10t", 64, 32, stripes=2).eval()
    images = torch.rand(1, 3, 64, 32)
    assert net.features == 2 * 512
    top, bottom = net(images).view(512, 2).T
    places = net.net(images)[0]  # [512, 2, 1]
    torch.testing.assert_close(top, places[:, 0, 0] * 2)  # mean and maximum of one place
    torch.testing.assert_close(bottom, places[:, 1, 0] * 2)
    with pytest.raises(ConfigError, match="model.stripes is for timm's networks"):
        build_backbone("paper", 64, 32, stripes=2)
    with pytest.raises(ConfigError, match="whose last layer is a map"):
        build_backbone("timm:vit_tiny_patch16_224", 224, 224, stripes=2)(torch.rand(1, 3, 224, 224))


@pytest.mark.parametrize("name", ["tf_efficientnet_lite0", "resnet10t"])
def test_the_last_map_of_a_timm_network_can_be_finer(name, tmp_path):
    images = torch.rand(1, 3, 64, 32)
    whole = build_backbone(f"timm:{name}", 64, 32)
    save_file(whole.net.state_dict(), tmp_path / "w.safetensors")
    for stride, places in ((32, (2, 1)), (16, (4, 2))):
        net = build_backbone(
            f"timm:{name}", 64, 32, f"{tmp_path}/w.safetensors", 2, output_stride=stride
        ).eval()
        (last,) = net.net(images)
        assert last.shape[2:] == places
        features = net(images)
        assert features.shape == (1, net.features)
        assert net.features == 2 * last.shape[1]
        assert all(m.dilation == (1, 1) for m in net.modules() if isinstance(m, torch.nn.Conv2d))
        for key, tensor in net.net.state_dict().items():
            assert tensor.equal(whole.net.state_dict()[key]), key
    pooled = build_backbone(f"timm:{name}", 64, 32, output_stride=16)
    assert pooled(images.repeat(2, 1, 1, 1)).shape == (2, last.shape[1])
    with pytest.raises(ConfigError, match="model.output_stride is for timm's networks, not paper"):
        build_backbone("paper", 64, 32, output_stride=16)
    with pytest.raises(ConfigError, match=r"vit_tiny.* takes no model\.output_stride of 16"):
        build_backbone("timm:vit_tiny_patch16_224", 224, 224, output_stride=16)


def test_pretrained_weights_keep_the_normalisation_they_were_made_with(tmp_path):
    name = "timm:tf_efficientnet_lite0"
    weights = build_backbone(name, 64, 32).net.state_dict()
    save_file(weights, tmp_path / "w.safetensors")
    images = np.random.default_rng(0).integers(0, 99, (4, 64, 32, 3), np.uint8)
    for pretrained, half in ((f"{tmp_path}/w.safetensors", True), ("null", False)):
        net = HashNet(tiny_config(f"model.backbone={name}", f"model.pretrained={pretrained}"))
        set_normalisation(net, images)
        assert ((net.mean == 0.5).all() and (net.std == 0.5).all()) == half


@pytest.mark.parametrize("batch_norm", ["true", "false"])
def test_reordering_permutes_outputs_and_weights(batch_norm):
    torch.manual_seed(0)
    net = HashNet(tiny_config(f"model.batch_norm={batch_norm}")).eval()
    for parameter in net.head.parameters():
        parameter.data.normal_()
    net.weight.weight.data = torch.randn(16)
    images = torch.randn(3, 3, 32, 16)
    before, weights = net(images).outputs, net.weight.weight.clone()
    order = torch.randperm(16)
    net.reorder(order)
    torch.testing.assert_close(net(images).outputs, before[:, order])
    torch.testing.assert_close(net.weight.weight, weights[order])


def test_freezing_orders_bits_by_squared_weight():
    net = HashNet(tiny_config())
    net.weight.weight.data = torch.linspace(-2, 1, 16)
    pixels = coloured_pixels()
    outputs, _ = network_outputs(net, pixels.images)
    checkpoint = freeze(net, pixels, torch.device("cpu"))
    assert (np.diff(checkpoint.bit_weights) <= 0).all()
    assert checkpoint.bit_order[0] == 0  # |-2| is the largest
    assert checkpoint.bit_weights[0] == pytest.approx(4.0)
    frozen, _ = network_outputs(checkpoint.net, pixels.images)
    np.testing.assert_allclose(frozen, outputs[:, checkpoint.bit_order], atol=1e-5)


def test_given_order_and_no_weights_change_nothing():
    net = HashNet(tiny_config("model.order=given", "model.weights=none"))
    net.weight.weight.data = torch.linspace(-2, 1, 16)
    checkpoint = freeze(net, coloured_pixels(), torch.device("cpu"))
    assert checkpoint.bit_order.tolist() == list(range(16))
    assert checkpoint.bit_weights.tolist() == [1.0] * 16


@pytest.mark.parametrize(
    ("weights", "expected"),
    [("learned", [9, 4, 1, 0.25]), ("magnitude", [3, 2, 1, 0.5]), ("none", [1, 1, 1, 1])],
)
def test_weights_come_from_the_learned_factors(weights, expected):
    net = HashNet(tiny_config("model.bits=4", f"model.weights={weights}"))
    net.weight.weight.data = torch.tensor([-2.0, 0.5, 3.0, 1.0])
    assert freeze(net, coloured_pixels(), torch.device("cpu")).bit_weights.tolist() == expected


@pytest.mark.parametrize("order", ["given", "weight"])
def test_monotone_weights_are_in_order_and_go_into_the_checkpoint(order, tmp_path):
    net = HashNet(tiny_config("model.weights=monotone", f"model.order={order}"))
    net.weight.steps.data = torch.linspace(-3, 4, 16)
    expected = net.weight.weight.detach().square()
    checkpoint = freeze(net, coloured_pixels(), torch.device("cpu"))
    np.testing.assert_allclose(checkpoint.bit_weights, expected, rtol=1e-6)
    assert checkpoint.bit_order.tolist() == list(range(16))
    save_checkpoint(tmp_path / "model.safetensors", checkpoint)
    read = load_checkpoint(tmp_path / "model.safetensors")
    torch.testing.assert_close(read.net.weight.weight, checkpoint.net.weight.weight)


def test_order_by_weight_keeps_equal_ones():
    assert order_by_weight(np.array([1.0, 3.0, 1.0, 3.0])).tolist() == [1, 3, 0, 2]


def test_likelihood_weights_equal_the_loop_over_pairs():
    random = np.random.default_rng(0)
    labels, cameras = np.repeat(np.arange(5), 6), np.tile([1, 1, 2, 2, 2, 3], 5)
    bits = random.random((30, 9)) < 0.5
    bits[:, 0] = labels % 2 == 0  # always agrees for the same person
    weights = likelihood_weights(bits, labels, cameras)
    same = np.zeros(9)
    pairs = 0
    for i in range(30):
        for j in range(i):
            if labels[i] == labels[j] and cameras[i] != cameras[j]:
                same += bits[i] != bits[j]
                pairs += 1
    p = np.clip(same / pairs, 1e-3, 1 - 1e-3)
    q = np.clip(2 * bits.mean(0) * (1 - bits.mean(0)), 1e-3, 1 - 1e-3)
    expected = np.log((1 - p) / p) - np.log((1 - q) / q)
    np.testing.assert_allclose(weights, np.maximum(expected, 0))
    assert weights.argmax() == 0


def test_likelihood_weights_leave_out_identities_with_one_camera_where_others_have_two():
    random = np.random.default_rng(1)
    labels, cameras = np.repeat(np.arange(4), 6), np.tile([1, 1, 1, 2, 2, 2], 4)
    cameras[labels == 3] = 2
    bits = random.random((24, 7)) < 0.5
    other = bits.copy()
    rows = np.flatnonzero(labels == 3)
    other[rows] = bits[rows[::-1]]  # the same share of ones
    other[rows, 0] = np.sort(bits[rows, 0])
    weights = likelihood_weights(bits, labels, cameras)
    np.testing.assert_allclose(weights, likelihood_weights(other, labels, cameras))
    pairs = [
        (i, j)
        for i in range(24)
        for j in range(i)
        if labels[i] == labels[j] and cameras[i] != cameras[j]
    ]
    p = np.clip(np.mean([bits[i] != bits[j] for i, j in pairs], axis=0), 1e-3, 1 - 1e-3)
    q = np.clip(2 * bits.mean(0) * (1 - bits.mean(0)), 1e-3, 1 - 1e-3)
    np.testing.assert_allclose(weights, np.maximum(np.log((1 - p) / p) - np.log((1 - q) / q), 0))


def test_likelihood_weights_with_a_single_camera():
    labels = np.repeat(np.arange(4), 4)
    bits = np.stack([labels % 2 == 0, np.tile([True, False], 8)], 1)
    weights = likelihood_weights(bits, labels, np.zeros(16, int))
    assert weights[0] > weights[1]


def test_likelihood_weights_with_several_classes_an_image_equal_the_loop():
    random = np.random.default_rng(4)
    has = random.random((30, 4)) < 0.3
    bits = random.random((30, 6)) < 0.5
    bits[:, :4] ^= has
    weights = likelihood_weights(bits, has, np.zeros(30, int))
    pairs = [(i, j) for i in range(30) for j in range(30) if i != j and (has[i] & has[j]).any()]
    for k in range(6):
        same = np.clip(np.mean([bits[i, k] != bits[j, k] for i, j in pairs]), 1e-3, 1 - 1e-3)
        share = bits[:, k].mean()
        other = 2 * share * (1 - share)
        expected = max(0, np.log((1 - same) / same) - np.log((1 - other) / other))
        assert weights[k] == pytest.approx(expected, rel=1e-5)


def test_the_whitening_layer_decorrelates_patches():
    torch.manual_seed(0)
    smooth = torch.nn.functional.avg_pool2d(torch.randn(50, 3, 34, 34), 3, 1)
    net = build_backbone("airbench", 32, 32)
    net.set_whitening(smooth)
    out = net.whiten(smooth)[:, :12] - net.whiten.bias[:12, None, None]
    covariance = torch.cov(out.transpose(0, 1).flatten(1))
    torch.testing.assert_close(covariance, torch.eye(12), atol=0.1, rtol=0)


def test_frozen_modules_of_a_timm_network_keep_weights_and_statistics():
    frozen = ("conv_stem", "bn1", "blocks.0")
    net = build_backbone("timm:tf_efficientnet_lite0", 64, 32, stripes=2, freeze=frozen).train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    optimiser = torch.optim.SGD(net.parameters(), 0.1)
    net(torch.randn(4, 3, 64, 32)).square().mean().backward()
    optimiser.step()
    changed = {name for name, value in net.state_dict().items() if not value.equal(before[name])}
    assert changed
    assert not [name for name in changed if name.startswith(tuple(f"net.{n}." for n in frozen))]
    assert {"net.blocks.1.0.bn1.running_mean", "net.blocks.1.0.conv_pw.weight"} <= changed


def test_freezing_what_is_not_there_is_refused():
    with pytest.raises(ConfigError, match=r"no blocks\.9; it has conv_stem"):
        build_backbone("timm:tf_efficientnet_lite0", 64, 32, freeze=("blocks.9",))
    with pytest.raises(ConfigError, match="model.freeze is for timm's networks"):
        build_backbone("paper", 32, 32, freeze=("0",))


def test_a_standardised_image_has_no_light_contrast_or_colour_cast():
    torch.manual_seed(0)
    image = torch.rand(1, 3, 32, 16)
    cast = torch.tensor([0.5, 1.0, 2.0]).view(1, 3, 1, 1) * image + torch.tensor(
        [0.3, -0.2, 0.0]
    ).view(1, 3, 1, 1)
    for standardise in (False, True):
        net = HashNet(tiny_config(f"model.standardise={str(standardise).lower()}")).eval()
        with torch.inference_mode():
            apart = (net(4 * image).outputs - net(4 * cast).outputs).norm()
            size = net(4 * image).outputs.norm()
        assert (apart < 0.05 * size) == standardise
    seen = net.standardise(4 * image)
    assert torch.allclose(seen.mean((2, 3)), torch.zeros(3), atol=1e-5)
    assert torch.allclose(seen.std((2, 3)), torch.ones(3), atol=0.02)
    flat = torch.full((1, 3, 32, 16), 7.0)
    assert torch.equal(net.standardise(flat), torch.zeros_like(flat))
