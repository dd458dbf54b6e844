import numpy as np
import pytest
import torch

from reid_hash.training import losses


def naive_triplets(distances, labels, margin):
    """The definition, a loop over all triplets."""
    terms = [
        torch.clamp(distances[i, j] - distances[i, k] + margin, min=0)
        for i in range(len(labels))
        for j in range(len(labels))
        for k in range(len(labels))
        if i != j and labels[i] == labels[j] and labels[i] != labels[k]
    ]
    return torch.stack(terms).mean() if terms else distances.sum() * 0


@pytest.mark.parametrize("labels", [[0, 0, 1, 1, 2, 2], [0, 0, 0, 1, 1, 2], [0, 1, 2], [0, 0, 0]])
@pytest.mark.parametrize("margin", [0.5, 5.0, 50.0])
@pytest.mark.parametrize("seed", range(3))
def test_all_triplets_hinge_has_value_and_gradient_of_the_loop(labels, margin, seed):
    torch.manual_seed(seed)
    labels = torch.tensor(labels)
    results = []
    codes = torch.randn(len(labels), 8, dtype=torch.float64)
    for function in (losses.all_triplets_hinge, naive_triplets):
        leaf = codes.clone().requires_grad_()
        loss = function(losses.squared_distances(leaf), labels, margin)
        loss.backward()
        results.append((loss.detach(), leaf.grad))
    torch.testing.assert_close(results[0], results[1], rtol=1e-12, atol=1e-12)


def test_all_triplets_hinge_on_tied_distances():
    torch.manual_seed(0)
    labels = torch.arange(12) % 3
    distances = torch.randint(0, 4, (12, 12)).double().requires_grad_()
    for margin in (0.5, 1.0, 2.0):  # whole margins put triplets right at the hinge
        loss = losses.all_triplets_hinge(distances, labels, margin)
        torch.testing.assert_close(loss, naive_triplets(distances, labels, margin))


def test_all_triplets_hinge_gradcheck():
    torch.manual_seed(1)
    labels = torch.tensor([0, 0, 1, 1, 1])
    distances = (torch.rand(5, 5, dtype=torch.float64) * 10).requires_grad_()
    assert torch.autograd.gradcheck(lambda d: losses.all_triplets_hinge(d, labels, 3.0), distances)


def test_all_triplets_memory_and_time_follow_images_not_triplets():
    labels = torch.arange(1500) % 50  # 64 million triplets
    distances = torch.rand(1500, 1500, requires_grad=True)
    loss = losses.all_triplets_hinge(distances, labels, 0.1)
    loss.backward()
    # for uniform distances E[max(0, p - n + 0.1)] = (1.1³ - 0.1³) / 6 - small corner
    assert loss.item() == pytest.approx(0.2217 - 0.0, abs=0.01)


def test_squared_distances_of_weighted_codes_are_four_times_the_weights_that_differ():
    signs = torch.tensor([[1.0, 1, -1], [1, -1, 1]])
    w = torch.tensor([0.5, 2.0, 3.0])
    distances = losses.squared_distances(signs * w)
    torch.testing.assert_close(distances[0, 1], 4 * (w[1] ** 2 + w[2] ** 2))
    torch.testing.assert_close(distances.diagonal(), torch.zeros(2))


def test_laplacian_regulariser_equals_the_pairwise_sum_and_is_not_negative():
    torch.manual_seed(0)
    codes = torch.randn(7, 5, dtype=torch.float64)
    similarity = torch.rand(7, 7, dtype=torch.float64)
    similarity = (similarity + similarity.T) / 2
    pairs = sum(
        similarity[i, j] * (codes[i] - codes[j]).square().sum() / 2
        for i in range(7)
        for j in range(7)
    )
    value = losses.laplacian_regulariser(codes, similarity)
    torch.testing.assert_close(value, pairs / 7)
    assert value > 0
    # and it is tr(R L Rᵀ) / B with the Laplacian written out
    laplacian = torch.diag(similarity.sum(1)) - similarity
    torch.testing.assert_close(value, torch.trace(codes.T @ laplacian @ codes) / 7)


def test_the_regulariser_draws_similar_images_together():
    codes = torch.tensor([[1.0], [-1.0], [0.5]], requires_grad=True)
    losses.laplacian_regulariser(
        codes, losses.label_similarity(torch.tensor([0, 0, 1]), different=0.0)
    ).backward()
    assert codes.grad[0] > 0 > codes.grad[1]  # a step against the gradient brings them closer
    assert codes.grad[2] == 0


def test_label_similarity():
    s = losses.label_similarity(torch.tensor([0, 0, 1]))
    expected = torch.tensor([[1, 1, 0.001], [1, 1, 0.001], [0.001, 0.001, 1]])
    torch.testing.assert_close(s, expected)


def test_appearance_similarity_finds_look_alikes():
    torch.manual_seed(0)
    looks = torch.randn(4, 3, 32, 16)
    images = looks.repeat_interleave(2, 0) + 0.01 * torch.randn(8, 3, 32, 16)
    similarity = losses.appearance_similarity(images, neighbours=1)
    expected = torch.zeros(8, 8)
    for i in range(0, 8, 2):
        expected[i, i + 1] = expected[i + 1, i] = 1
    torch.testing.assert_close(similarity, expected)


def test_appearance_similarity_of_a_tiny_batch():
    assert losses.appearance_similarity(torch.rand(2, 3, 16, 8), 5).tolist() == [[0, 1], [1, 0]]


def test_batch_hard_soft_margin_is_the_loop():
    torch.manual_seed(0)
    labels = torch.tensor([0, 0, 1, 1, 1])
    distances = torch.rand(5, 5, dtype=torch.float64) * 4
    expected = []
    for i in range(5):
        positive = max(distances[i, j] for j in range(5) if labels[j] == labels[i])
        negative = min(distances[i, j] for j in range(5) if labels[j] != labels[i])
        expected.append(np.log1p(np.exp(float(positive - negative))))
    value = losses.batch_hard_soft_margin(distances, labels)
    assert value.item() == pytest.approx(np.mean(expected))


def test_batch_hard_soft_margin_without_negatives_is_zero():
    assert losses.batch_hard_soft_margin(torch.rand(3, 3), torch.zeros(3)).item() == 0


def test_margin_grows_and_scales_with_the_bits():
    assert losses.margin_at(0.0, (5, 13), 64) == 5
    assert losses.margin_at(1.0, (5, 13), 64) == 13
    assert losses.margin_at(0.5, (5, 13), 128) == 18


HAS = [[1, 0, 0], [1, 1, 0], [0, 1, 1], [0, 0, 1], [0, 0, 0], [1, 1, 1]]


def test_same_label_of_images_with_several_classes():
    same = losses.same_label(torch.tensor(HAS))
    for i, a in enumerate(HAS):
        for j, b in enumerate(HAS):
            assert same[i, j] == any(x and y for x, y in zip(a, b, strict=True))


def test_all_triplets_hinge_with_several_classes_an_image_is_the_loop():
    torch.manual_seed(2)
    has = torch.tensor(HAS)
    same = losses.same_label(has)
    distances = (torch.rand(6, 6, dtype=torch.float64) * 10).requires_grad_()
    terms = [
        torch.clamp(distances[i, j] - distances[i, k] + 3.0, min=0)
        for i in range(6)
        for j in range(6)
        for k in range(6)
        if i != j and same[i, j] and not same[i, k]
    ]
    loss = losses.all_triplets_hinge(distances, has, 3.0)
    torch.testing.assert_close(loss, torch.stack(terms).mean())


def test_classification_with_several_classes_is_the_sum_of_binary_cross_entropies():
    torch.manual_seed(3)
    has = torch.tensor(HAS)
    logits = torch.randn(6, 3, dtype=torch.float64)
    chance = torch.sigmoid(logits)
    terms = [
        -(torch.log(chance[i, c]) if has[i, c] else torch.log(1 - chance[i, c]))
        for i in range(6)
        for c in range(3)
    ]
    expected = torch.stack(terms).sum() / 6
    torch.testing.assert_close(losses.classification(logits, has), expected)


def test_distillation_is_the_divergence_of_the_similarities():
    generator = torch.Generator().manual_seed(0)
    codes = torch.randn(5, 8, generator=generator, requires_grad=True)
    embedding = torch.randn(5, 3, generator=generator, requires_grad=True)
    value = losses.distillation(codes, embedding, 0.2)
    expected = 0.0
    for i in range(5):
        others = [j for j in range(5) if j != i]
        logs = []
        for vectors in (embedding, codes):
            cosines = [torch.cosine_similarity(vectors[i], vectors[j], dim=0) for j in others]
            logs.append(torch.stack(cosines).div(0.2).log_softmax(0))
        target, log = logs
        expected += (target.exp() * (target - log)).sum() / 5
    torch.testing.assert_close(value, expected)
    value.backward()
    assert embedding.grad is None
    assert codes.grad.abs().sum() > 0


def test_distillation_asks_nothing_of_codes_that_are_alike_as_the_embedding_is():
    embedding = torch.randn(6, 4, generator=torch.Generator().manual_seed(1))
    assert losses.distillation(3 * embedding, embedding, 0.1) == pytest.approx(0.0, abs=1e-6)
    assert losses.distillation(embedding.flip(0), embedding, 0.1) > 0.01
