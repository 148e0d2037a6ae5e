"""`falw init`: a commented falw.yaml for a model and its data."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from falw_cli.config.resolution import FILE_NAME
from falw_cli.config.settings import Config, Preprocessing
from falw_cli.data import loading
from falw_cli.data.decoding import size_of
from falw_cli.data.listing import Listing
from falw_cli.errors import RequestError
from falw_cli.models import architectures, checkpoint_files
from falw_cli.models.fitting import unwrap
from falw_cli.models.network import network_spec, with_metadata
from falw_cli.models.preprocessing import IMAGENET
from falw_cli.models.pruning import merged
from falw_cli.runtime import outputs
from falw_cli.runtime.printable import counted, printable

WIDTH = 34
"""Width of a setting in characters, before its comment."""
REST = """\
# Settings of the run: remove the # of those that you need.
# unlearn:
#   method: match                 # the default; see docs/methods.md for others
#   weighting: none               # the default of match
#   batch_size: 128
#   max_utility_loss: 7           # accuracy that a run may lose, in points
# gate: ["test_accuracy>=90"]     # exit code 1 if it fails
# reference: [retrain.safetensors]  # retrained model to compare with: falw train --without ids.txt
# seed: 0
# html: true                      # also write the report as a page
"""


@dataclass(frozen=True)
class ModelFacts:
    """Properties of a checkpoint."""

    path: Path
    arch: str
    says_so: bool
    """Whether the checkpoint names its architecture."""
    outputs: int
    classes: tuple[str, ...] | None
    shown: Preprocessing
    channels: int


def init(config: Config) -> Path:
    """Write falw.yaml beside the model, or in the working folder if no model is given.

    Raises:
        RequestError: model or data cannot be read or do not fit, or the file exists.
    """
    facts = _model_facts(config) if config.model else None
    file = (facts.path.parent if facts else Path()) / FILE_NAME
    listings = {
        flag: loading.open_source(config, flag)
        for flag in loading.DEFAULT_PART
        if flag == "data" or getattr(config, flag) is not None
    }
    _check_classes(config, facts, listings["data"])
    with outputs.claimed([file], force=config.force):
        outputs.write_all({file: _text(config, facts, listings, file).encode()})
    return file


def _model_facts(config: Config) -> ModelFacts:
    assert config.model is not None
    source = checkpoint_files.read(config.model, config.weights)
    settled = with_metadata(config, source)
    if settled.arch is None:
        tensors = unwrap(merged(source).tensors)[1]
        name = architectures.recognise(replace(source, tensors=tensors).shapes)
        if name is None:
            raise RequestError(
                f"{config.model} does not name its architecture, and fits none of torchvision's",
                "give --arch timm/NAME, or your own code as --arch package.module:function",
            )
        settled = settled.model_copy(update={"arch": name})
    spec, source = network_spec(settled, source)
    return ModelFacts(
        source.path, spec.arch, source.metadata is not None, spec.num_classes,
        settled.classes or spec.stored_classes, settled.preprocessing, spec.channels,
    )  # fmt: skip


def _check_classes(config: Config, facts: ModelFacts | None, listing: Listing) -> None:
    if facts is None or listing.numbered or facts.classes is not None:
        return
    if len(listing.classes) != facts.outputs:
        raise RequestError(
            f"the model has {counted(facts.outputs, 'output')}, {listing.spec} has "
            f"{counted(len(listing.classes), 'class', 'classes')}",
            "give --classes FILE: class names, one per line, in the order of the outputs",
        )


def _text(
    config: Config, facts: ModelFacts | None, listings: dict[str, Listing], file: Path
) -> str:
    whose = f" for {printable(facts.path.name)}" if facts else ""
    lines = [f"# Settings of falw{whose}. Flags override it; paths are relative to its folder.", ""]
    lines += _model_lines(config, facts, listings["data"])
    comments = {
        "data": "training data",
        "heldout": "not trained on: half guides the run, half is for evaluation",
        "test": "for evaluation only",
    }
    for flag, comment in comments.items():
        if flag in listings:
            one = listings[flag]
            size = f"{counted(len(one.ids), 'image')}, "
            size += f"{counted(len(one.classes), 'class', 'classes')}: {comment}"
            lines.append(_line(flag, _moved(str(getattr(config, flag)), file.parent), size))
        else:
            lines.append(_line(f"# {flag}", "imagefolder:FOLDER", comment))
    lines += ["", *_preprocessing(facts, listings["data"]), "", REST]
    return "\n".join(lines)


def _model_lines(config: Config, facts: ModelFacts | None, listing: Listing) -> list[str]:
    if facts is None:
        return [_line("# arch", "resnet18", "if the checkpoint does not name it")]
    if facts.says_so:
        return [f"# The checkpoint's metadata: {printable(facts.arch)}, {facts.outputs} classes."]
    said, classes = config.arch is not None, config.classes or facts.classes
    found = [_line("arch", facts.arch, "as given" if said else "recognised by its tensors")]
    if classes is not None:
        found.append(_line("classes", list(classes), "in the order of the outputs"))
    elif not listing.numbered:
        found.append("# CHECK: outputs are assumed to be the class names in alphabetical order.")
        found.append("# classes: [NAME, NAME, ...]       # another order")
    return found


def _preprocessing(facts: ModelFacts | None, listing: Listing) -> list[str]:
    """Return lines on the preprocessing, which is guessed if it is unknown."""
    if facts is None or facts.says_so:
        return ["# The checkpoint defines the preprocessing; `preprocessing:` would override it."]
    if listing.array is not None:
        height, width = listing.array.shape[1:3]
    else:
        height, width = size_of(listing.files.image(0), listing.ids[0])
    own = facts.arch in architectures.OWN or architectures.is_code(facts.arch)
    if own and facts.shown == Preprocessing():
        return [
            "# CHECK: the preprocessing of the training is unknown. Without these lines, images",
            f"# keep their size ({width} x {height}), and mean and deviation are measured:",
            "# preprocessing:",
            f"#   image_size: {min(height, width)}",
            f"#   mean: {[0.0] * facts.channels}  # one number per channel, of pixels in [0, 1]",
            f"#   std: {[1.0] * facts.channels}",
        ]
    small = max(height, width) < 96
    size = min(height, width) if small else IMAGENET.image_size
    lines = ["# CHECK: the preprocessing of the training is unknown. These are"]
    lines += [
        f"# the size of the images ({width} x {height}) and ImageNet's mean and deviation:"
        if small else "# ImageNet's values, which torchvision's training uses:"
    ]  # fmt: skip
    lines += ["preprocessing:", f"  image_size: {size}"]
    lines += [] if small else [f"  resize: {IMAGENET.resize}"]
    lines += [f"  {name}: {list(getattr(IMAGENET, name))}" for name in ("mean", "std")]
    return lines


def _line(key: str, value: object, comment: str) -> str:
    """Return the line of a setting, with a comment."""
    written = yaml.safe_dump(value, default_flow_style=True, width=10**6).splitlines()[0]
    return f"{f'{key}: {written}':<{WIDTH}} # {printable(comment)}"


def _moved(spec: str, folder: Path) -> str:
    """Return a SPEC with its path made relative to `folder`.

    Links are resolved first: `..` below a link leads to the parent of its target.
    """
    kind, colon, location = spec.partition(":")
    first, named, rest = location.partition(":") if kind == "torchvision" else ("", "", location)
    if not colon or not rest or Path(rest).is_absolute():
        return spec
    above, name = os.path.split(rest)  # the last part may be a link that is meant to change
    real = os.path.join(os.path.realpath(above), name)  # noqa: PTH118 (a suffix such as #test)
    return f"{kind}:{first}{named}{os.path.relpath(real, os.path.realpath(folder))}"
