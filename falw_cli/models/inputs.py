"""Checkpoint, data and forget list of a run: opening, cross-checks and description."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from falw_cli.config.settings import Config, Preprocessing
from falw_cli.data import images, loading, no_retain, splits
from falw_cli.data.images import Images
from falw_cli.data.splits import Splits
from falw_cli.errors import RequestError
from falw_cli.models import architectures, checkpoint_files
from falw_cli.models.chain import made_from, names, steps_back
from falw_cli.models.checkpoint import Checkpoint
from falw_cli.models.comparison import check_original, check_references, open_compared
from falw_cli.models.earlier import recorded_runs
from falw_cli.models.heldout_split import warn_of_guides
from falw_cli.models.input_size import check_channels, check_input_size
from falw_cli.models.left_out import AuditedLists
from falw_cli.models.network import (
    Network,
    NetworkSpec,
    build_network,
    network_spec,
    with_metadata,
)
from falw_cli.models.output_names import output_names
from falw_cli.models.preprocessing import IMAGENET, measured
from falw_cli.models.pruning import sparse
from falw_cli.models.training_data import TrainingData, open_training_data
from falw_cli.runtime.progress import Progress

if TYPE_CHECKING:
    from lightning_fabric import Fabric

IMAGENET_RATIO = 256 / 224
"""Shorter side before the crop over the input size, in ImageNet's preprocessing."""
Complete = Callable[[Config, Checkpoint], Config]


@dataclass(frozen=True)
class Inputs:
    """The inputs of `unlearn` and `evaluate`."""

    config: Config
    source: Checkpoint
    network: Network
    splits: Splits
    original: Network | None
    """The model before unlearning, if `evaluate` was given it."""
    references: tuple[Network, ...]
    data: TrainingData
    """Training data: list, copies, and earlier requests."""
    described: dict[str, Any]
    """The report's `inputs`."""


def open_inputs(
    config: Config,
    progress: Progress,
    fabric: Fabric,
    complete: Complete = with_metadata,
    until: datetime | None = None,
    *,
    starts_run: bool = False,
) -> Inputs:
    """Open and check the inputs of `unlearn` and `evaluate`.

    Args:
        config: the requested settings.
        progress: receives progress, notes and warnings.
        fabric: the engine that the networks will run on.
        complete: returns the complete request for a config and a checkpoint.
        until: ignore runs of the ledger from then on; default: none.
        starts_run: whether to refuse a model whose earlier requests are not known.

    Raises:
        RequestError: an input is missing or malformed, or does not fit the others.
    """
    given = config
    if config.model is None:
        raise RequestError("no checkpoint is given", "name it: model.safetensors")
    source = checkpoint_files.read(config.model, config.weights)
    recorded = recorded_runs(config, until)
    config = complete(config, source)
    spec, source = network_spec(config, source)
    listing = loading.open_source(config, "data", progress)
    classes, guess = output_names(config.classes or spec.stored_classes, listing, spec.num_classes)
    if guess:
        progress.warn(guess)
    check_channels(spec, listing)
    shown, guessed = completed(config.preprocessing, spec)
    if guessed:
        progress.warn(guessed)
    skip = config.skip_unreadable or bool(recorded or config.forgotten)
    wanted = images.geometry(listing, shown, spec.channels, skip=skip)
    data = open_training_data(
        config, source, listing, classes, wanted, progress, recorded, starts_run=starts_run
    )
    unseen = loading.open_unseen(config, data.images, wanted, progress)
    sources = {one.listing.spec: one.listing for one in (data.images, unseen.heldout, unseen.test)
               if one}  # fmt: skip
    for note in (note for one in sources.values() for note in splits.guessed_names(one, classes)):
        progress.warn(note)
    parts = loading.split(data.images, data.chosen, unseen, classes, data.kept)
    if config.no_retain:
        parts = no_retain.substituted(parts, progress)
    else:
        loading.warn_of_samples(parts, progress)
    shown = measured(shown, wanted, parts.retain)
    network = build_network(spec, source, classes, shown, fabric)
    check_input_size(network)
    for note in (*source.notes, *sparse(source.tensors)):
        progress.warn(f"{source.path.name}: {note}")
    comparable = partial(open_compared, source, given, network, progress)
    lists = AuditedLists.of(data, listing)
    references = tuple(comparable(path) for path in config.reference)
    original = comparable(config.original) if config.original else None
    named_files = _digests(config, source)
    named_files["model"]["made_from"] = made_from(source, recorded)
    if data.named:
        named_files["model"]["names_list"] = names(source, data.named)
    if original:
        known = named_files["model"]["made_from"]
        check_original(original, source, known, lists, progress)
    doubtful = check_references(references, source, network, original, lists, progress)
    for number, reference in enumerate(named_files["references"]):
        reference["doubtful"] = number in doubtful
    loading.warn_of_unguided(parts, classes, progress)
    described = {
        **named_files,
        "forget_list": {"sha256": data.named.sha256, "count": len(parts.forget)}
        if data.named
        else None,
        "data": {
            **_describe(data.images, len(parts.forget) + len(data.chosen.retain)),
            "count": len(listing.ids),
        },
        "heldout": _describe(unseen.heldout, len(unseen.guides)) if unseen.heldout else None,
        "test": _describe(unseen.test, len(parts.test)) if unseen.test else None,
    }
    warn_of_guides(source, described, parts.test, progress)
    return Inputs(
        config, source, network, parts, original.network if original else None,
        tuple(one.network for one in references), data, described,
    )  # fmt: skip


def _digests(config: Config, source: Checkpoint) -> dict[str, Any]:
    """Describe the checkpoints; refuse the model as its own reference or original.

    Raises:
        RequestError: a checkpoint would be compared with itself, or with another model's original.
    """

    def described(path: str | Path) -> dict[str, Any]:
        return {"path": str(path), "sha256": checkpoint_files.digest(Path(path))}

    said = source.metadata
    unlearned = None if said is None else said.unlearned is not None
    model = described(source.path)
    references = [described(path) for path in config.reference]
    original = described(config.original) if config.original else None
    for one, what, use in (
        *((one, "reference", "a model that was retrained without the list") for one in references),
        (original, "original", "the checkpoint before unlearning"),
    ):
        if one is not None and one["sha256"] == model["sha256"]:
            raise RequestError(f"{what} {one['path']} is the model itself", f"give {use}")
    if original is not None and said is not None and said.chain:
        original["runs_back"] = steps_back(said, original["sha256"])
        if original["runs_back"] is None:
            known = ", ".join(f"{one.sha256[:12]}…" for one in said.chain)
            raise RequestError(
                f"{original['path']} is not the checkpoint that {source.path} was made from, nor "
                "an earlier one of its chain",
                f"give one with SHA-256 {known}",
            )
    return {
        "model": {**model, "unlearned": unlearned}, "original": original, "references": references,
    }  # fmt: skip


def warn_of_changes(given: Inputs, progress: Progress) -> None:
    """Warn about files that changed after they were read."""
    described = given.described
    known = [described["model"], *described["references"]]
    known += [described["original"]] if described["original"] else []
    files = {one["path"]: one["sha256"] for one in known}
    if given.config.forget not in (None, "-"):
        files[given.config.forget] = given.described["forget_list"]["sha256"]
    for path, digest in files.items():
        try:
            same = checkpoint_files.digest(Path(path)) == digest
        except OSError:
            same = False
        if not same:
            progress.warn(
                f"{Path(path).name} changed during the run; the report describes what was read"
            )


def completed(shown: Preprocessing, spec: NetworkSpec) -> tuple[Preprocessing, str | None]:
    """Return the preprocessing; if it is incomplete, guess the rest, and say so in a sentence."""
    if shown.mean is not None and shown.std is not None:
        return shown, None
    unknown = "preprocessing mean and std are not given"
    where = "if retain accuracy is lower than you know it, set `preprocessing:` in falw.yaml"
    if spec.arch in architectures.OWN or architectures.is_code(spec.arch):
        return shown, f"{unknown}: measured on the retain set; {where}"
    guess = IMAGENET.model_dump()
    if shown.image_size is None and (size := architectures.input_size(spec.build)):
        guess |= {"image_size": size, "resize": round(size * IMAGENET_RATIO)}
    if shown.squash:
        guess["resize"] = None
    if spec.channels == 1:  # the mean over the channels, as in timm
        guess |= {"mean": (0.449,), "std": (0.226,)}
    merged = guess | shown.model_dump(exclude_none=True)
    return Preprocessing.model_validate(
        merged
    ), f"{unknown}: ImageNet's preprocessing is used; {where}"


def _describe(data: Images, used: int) -> dict[str, Any]:
    spec, count = data.listing.spec, len(data.listing.ids)
    return {"spec": spec, "sha256": data.content_digest(), "count": count, "used": used}
