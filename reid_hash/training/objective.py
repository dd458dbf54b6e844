"""The training objective: HashNet with classifiers, and the sum of the losses."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from reid_hash.config.schema import LossConfig
from reid_hash.nn.hashnet import HashNet
from reid_hash.training import losses
from reid_hash.training.distributed import gather_batch


class TrainingModel(nn.Module):
    """A HashNet with the classifiers that only training needs.

    `forward` uses every learned parameter, on this process's part of the batch. Whatever depends on
    the whole batch follows in `objective`.

    Args:
        net: the network to train.
        classes: number of training identities or classes.
    """

    def __init__(self, net: HashNet, classes: int) -> None:
        super().__init__()
        self.net = net
        self.loss = net.config.loss
        bits = net.config.model.bits
        self.lengths = trained_lengths(self.loss, bits)
        self.classifier: nn.Module | None = None
        self.code_classifiers = nn.ModuleDict()
        if self.loss.cross_entropy:
            features = int(net.backbone.features)  # type: ignore[arg-type]
            self.classifier = _classifier(features, classes, self.loss)
        if self.loss.code_cross_entropy:
            for length in self.lengths:
                self.code_classifiers[str(length)] = _classifier(length, classes, self.loss)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Compute what the losses need, by name, b rows each, from [b, 3, height, width]."""
        features, embedding, outputs = self.net(images)
        relaxed = self.net.tanh(outputs)
        result = {"features": features, "codes": self.net.weight(relaxed)}
        if self.loss.ranking or self.loss.balance or self.loss.quantisation:
            result["relaxed"] = relaxed
        if self.loss.relative_distance:
            result["outputs"] = outputs
        if self.loss.distillation:
            result["embedding"] = embedding
        if self.classifier is not None:
            result["logits"] = self.classifier(embedding)
        for length, classifier in self.code_classifiers.items():
            result[f"logits_{length}"] = classifier(relaxed[:, : int(length)])
        return result


def trained_lengths(loss: LossConfig, bits: int) -> list[int]:
    """Return the code lengths in the losses: the shorter prefixes, and the full code."""
    return prefix_lengths(loss.prefixes, bits)


def prefix_lengths(prefixes: Iterable[int], bits: int) -> list[int]:
    """Return the prefix lengths below `bits`, then `bits`, ascending."""
    return sorted({*(length for length in prefixes if length < bits), bits})


class CosineClassifier(nn.Module):
    """Scale times the cosine to a learned centre of each class (Wang et al. 2018, CosFace, eq. 4).

    For codes of b bits and a centre of b signs, the cosine is 1 - 2/b times their Hamming distance
    (Hoe et al. 2021, OrthoHash), so training uses the distance that search uses.

    Args:
        inputs: length of the vectors.
        classes: number of centres.
        scale: scale of the logits.
    """

    def __init__(self, inputs: int, classes: int, scale: float) -> None:
        super().__init__()
        self.scale = scale
        self.weight = nn.Parameter(torch.randn(classes, inputs) / inputs**0.5)

    def forward(self, x: Tensor) -> Tensor:
        """Compute logits in -scale … scale, [n, inputs] → [n, classes]."""
        return self.scale * functional.linear(
            functional.normalize(x), functional.normalize(self.weight)
        )


def _classifier(inputs: int, classes: int, config: LossConfig) -> nn.Module:
    if config.classifier == "cosine":
        return CosineClassifier(inputs, classes, config.scale)
    layer = nn.Linear(inputs, classes, bias=False)
    nn.init.normal_(layer.weight, std=0.01)
    return layer


def objective(
    outputs: Mapping[str, Tensor],
    labels: Tensor,
    images: Tensor,
    config: LossConfig,
    margin: float,
) -> dict[str, Tensor]:
    """Compute the loss terms, each times its weight, over the batch of all processes.

    Args:
        outputs: result of `TrainingModel` for this process's images; with a teacher also
            "teacher", its float embeddings of them [b, d].
        labels: [b] int, or [b, classes] of 0 and 1, of this process's images.
        images: [b, 3, height, width], for the regulariser's appearance.
        config: weights of the terms.
        margin: margin of the triplet hinge in weighted distance, for the full code; prefixes get
            a proportional margin.

    Returns:
        Scalars by name, whose sum is the loss. `active` and `spread` have no gradient and are not
        terms but figures to watch, see `code_spread`.
    """
    labels = gather_batch(labels)
    codes = gather_batch(outputs["codes"].float())
    terms: dict[str, Tensor] = {}
    if config.triplet:
        bits = codes.shape[1]
        of_lengths = [
            losses.all_triplets_hinge(
                losses.squared_distances(codes[:, :length]), labels, margin * length / bits
            )
            for length in trained_lengths(config, bits)
        ]
        terms["triplet"] = config.triplet * torch.stack(of_lengths).mean()
    if config.regulariser:
        if config.similarity == "labels":
            similarity = losses.label_similarity(labels)
        else:
            similarity = losses.appearance_similarity(gather_batch(images))
        terms["regulariser"] = config.regulariser * losses.laplacian_regulariser(codes, similarity)
    if config.feature_triplet:
        features = gather_batch(outputs["features"].float())
        distances = losses.squared_distances(features).clamp_min(1e-12).sqrt()
        term = losses.batch_hard_soft_margin(distances, labels)
        terms["feature_triplet"] = config.feature_triplet * term
    if config.distillation:
        embedding = gather_batch(outputs["embedding"].float())
        followers = [codes[:, :length] for length in trained_lengths(config, codes.shape[1])]
        if "teacher" in outputs:
            followers.append(embedding)
            embedding = gather_batch(outputs["teacher"].float())
        of_followers = [
            losses.distillation(follower, embedding, config.temperature) for follower in followers
        ]
        terms["distillation"] = config.distillation * torch.stack(of_followers).mean()
    if "relaxed" in outputs:
        terms |= losses.semantic_ranking_terms(
            gather_batch(outputs["relaxed"].float()), labels, config, margin
        )
    if "outputs" in outputs:
        term = losses.relative_distance(gather_batch(outputs["outputs"].float()), labels)
        terms["relative_distance"] = config.relative_distance * term
    of_codes: list[Tensor] = []
    for name, out in outputs.items():
        if name.startswith("logits"):
            logits = gather_batch(out.float())
            if config.classifier == "cosine":
                logits = losses.with_margin(logits, labels, config.scale * config.cosine_margin)
            term = losses.classification(logits, labels, config.label_smoothing)
            if name == "logits":
                terms["cross_entropy"] = config.cross_entropy * term
            else:
                of_codes.append(term)
    if of_codes:
        terms["code_cross_entropy"] = config.code_cross_entropy * torch.stack(of_codes).mean()
    return terms


@torch.no_grad()
def code_spread(codes: Tensor) -> Tensor:
    """Compute the mean squared distance of a batch's codes from their mean, as a share of 1.

    1 if every bit splits the batch in half, 0 if all images have the same code. In the latter case
    training with triplets has collapsed, and the loss stays at the margin.
    """
    centred = codes - codes.mean(0)
    return centred.square().sum() / codes.square().sum().clamp_min(1e-12)
