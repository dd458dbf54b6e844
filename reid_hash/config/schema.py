"""Typed configuration of a training run: every key, its range and its meaning.

`config.reading` reads it from YAML files.
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
    """Return the timm architecture that a backbone names, or None for another kind of backbone.

    timm also builds networks described by a folder or a hub ("hf-hub:…", "local-dir:…"), and opens
    files and connections for them even without pretrained weights. A configuration file from an
    untrusted source could cause that, so such names are refused.

    Args:
        backbone: as in `ModelConfig.backbone`.

    Raises:
        ValueError: the backbone is a location rather than the name of an architecture.
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
    """The images, and the size at which they enter the network."""

    dataset: str = Field(
        "walkers",
        description="name of a data set, as on the command line; or several joined by +, which are "
        "trained together while the first is evaluated",
    )
    shares: tuple[Positive, ...] = Field(
        (),
        description="for joined data sets: share of each in the identities of a batch; empty: in "
        "proportion to their number of identities",
    )
    protocol: str | None = Field(None, description="split and evaluation; null: the default one")
    camera_rule: Literal["market", "cuhk03", "none"] | None = Field(
        None,
        description="which gallery images a query ignores: market, those of its own identity and "
        "camera; cuhk03, those of its own camera; none, no image; null: the protocol's rule",
    )
    boxes: Literal["labeled", "detected"] = Field("labeled", description="which boxes of CUHK03")
    split: Annotated[int, Field(ge=0)] = Field(
        0, description="number of the published split, or of the random draw"
    )
    hold_out: Annotated[int, Field(ge=0)] = Field(
        0,
        description="number of training identities (for image benchmarks: training images) held "
        "out of training and evaluated instead of the test set",
    )
    held_out: Literal["drawn", "last"] = Field(
        "drawn",
        description="which identities to hold out: drawn at random, or those with the highest "
        "numbers, the latest ones if identities are numbered in order of appearance",
    )
    height: Annotated[int, Field(ge=16, le=1024)] = 128
    width: Annotated[int, Field(ge=16, le=1024)] = 64


class ModelConfig(_Section):
    """The backbone and the hash layer."""

    backbone: str = Field(
        "resnet-slim",
        description="backbone, see nn.backbones.build_backbone; timm networks by architecture name "
        "only. onnx:FILE: any ONNX network, with only the hash layer on top trained",
    )
    bits: Annotated[int, Field(ge=1, le=4096)] = 128
    pretrained: str | None = Field(
        None, description='"timm" to download timm\'s weights, or a local weights file'
    )
    preset: str | None = Field(
        None,
        description="for backbone onnx:FILE: input preset, as for --preset; null: guessed, and "
        "reported",
    )
    stripes: Annotated[int, Field(ge=1, le=1024)] | None = Field(
        None, description="for timm networks: number of horizontal stripes to pool separately"
    )
    output_stride: Literal[8, 16, 32] | None = Field(
        None,
        description="for timm networks: input pixels per position of the last stage's feature map; "
        "null: as published",
    )
    soft_stripes: bool = Field(
        False,
        description="for stripe-pooling networks: average each code over the feature map and the "
        "map shifted up and down by one row",
    )
    standardise: bool = Field(
        False,
        description="normalise each channel of each image to mean 0 and deviation 1, which removes "
        "a camera's brightness, contrast and colour cast",
    )
    freeze: tuple[str, ...] = Field(
        (),
        description="for timm networks: names of modules that keep their pretrained weights, such "
        "as the first layers, whose gradients take most of the time of a step",
    )
    batch_norm: bool = Field(True, description="batch norm before the sign, to balance the bits")
    dropout: Share = 0.0
    weights: Literal["learned", "monotone", "magnitude", "likelihood", "none"] = Field(
        "learned",
        description="bit weights: learned w² (the paper); learned w² that never rises from one bit "
        "to the next; |w|, which spreads the weights less; the log-likelihood ratio of a bit "
        "agreeing for same against different persons, from training pairs; or all one",
    )
    flip_average: bool = Field(True, description="average each code with the mirrored image's")
    order: Literal["weight", "given"] = Field(
        "weight",
        description="bit order: by falling weight (the paper), or as trained on prefixes: the "
        "first bits mean most, though a later bit may weigh more",
    )

    @field_validator("backbone")
    @classmethod
    def _is_no_place(cls, value: str) -> str:
        timm_name(value)
        return value


class LossConfig(_Section):
    """Weights of the loss terms; 0 switches a term off."""

    triplet: NotNegative = Field(1.0, description="all-triplets hinge on weighted tanh-like codes")
    margin: tuple[Positive, Positive] = Field(
        (5.0, 13.0),
        description="triplet margin at the start and at the end of training, for 64 bits",
    )
    beta: Positive = Field(5.0, description="slope of the tanh-like layer at the start")
    beta_growth: Annotated[float, Field(ge=1)] = Field(1.1, description="factor per interval")
    beta_intervals: Annotated[int, Field(ge=0)] = Field(
        10, description="number of intervals, after each of which beta grows"
    )
    regulariser: NotNegative = Field(0.001, description="tr(R L Rᵀ) of DRSCH; 0 gives DSCH")
    similarity: Literal["labels", "appearance"] = Field(
        "labels", description="what makes images similar to the regulariser"
    )
    cross_entropy: NotNegative = Field(0.0, description="cross-entropy of the features")
    code_cross_entropy: NotNegative = Field(0.0, description="cross-entropy of the prefixes")
    classifier: Literal["linear", "cosine"] = Field(
        "linear",
        description="classifier: a linear layer, or the cosine to a learned centre of each class, "
        "which for codes is the Hamming distance to that centre",
    )
    scale: Positive = Field(16.0, description="factor from cosines to logits")
    cosine_margin: Share = Field(
        0.0, description="margin by which the cosine to the right centre must be larger"
    )
    label_smoothing: Share = 0.1
    feature_triplet: NotNegative = Field(0.0, description="soft-margin batch-hard on features")
    ranking: NotNegative = Field(0.0, description="DSRH's ranking-weighted hinge on the codes")
    balance: NotNegative = Field(0.0, description="DSRH's ½ |mean code|²: each bit half ones")
    quantisation: NotNegative = Field(0.0, description="mean squared distance of codes from ±1")
    distillation: NotNegative = Field(
        0.0,
        description="match the codes' similarities within a batch to those of the float embedding "
        "(which cross_entropy or feature_triplet train)",
    )
    teacher: str | None = Field(
        None,
        description="trained network, this toolkit's or any other (see --network), whose float "
        "embeddings set the target similarities; the run's own embedding is trained on them too",
    )
    teacher_preset: str | None = Field(
        None, description="input preset of the teacher, as for --preset; null: guessed, reported"
    )
    temperature: Positive = Field(0.1, description="temperature of distillation's cosines")
    relative_distance: NotNegative = Field(
        0.0, description="Ding et al.'s hinge on outputs of unit length, a float embedding"
    )
    prefixes: tuple[Count, ...] = Field(
        (), description="code lengths to train besides the full one, by triplets and classifiers"
    )


class AugmentConfig(_Section):
    """Random augmentation of a training batch."""

    flip: Share = Field(0.5, description="probability of mirroring an image")
    shift: Share = Field(0.05, description="largest shift, as a share of the side")
    zoom: Share = Field(0.1, description="largest relative change of size")
    colour: Share = Field(0.2, description="largest relative change of brightness and colour")
    light: Share = Field(
        0.0,
        description="largest change of the logarithm of the exposure, and half of that per "
        "channel; multiplies the light, so dark stays dark, unlike with colour",
    )
    erase: Share = Field(0.5, description="probability of erasing a random rectangle")
    low_resolution: Share = Field(
        0.0,
        description="probability of shrinking an image, to 0.4 of its sides at the least, and "
        "enlarging it again, like a person far from the camera",
    )


class TrainConfig(_Section):
    """The training loop: batches, optimiser, schedule."""

    start: str | None = Field(
        None,
        description="trained network to start from: a file, or the name of a shipped model; null: "
        "new weights, or those of model.pretrained",
    )
    epochs: Count = 40
    identities_per_batch: Annotated[int, Field(ge=2)] = 16
    images_per_identity: Annotated[int, Field(ge=2, le=256)] = 4
    optimiser: Literal["sgd", "adamw", "muon"] = "adamw"
    learning_rate: Positive = 1e-3
    weight_decay: NotNegative = 5e-4
    bit_weights_rate: Share = Field(
        1.0, description="learning rate of the bit weights, as a share of learning_rate"
    )
    backbone_rate: Share = Field(
        1.0,
        description="learning rate of the backbone, as a share of learning_rate; a pretrained one "
        "needs less than new layers",
    )
    momentum: Share = 0.9
    schedule: Literal["cosine", "step"] = "cosine"
    warmup: Share = Field(0.1, description="share of the steps in which the learning rate rises")
    small_images: Share = Field(
        0.0, description="share of the steps, at the start, with images of 0.7 times the side"
    )
    average: Share = Field(0.0, description="decay of the running weight average; 0: no average")
    clip: NotNegative = Field(0.0, description="largest gradient norm; 0: no clipping")
    evaluate_every: Annotated[int, Field(ge=0)] = Field(
        0, description="epochs between evaluations; 0: only at the end"
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto",
        description="number format of the network; auto: bfloat16 if the hardware multiplies it, "
        "but on a CPU only if measured faster for this network",
    )


class RefitConfig(_Section):
    """Final training of the hash layer alone, on the outputs of the trained network (`refit`)."""

    steps: Annotated[int, Field(ge=0)] = Field(
        0, description="number of steps; 0 keeps the layer as trained"
    )
    identities: Annotated[int, Field(ge=2)] = Field(
        300, description="identities compared per step, two images each; at most all"
    )
    prefixes: tuple[Count, ...] = Field(
        (), description="code lengths to compare besides the full one; empty: the loss's"
    )
    noise: NotNegative = Field(
        0.7,
        description="noise added to each image, as a share of the difference between another image "
        "and its identity's mean: strangers vary more than training identities",
    )
    temperature: Positive = Field(
        0.09,
        description="temperature of similarities at 64 bits; falls with the fourth root of bits",
    )
    learning_rate: Positive = 0.02


class Config(_Section):
    """The configuration of a training run."""

    seed: Annotated[int, Field(ge=0)] = 0
    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    loss: LossConfig = LossConfig()
    augment: AugmentConfig = AugmentConfig()
    train: TrainConfig = TrainConfig()
    refit: RefitConfig = RefitConfig()

    def to_yaml(self) -> str:
        """Dump the whole configuration as YAML, defaults included."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)
