"""The typed configuration of a training run: every key, its range and what it does.

What reads it from a YAML file is in `config.reading`.
"""

import re
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, field_validator

Share = Annotated[float, Field(ge=0, le=1)]
NotNegative = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


_TIMM = re.compile(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*", re.ASCII)


def timm_name(backbone: str) -> str | None:
    """The network of timm that a backbone names, or None where it names none of timm's.

    timm also builds what a folder or a hub describes ("hf-hub:…", "local-dir:…"), for which it
    opens files and connections even without pretrained weights; a configuration in a file from
    elsewhere could make it do so.

    Args:
        backbone: as in `ModelConfig.backbone`.

    Raises:
        ValueError: it is a place rather than the name of an architecture.
    """
    if not backbone.startswith("timm:"):
        return None
    name = backbone.removeprefix("timm:")
    if not _TIMM.fullmatch(name):
        raise ValueError(
            f"{backbone!r} is not the name of an architecture of timm, such as timm:resnet18; name "
            "the architecture, and ask for weights with model.pretrained: timm"
        )
    return name


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class DataConfig(_Section):
    """Which images, and at which size they enter the network."""

    dataset: str = Field(
        "walkers",
        description="name of a data set, as on the command line; or several to be trained on, "
        "joined by +, of which the first is evaluated",
    )
    shares: tuple[Positive, ...] = Field(
        (),
        description="of joined data sets: the share of each in the identities of a batch; empty: "
        "as many identities as each has",
    )
    protocol: str | None = Field(None, description="split and evaluation; null: the usual one")
    camera_rule: Literal["market", "cuhk03", "none"] | None = Field(
        None,
        description="which gallery images a query of a person must not find: market, those of its "
        "own identity and camera; cuhk03, those of its own camera; none, no image; null: the "
        "protocol's rule",
    )
    boxes: Literal["labeled", "detected"] = Field("labeled", description="CUHK03: whose boxes")
    split: Annotated[int, Field(ge=0)] = Field(
        0, description="which published split, or which draw"
    )
    hold_out: Annotated[int, Field(ge=0)] = Field(
        0,
        description="training identities (of image benchmarks: training images) kept out and "
        "evaluated instead of the test set",
    )
    held_out: Literal["drawn", "last"] = Field(
        "drawn",
        description="which identities those are: drawn at random, or those with the highest "
        "numbers, which were seen last where identities are numbered as they came",
    )
    height: Annotated[int, Field(ge=16, le=1024)] = 128
    width: Annotated[int, Field(ge=16, le=1024)] = 64


class ModelConfig(_Section):
    """Backbone and hash layer."""

    backbone: str = Field(
        "resnet-slim",
        description="see nn.backbones.build_backbone; of timm's networks the name alone, no place. "
        "onnx:FILE: anybody's network, of which only the hash layer on top is trained",
    )
    bits: Annotated[int, Field(ge=1, le=4096)] = 128
    pretrained: str | None = Field(
        None, description='"timm" for the weights that timm downloads, or a local weights file'
    )
    preset: str | None = Field(
        None,
        description="of backbone onnx:FILE: what its input is, as --preset has it; null: guessed "
        "aloud",
    )
    stripes: Annotated[int, Field(ge=1, le=1024)] | None = Field(
        None, description="of timm's networks: horizontal stripes of the last map, pooled apart"
    )
    output_stride: Literal[8, 16, 32] | None = Field(
        None,
        description="of timm's networks: pixels of the input for one place of the last map, which "
        "then is that of the last stage; null: the network as it was published",
    )
    soft_stripes: bool = Field(
        False,
        description="codes average the stripes of the last map with those of the map moved up and "
        "down by a row; of networks that pool by stripes",
    )
    standardise: bool = Field(
        False,
        description="each channel of each image gets mean 0 and deviation 1, which takes out a "
        "camera's light, contrast and colour cast",
    )
    freeze: tuple[str, ...] = Field(
        (),
        description="of timm's networks: modules by name that keep their pretrained weights, such "
        "as the first layers, of which most of the time of a step goes into the gradients",
    )
    batch_norm: bool = Field(True, description="batch norm before the sign: balances the bits")
    dropout: Share = 0.0
    weights: Literal["learned", "monotone", "magnitude", "likelihood", "none"] = Field(
        "learned",
        description="bit weights: the learned w² of the paper; learned w² that cannot rise from a "
        "bit to the next; |w|, which sets the bits less far apart; the log-likelihood ratio of a "
        "bit agreeing for same against different persons, from training pairs; or all one",
    )
    flip_average: bool = Field(True, description="codes average an image with its mirror image")
    order: Literal["weight", "given"] = Field(
        "weight",
        description="bit order: by falling weight (the paper), or as given by the training on "
        "prefixes, in which the first bits mean most and a later one may still weigh more",
    )

    @field_validator("backbone")
    @classmethod
    def _is_no_place(cls, value: str) -> str:
        timm_name(value)
        return value


class LossConfig(_Section):
    """Weights of the terms of the loss; 0 switches a term off."""

    triplet: NotNegative = Field(1.0, description="all-triplets hinge on weighted tanh-like codes")
    margin: tuple[Positive, Positive] = Field(
        (5.0, 13.0),
        description="triplet margin at the start and at the end, at 64 bits",
    )
    beta: Positive = Field(5.0, description="slope of the tanh-like layer at the start")
    beta_growth: Annotated[float, Field(ge=1)] = Field(1.1, description="factor for each interval")
    beta_intervals: Annotated[int, Field(ge=0)] = Field(
        10, description="how many times beta grows over the training"
    )
    regulariser: NotNegative = Field(0.001, description="tr(R L Rᵀ) of DRSCH; 0 is DSCH")
    similarity: Literal["labels", "appearance"] = Field(
        "labels", description="what the regulariser calls similar"
    )
    cross_entropy: NotNegative = Field(0.0, description="classification of the features")
    code_cross_entropy: NotNegative = Field(0.0, description="classification of the prefixes")
    classifier: Literal["linear", "cosine"] = Field(
        "linear",
        description="what classifies: a linear layer, or the cosine to a learned centre of each "
        "class, which for codes is their Hamming distance to it",
    )
    scale: Positive = Field(16.0, description="of the cosines: logits are scale times cosine")
    cosine_margin: Share = Field(
        0.0, description="by how much the cosine to the right centre has to be the larger"
    )
    label_smoothing: Share = 0.1
    feature_triplet: NotNegative = Field(0.0, description="soft-margin batch-hard on the features")
    ranking: NotNegative = Field(0.0, description="DSRH's ranking-weighted hinge on the codes")
    balance: NotNegative = Field(0.0, description="DSRH's ½ |mean code|²: each bit half the time")
    quantisation: NotNegative = Field(0.0, description="mean square of what codes lack to ±1")
    distillation: NotNegative = Field(
        0.0,
        description="the codes' similarities within a batch shall be those of the float embedding "
        "(which cross_entropy or feature_triplet train)",
    )
    teacher: str | None = Field(
        None,
        description="a trained network, the toolkit's own or anybody's (see --network), whose "
        "float embeddings give those similarities instead; the own embedding follows them too",
    )
    teacher_preset: str | None = Field(
        None, description="what the teacher's input is, as --preset has it; null: guessed aloud"
    )
    temperature: Positive = Field(0.1, description="of those similarities, which are cosines")
    relative_distance: NotNegative = Field(
        0.0, description="Ding et al.'s hinge on the outputs at unit length, a float embedding"
    )
    prefixes: tuple[Count, ...] = Field(
        (), description="code lengths trained beside the full one, by the triplets and classifiers"
    )


class AugmentConfig(_Section):
    """Random changes of a training batch."""

    flip: Share = Field(0.5, description="probability of a mirror image")
    shift: Share = Field(0.05, description="largest shift, as a share of the side")
    zoom: Share = Field(0.1, description="largest relative change of size")
    colour: Share = Field(0.2, description="largest relative change of brightness and colour")
    light: Share = Field(
        0.0,
        description="largest change of the logarithm of the exposure, and half as much of each "
        "channel: the light is multiplied, so that dark stays dark, which colour does not",
    )
    erase: Share = Field(0.5, description="probability that a random rectangle is erased")
    low_resolution: Share = Field(
        0.0,
        description="probability that an image is made smaller, down to 0.4 of its sides, and "
        "large again, as persons far from a camera are",
    )


class TrainConfig(_Section):
    """The loop: batches, optimiser, schedule."""

    start: str | None = Field(
        None,
        description="a trained network that training starts from: a file, or the name of a shipped "
        "model; null: new weights, or those of model.pretrained",
    )
    epochs: Count = 40
    identities_per_batch: Annotated[int, Field(ge=2)] = 16
    images_per_identity: Annotated[int, Field(ge=2, le=256)] = 4
    optimiser: Literal["sgd", "adamw", "muon"] = "adamw"
    learning_rate: Positive = 1e-3
    weight_decay: NotNegative = 5e-4
    bit_weights_rate: Share = Field(
        1.0, description="share of the learning rate that the bit weights have"
    )
    backbone_rate: Share = Field(
        1.0,
        description="share of the learning rate that the backbone has: a pretrained one needs "
        "less than the layers that start from nothing",
    )
    momentum: Share = 0.9
    schedule: Literal["cosine", "step"] = "cosine"
    warmup: Share = Field(0.1, description="share of the steps over which the rate rises")
    small_images: Share = Field(
        0.0, description="share of the steps, at the start, on images of 0.7 times the side"
    )
    average: Share = Field(0.0, description="decay of the running weight average; 0: none")
    clip: NotNegative = Field(0.0, description="largest norm of the gradient; 0: not clipped")
    evaluate_every: Annotated[int, Field(ge=0)] = Field(
        0, description="epochs between evaluations; 0: only at the end"
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto",
        description="what the network computes in; auto: bfloat16 where the hardware multiplies "
        "it, on a CPU only if that was measured to be faster for this network",
    )


class RefitConfig(_Section):
    """A last learning of the hash layer alone, on the outputs of the trained network; `refit`."""

    steps: Annotated[int, Field(ge=0)] = Field(
        0, description="0: the layer stays as it was trained"
    )
    identities: Annotated[int, Field(ge=2)] = Field(
        300, description="compared in a step, two images each; fewer where there are fewer"
    )
    prefixes: tuple[Count, ...] = Field(
        (), description="code lengths that are compared beside the full one; empty: the loss's"
    )
    noise: NotNegative = Field(
        0.7,
        description="share of what sets another image apart from the mean of its identity that is "
        "added to each image: strangers scatter more than the identities of the training",
    )
    temperature: Positive = Field(
        0.09,
        description="of the similarities at 64 bits; it falls with the fourth root of the length",
    )
    learning_rate: Positive = 0.02


class Config(_Section):
    """A training run."""

    seed: Annotated[int, Field(ge=0)] = 0
    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    loss: LossConfig = LossConfig()
    augment: AugmentConfig = AugmentConfig()
    train: TrainConfig = TrainConfig()
    refit: RefitConfig = RefitConfig()

    def to_yaml(self) -> str:
        """The whole configuration, defaults included."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)
