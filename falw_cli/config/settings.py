"""falw.yaml, environment, flags and checkpoint metadata, merged into one frozen Config.

Precedence: flag, then environment (read by `main`), then falw.yaml, then metadata, then default.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from falw_cli.config.extensions import METHODS, WEIGHTINGS
from falw_cli.config.file import class_names, explain, parse_yaml, relative_to
from falw_cli.errors import RequestError, unknown_name

FILE_NAME = "falw.yaml"

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
Range = tuple[Annotated[int, Field(ge=0)], Count]
"""From, and up to but not including."""


class Section(BaseModel):
    """A part of the config: unknown keys are errors, and nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Preprocessing(Section):
    """How an image becomes the network's input; a checkpoint's metadata carries it."""

    image_size: Annotated[int, Field(ge=8, le=4096)] | None = None
    """Side of the square input in pixels; default: the images' own size."""
    resize: Annotated[int, Field(ge=8, le=8192)] | None = None
    """Shorter side before the centre crop to image_size; default: image_size."""
    interpolation: Literal["bilinear", "bicubic", "nearest"] = "bilinear"
    """Of resizing."""
    squash: bool = False
    """Resize both sides to image_size, whatever the aspect ratio, instead of cropping."""
    mean: tuple[float, ...] | None = None
    """Mean of each channel, of pixels in [0, 1]; default: measured on the training data."""
    std: tuple[Positive, ...] | None = None
    """Standard deviation of each channel, likewise."""


class Recipe(Section):
    """How a network's weights are moved: what train, Retrain and unlearn share."""

    optimizer: Literal["sgd", "adamw"] = "sgd"
    """Moves the weights."""
    lr: Positive = 0.1
    """Highest learning rate of the schedule."""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Momentum of SGD."""
    weight_decay: NotNegative = 5e-4
    """Pull of all weights towards 0."""
    schedule: Literal["constant", "step", "cosine", "one-cycle"] = "one-cycle"
    """step divides by ten at 1/2 and 3/4 of the run; the others are torch's schedulers."""
    epochs: Count = 20
    """Passes over the data."""
    batch_size: Count = 128
    """Samples a step, over all devices."""
    crop: Annotated[int, Field(ge=0)] = 0
    """Random crop after padding each side by so many pixels (4 on CIFAR-10); 0: none."""
    flip: bool = False
    """Random horizontal flip."""


class TrainRecipe(Recipe):
    """The recipe of training, which defines the targets too."""

    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of a label that is spread over all classes."""


class UnlearnRecipe(Recipe):
    """The recipe of unlearning, with base method and weighting; defaults: docs/methods.md."""

    method: str = "match"
    """The base method."""
    weighting: str | None = None
    """Default: the method's; falw where it has a forget loss and names none."""
    hyperparameters: dict[str, float] = {}
    """Of the method and the weighting, by name."""
    tau: NotNegative = 0.15
    """Strength of the balance factor, FaLW equation 2; the paper uses 0.1 to 0.2."""
    target: Literal["streaming", "exact"] = "streaming"
    """exact: mu and sigma over all held-out samples, as in the paper; streaming: from some of each
    class in turn, at next to no cost."""
    target_every: Count = 1
    """With an exact target: re-estimate at every N-th step; 1 is the paper's."""
    lr: Positive | Literal["auto"] = 0.01  # type: ignore[assignment]
    """A number, or auto: found in short probes, which count in the run's time."""
    schedule: Literal["constant", "step", "cosine", "one-cycle"] = "cosine"
    """Of the learning rate."""
    epochs: Count = 1
    """Passes over the forget set where `forget_share` is set, else over all that takes part."""
    forget_share: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Share of each batch that is forget samples; default: the method's, or as they come."""
    least_steps: Count = 1
    """Steps that a run on a short list takes at least, unless `epochs` is given: in up to twice the
    epochs, or in 24 steps."""
    retain_budget: Count | None = None
    """Retain samples that the run may look at; default: ten for each forget sample, 10,000 at
    least."""
    stop: Literal["auto", "epochs"] = "auto"
    """auto: where the estimated gap to a Retrain model is smallest; epochs: at the end."""
    max_utility_loss: Annotated[float, Field(ge=0, le=100)] = 7.0
    """Percentage points of retain and held-out accuracy that --stop auto may give up."""
    trace: bool = False
    """With references: also the Avg. Gap along the run, which no decision looks at."""

    @field_validator("method")
    @classmethod
    def _known_method(cls, value: str) -> str:
        if value not in METHODS:
            raise unknown_name("method", value, METHODS)
        return value

    @field_validator("weighting")
    @classmethod
    def _known_weighting(cls, value: str | None) -> str | None:
        if value is not None and value not in WEIGHTINGS:
            raise unknown_name("weighting", value, WEIGHTINGS)
        return value


class Config(Section):
    """Everything that a command was asked for, settled and frozen."""

    model: str | None = None
    """The checkpoint."""
    arch: str | None = None
    """Its architecture, where it does not say it itself."""
    arch_config: dict[str, Any] | None = None
    """What timm or transformers builds the architecture by: model_args, or a config.json's keys."""
    classes: tuple[str, ...] | None = None
    """Class names in the order of the network's outputs, or a text file of them, one a line;
    default: metadata, then the data's."""
    data: str | None = None
    """SPEC of what the model was trained on."""
    heldout: str | None = None
    """SPEC of what it never saw: guides, and judges where no test data is given."""
    test: str | None = None
    """SPEC of what only judges; default: half of the held-out data."""
    per_class: dict[Literal["data", "heldout", "test"], Range] = {}
    """Of these sources only such rows of each class, in the order of the listing: for trials."""
    forget: str | None = None
    """The forget list."""
    without: str | None = None
    """A list that `falw train` leaves out."""
    reference: tuple[str, ...] = ()
    """Retrain checkpoints to compare with."""
    gate: tuple[str, ...] = ()
    """`NAME OP NUMBER` each: exit code 1 unless all hold."""
    metrics: tuple[str, ...] = ()
    """What the Avg. Gap is made of, NAME or NAME:WEIGHT each; default: FA, RA, TA and MIA."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """Of everything random."""
    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$")] = "auto"
    """auto, cpu, cuda or cuda:N."""
    devices: Count | None = None
    """Devices of each machine that share the run, a process each; default: one, or as many ranks as
    torchrun or SLURM started."""
    nodes: Count = 1
    """Machines that share the run."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """auto: bf16 on a GPU that has it, else fp32."""
    compile: bool = False
    """Compile the network before the first step; on a CPU it did not pay (docs/cpu.md)."""
    skip_unreadable: bool = False
    """Leave out images that cannot be read, with a warning."""
    cache: bool = True
    """Keep decoded images in the user's cache folder; never those of the forget list."""
    track: Literal["csv", "tensorboard", "wandb", "mlflow"] | None = None
    """Live curves of the run, beside the output in `NAME.track`: loss, weights, target, looks."""
    save_every: NotNegative = 60.0
    """Seconds between two saves of a running command's state, so that a kill loses no more; fewer
    saves where one takes over a hundredth of that."""
    preprocessing: Preprocessing = Preprocessing()
    train: TrainRecipe = TrainRecipe()
    unlearn: UnlearnRecipe = UnlearnRecipe()
    out: str | None = None
    report: str | None = None
    forgotten_gate: bool = True
    """Exit code 1 where the audit shows that the list is not forgotten."""
    relearn: bool = False
    """Test whether the forgotten returns when weights are rounded, or a few samples relearned."""
    html: bool = False
    """Write the report's page beside it."""
    force: bool = False
    resume: bool = False
    dry_run: bool = False
    trust_code: bool = False
    allow_outside: bool = False

    @field_validator("metrics", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        return value.split(",") if isinstance(value, str) else value

    def over(self, lower: Mapping[str, Any]) -> Config:
        """This config with what it does not set taken from `lower` (metadata, defaults)."""
        return Config.model_validate(_merge(lower, self.model_dump(exclude_unset=True)))


FLAG_ONLY = {
    "out", "report", "force", "resume", "dry_run", "trust_code", "allow_outside", "forgotten_gate",
}  # fmt: skip
"""What a file may not ask for: it may have come with a stranger's model."""
BUILDS = {"unlearn", "evaluate", "train", "convert"}
"""Commands that build the network, and so would import code that a config names."""
SECTION_OF = {"train": "train", "unlearn": "unlearn"}
"""Commands whose flags --epochs, --lr … belong to a section of the config."""


def _merge(lower: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    """Nested dictionaries, `upper` first."""
    merged = dict(lower)
    for key, value in upper.items():
        old = merged.get(key)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        merged[key] = _merge(old, value) if both else value  # type: ignore[arg-type]
    return merged


def find_file(model: str | None) -> Path | None:
    """The falw.yaml that goes without saying: beside the model, else in the working folder."""
    folders = [Path(model).parent] if model else []
    candidates = (folder / FILE_NAME for folder in [*folders, Path()])
    return next((file for file in candidates if file.is_file()), None)


def resolve(
    command: str, flags: Mapping[str, Any], file: Path | None = None, *, find: bool = True
) -> Config:
    """Flags over the config file.

    Args:
        command: decides which section --epochs, --lr and their like belong to.
        flags: values by flag name with underscores; None stands for not given.
        file: the config named by a person; otherwise falw.yaml is looked for.
        find: is it looked for?

    Raises:
        RequestError: a file that cannot be read, an unknown key, a value out of range.
    """
    named = file is not None
    file = file or (find_file(flags.get("model")) if find else None)
    below = _read_file(file) if file else {}
    if file and not named and command in BUILDS:
        _refuse_code(below, file, trusted=bool(flags.get("trust_code")))
    given: dict[str, Any] = {}
    section = SECTION_OF.get(command)
    recipes: dict[str, type[Recipe]] = {"train": TrainRecipe, "unlearn": UnlearnRecipe}
    fields = recipes.get(command)
    for key, value in flags.items():
        if value is None:
            continue
        if section and fields and key in fields.model_fields:
            given.setdefault(section, {})[key] = value
        elif key in Config.model_fields:
            given[key] = class_names(Path(value)) if key == "classes" else value
        else:
            raise unknown_name("option", key, [*Config.model_fields, *TrainRecipe.model_fields])
    try:
        Config.model_validate(given)
    except ValidationError as error:
        raise explain(error, None, {}, Config) from error
    return Config.model_validate(_merge(below, given))


def _refuse_code(content: Mapping[str, Any], file: Path, trusted: bool) -> None:
    arch = content.get("arch")
    if isinstance(arch, str) and ":" in arch and not trusted:
        raise RequestError(
            f"{file} asks to import code: arch {arch!r}",
            "give --arch or --config yourself, or --trust-code if you trust that folder",
        )


def _read_file(file: Path) -> dict[str, Any]:
    """A config file's content, validated, its paths made relative to the file."""
    content, lines = parse_yaml(file)
    if isinstance(named := content.get("classes"), str):
        content["classes"] = class_names(file.parent / named)
    for key in FLAG_ONLY & set(content):
        flag = "--no-forgotten-gate" if key == "forgotten_gate" else f"--{key.replace('_', '-')}"
        raise RequestError(
            f"{file} line {lines[key,]}: {key} cannot be set in a file", f"give it as {flag}"
        )
    try:
        Config.model_validate(content)
    except ValidationError as error:
        raise explain(error, file, lines, Config) from error
    return relative_to(file.parent, content)
