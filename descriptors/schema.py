"""The experiment's schema: every key a YAML file or the command line may set, with its default, unit and limits.

A default is the paper's value unless a comment says otherwise. Sizes for a machine come from `experiments/scale/`.
"""

from dataclasses import dataclass, field
from typing import Any


def option(
    default: Any,
    choices: tuple[str, ...] = (),
    minimum: float | None = None,
    maximum: float | None = None,
    importable: bool = False,
) -> Any:
    """A field with limits; `importable` also admits `package.module:Class` as a choice."""
    limits = {"choices": choices, "minimum": minimum, "maximum": maximum, "importable": importable}
    return field(default=default, metadata=limits)


@dataclass
class HomographySettings:
    """How a crop is cut from its photo; `None` takes the preset's value."""

    preset: str = option("paper", ("paper", "wide", "identity"))  # the ranges of all that follows
    zoom_min: float | None = option(None, minimum=0.05, maximum=4)  # a crop spans zoom x crop_size photo px
    zoom_max: float | None = option(None, minimum=0.05, maximum=4)  # zoom is uniform between the two
    rotation_deg: float | None = option(None, minimum=0, maximum=180)  # uniform in +-
    perspective: float | None = option(None, minimum=0.1, maximum=1)  # each of two opposite sides scaled by U(this, 1)
    shift: float | None = option(None, minimum=0, maximum=0.5)  # second crop's centre moves by this share of the crop


@dataclass
class PhotometricSettings:
    """Colour changes of both crops, independently."""

    preset: str = option("paper", ("none", "paper", "strong"))  # which changes, how often and how strong
    strength: float = option(1.0, minimum=0, maximum=3)  # scales the ranges, not the probabilities


@dataclass
class StylizationSettings:
    """How the positive crop's photo is restyled before it is cropped."""

    method: str = option("colour_transport", ("none", "colour_transport", "stored"))  # stored: copies made beforehand
    probability: float = option(0.7, minimum=0, maximum=1)  # of a positive to be restyled
    mode: str = option("mixed", ("global", "local", "mixed"))  # one change of colours a photo, or one that varies in it
    # The style of another photo of the batch, of a training photo, of the folder's photos, or a built-in light; mixed:
    # training photos or lights, by coin. Only with `batch` does a pair depend on which photos share its rank.
    styles: str = option("mixed", ("batch", "photos", "folder", "presets", "mixed"))
    strength: float = option(1.0, minimum=0, maximum=1)  # 0 keeps the photo, 1 takes the style's statistics
    folder: str | None = None  # style photos (styles=folder), or the stylized copies (method=stored)


@dataclass
class KeypointSettings:
    """Where the keypoints of a crop come from."""

    detector: str = option("gftt", ("gftt", "dog", "random", "corners", "stored"), importable=True)
    count: int = option(200, minimum=1, maximum=100_000)  # M, at most so many a crop
    border_px: int = option(8, minimum=0)  # none closer to the crop's edge or to padding
    file: str | None = None  # HDF5 with detector=stored


@dataclass
class PairSettings:
    """What a training pair is made of: two crops of a photo, their changes and their keypoints."""

    crop_size: int = option(256, minimum=32, maximum=4096)  # px a side
    homography: HomographySettings = field(default_factory=HomographySettings)
    photometric: PhotometricSettings = field(default_factory=PhotometricSettings)
    stylization: StylizationSettings = field(default_factory=StylizationSettings)
    keypoints: KeypointSettings = field(default_factory=KeypointSettings)


@dataclass
class DataSettings:
    """Which photos, how many at once, and where they are kept."""

    root: str | None = None  # a folder of photos or of .tar shards, or a text file of paths; without it, bundled photos
    photo_size: int = option(384, minimum=32, maximum=8192)  # side of the square the workers hand over
    batch_size: int = option(16, minimum=1)  # photos a step on each rank
    workers: int = option(2, minimum=0, maximum=256)  # processes that decode photos, on each rank
    reduced_decoding: bool = True  # a JPEG is decoded at 1/2, 1/4 or 1/8 where that is still larger than needed
    cache: str = option("none", ("none", "ram", "device"))  # decoded photos: ram, shared by workers, or on the device
    cache_gib: float = option(8.0, minimum=0.001)  # at most so much memory for it on each rank
    folders_are_scenes: bool = False  # photos of one sub-folder show one place: never negatives by retrieval
    cache_dir: str = "~/.cache/descriptors"  # what is known of photos between runs: indices, tables of neighbours


@dataclass
class NetworkSettings:
    """The network; also what a class of your own, `package.module:Class`, is called with."""

    name: str = option("caps", ("caps", "l2net", "compact"), importable=True)
    encoder: str = option("resnet50", ("resnet18", "resnet34", "resnet50"))  # of caps
    # Of caps a hub name, e.g. microsoft/resnet-50 (the reference's start); of compact and l2net weights of this
    # project, shipped or of a run, to train on from; `none`: random weights.
    pretrained: str = "none"
    dim: int = option(128, minimum=8, maximum=4096)  # numbers of a descriptor
    width: int = option(32, minimum=8, maximum=512)  # first layer's channels of compact and l2net
    depth: int = option(4, minimum=4, maximum=7)  # halvings of compact: how far a descriptor sees
    octaves: int = option(1, minimum=1, maximum=4)  # images whose descriptors are summed: the photo, its half, ...
    norm: str = option("batch", ("batch", "sync", "frozen", "instance"))  # batch: of each rank, sync: of all
    fusion: bool = False  # concatenate descriptors of several levels (caps, compact)


@dataclass
class LossSettings:
    """The loss; also what a class of your own is called with."""

    name: str = option("average_precision", ("average_precision", "triplet", "info_nce"), importable=True)
    bins: int = option(20, minimum=2, maximum=1000)  # of average_precision's histogram of cosines
    margin: float = option(1.0, minimum=0, maximum=4)  # of triplet
    temperature: float = option(0.07, minimum=1e-3, maximum=10)  # of info_nce


@dataclass
class MinerSettings:
    """Which negatives an anchor gets; also what a class of your own is called with."""

    name: str = option("in_batch", ("in_pair", "in_batch", "random", "all", "retrieval"), importable=True)
    top_k: int = option(20, minimum=1)  # K, negatives an anchor
    radius_px: float = option(0.0, minimum=0)  # in_pair: own-crop candidates closer than this are left out
    own_pair_radius_px: float | None = option(None, minimum=0)  # a number admits the own crop beyond it
    neighbours: int = option(5, minimum=1)  # retrieval: one crop an anchor, of one of its first n photos
    refresh_epochs: int = option(5, minimum=1)  # retrieval: between two searches for neighbours
    global_descriptor: str = "network"  # GeM over the network's encoder, or a transformers vision model's name
    look_alike_percentile: float = option(99.0, minimum=0, maximum=100)  # more alike than this: maybe the same place
    chunk: int = option(4096, minimum=1)  # pool rows looked at at once
    queue_batches: int = option(0, minimum=0, maximum=10_000)  # past global batches whose positives stay candidates
    queue_after_steps: int = option(0, minimum=0)  # steps before the first is kept: early descriptors age fast


@dataclass
class OptimizerSettings:
    """The optimiser, and how its learning rate goes with the steps."""

    name: str = option("adam", ("adam", "adamw"))
    learning_rate: float = option(1e-4, minimum=0, maximum=10)
    weight_decay: float = option(0.0, minimum=0, maximum=10)
    schedule: str = option("step", ("constant", "step", "cosine"))  # cosine: to nought at the last step
    step_every: int = option(50_000, minimum=1)  # steps between halvings with schedule=step
    warmup_steps: int = option(0, minimum=0)  # over which the rate rises from nought
    clip_norm: float = option(0.0, minimum=0)  # 0: gradients are not clipped


@dataclass
class ValidationSettings:
    """How often the network is measured on held-out photos, and on how much."""

    every_steps: int = option(1000, minimum=1)
    pairs: int = option(64, minimum=2)  # fixed pairs of held-out photos
    gallery: int = option(16, minimum=0)  # fixed crops whose keypoints are everybody's extra negatives


@dataclass
class TrainerSettings:
    """How long, on which devices, in which precision."""

    max_steps: int = option(220_000, minimum=1)  # of the optimiser
    accelerator: str = option("auto", ("auto", "cpu", "gpu"))
    devices: str = "auto"  # a number, or auto
    strategy: str = "auto"  # auto, ddp, or another Lightning strategy by name
    num_nodes: int = option(1, minimum=1)  # machines
    timeout_minutes: float = option(10.0, minimum=0.1)  # a rank that hangs for longer ends the run on all of them
    precision: str = option("32", ("32", "16", "bf16"))  # of the network's layers; mining and loss stay in float32
    accumulate: int = option(1, minimum=1)  # batches a step; each is mined by itself, and all anchors weigh alike
    compile: bool = False  # torch.compile of the network; needs a C++ compiler
    stop_after_bad_steps: int = option(10, minimum=1)  # in a row, each left out: loss or gradient is not finite
    log_every_steps: int = option(50, minimum=1)
    deterministic: bool = True  # without it the fastest convolutions are looked for and taken
    progress_bar: bool = True  # on a terminal


@dataclass
class CheckpointSettings:
    """How often the state of a run is saved, and how many of the saved are kept."""

    every_steps: int = option(5000, minimum=1)
    keep: int = option(3, minimum=1)  # the newest, beside the best


@dataclass
class Experiment:
    """One run, complete."""

    name: str = "unnamed"
    scale: str = "paper"
    seed: int = option(1984, minimum=0)  # of weights, order and pairs
    output_dir: str | None = None  # the run folder itself; without it runs/<experiment>/<start time>
    resume: str | None = None  # a run folder, a checkpoint, or auto: this experiment's newest run
    logger: str = option("wandb", ("none", "csv", "wandb", "tensorboard", "wandb,tensorboard"))  # metrics.csv is always
    wandb_project: str | None = None  # without it WANDB_PROJECT, else descriptors
    wandb_group: str | None = None  # of runs that belong together, as an ablation's; without it the experiment's name
    wandb_tags: str | None = None  # words between commas, beside the names of experiment and scale
    evaluate_at_end: bool = True  # the exported weights beside RootSIFT on bundled pairs; about ten seconds
    data: DataSettings = field(default_factory=DataSettings)
    pairs: PairSettings = field(default_factory=PairSettings)
    network: NetworkSettings = field(default_factory=NetworkSettings)
    loss: LossSettings = field(default_factory=LossSettings)
    miner: MinerSettings = field(default_factory=MinerSettings)
    optimizer: OptimizerSettings = field(default_factory=OptimizerSettings)
    validation: ValidationSettings = field(default_factory=ValidationSettings)
    trainer: TrainerSettings = field(default_factory=TrainerSettings)
    checkpoint: CheckpointSettings = field(default_factory=CheckpointSettings)
