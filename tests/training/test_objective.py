import torch

from reid_hash.nn.hashnet import HashNet
from reid_hash.training import losses
from reid_hash.training.objective import CosineClassifier, TrainingModel, objective
from tests.helpers import tiny_config

LABELS = torch.tensor([0, 0, 0, 1, 1, 1, 2, 2, 2])


def terms_of(*settings, margin=3.0):
    config = tiny_config(*settings)
    torch.manual_seed(0)
    outputs = {"codes": torch.tanh(torch.randn(9, 16)), "features": torch.randn(9, 4)}
    return outputs, objective(outputs, LABELS, torch.zeros(9, 3, 8, 8), config.loss, margin)


def test_triplets_look_at_each_prefix_with_its_share_of_the_margin():
    outputs, terms = terms_of("loss.prefixes=[4, 8, 99]", "loss.triplet=2")
    expected = [
        losses.all_triplets_hinge(
            losses.squared_distances(outputs["codes"][:, :length]), LABELS, 3.0 * length / 16
        )
        for length in (4, 8, 16)  # 99 is longer than the code
    ]
    torch.testing.assert_close(terms["triplet"], 2 * torch.stack(expected).mean())


def test_without_prefixes_triplets_look_at_the_full_code():
    outputs, terms = terms_of()
    expected = losses.all_triplets_hinge(losses.squared_distances(outputs["codes"]), LABELS, 3.0)
    torch.testing.assert_close(terms["triplet"], expected)


def test_terms_that_are_switched_off_are_absent():
    _, terms = terms_of("loss.triplet=0", "loss.regulariser=0", "loss.feature_triplet=1")
    assert list(terms) == ["feature_triplet"]


def test_the_classifiers_see_the_prefixes():
    config = tiny_config("loss.code_cross_entropy=1", "loss.prefixes=[4]", "loss.cross_entropy=1")
    model = TrainingModel(HashNet(config), 3)
    outputs = model(torch.randn(9, 3, 32, 16))
    assert {"logits", "logits_4", "logits_16"} < set(outputs)
    assert model.code_classifiers["4"].in_features == 4
    terms = objective(outputs, LABELS, torch.zeros(9, 3, 8, 8), config.loss, 3.0)
    expected = [
        losses.classification(outputs[f"logits_{n}"], LABELS, config.loss.label_smoothing)
        for n in (4, 16)
    ]
    torch.testing.assert_close(terms["code_cross_entropy"], torch.stack(expected).mean())


def test_a_cosine_classifier_scores_codes_by_their_hamming_distance_to_the_centres():
    centres = torch.randint(2, (5, 24)) * 2.0 - 1
    codes = torch.randint(2, (7, 24)) * 2.0 - 1
    classifier = CosineClassifier(24, 5, scale=8.0)
    classifier.weight.data.copy_(3 * centres)  # the length of a centre does not count
    differing = (codes[:, None] != centres[None]).sum(2)
    torch.testing.assert_close(classifier(codes), 8 * (1 - 2 * differing / 24))


def test_a_margin_of_the_cosine_makes_the_right_class_harder():
    settings = ("loss.triplet=0", "loss.code_cross_entropy=1", "loss.classifier=cosine")
    config = tiny_config(*settings, "loss.scale=8", "loss.cosine_margin=0.25").loss
    logits = torch.randn(9, 3)
    outputs = {"codes": torch.randn(9, 16), "logits_16": logits}
    terms = objective(outputs, LABELS, torch.zeros(9, 3, 8, 8), config, 3.0)
    lowered = logits.clone()
    for row, label in enumerate(LABELS):
        lowered[row, label] -= 2.0
    expected = losses.classification(lowered, LABELS, config.label_smoothing)
    torch.testing.assert_close(terms["code_cross_entropy"], expected)


def test_distillation_takes_each_prefix_towards_the_embedding():
    config = tiny_config("loss.distillation=2", "loss.prefixes=[4]", "loss.temperature=0.3")
    model = TrainingModel(HashNet(config), 3)
    outputs = model(torch.randn(9, 3, 32, 16))
    terms = objective(outputs, LABELS, torch.zeros(9, 3, 32, 16), config.loss, 3.0)
    codes, embedding = outputs["codes"], outputs["embedding"]
    of_lengths = [losses.distillation(codes[:, :n], embedding, 0.3) for n in (4, 16)]
    torch.testing.assert_close(terms["distillation"], 2 * torch.stack(of_lengths).mean())
    assert "embedding" not in TrainingModel(HashNet(tiny_config()), 3)(torch.randn(9, 3, 32, 16))
